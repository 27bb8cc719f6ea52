--- A content that the server has.

local class = require("contree.base.class")

---@class contree.UploadedFile
---@field uuid string what runs name it by
---@field sha256 string of the content, in hexadecimal
---@field size integer bytes
return class.define("contree.UploadedFile", {}, {
  __tostring = function(self) return ("contree.UploadedFile(%s)"):format(self.uuid) end,
}, { "uuid", "sha256", "size" })
