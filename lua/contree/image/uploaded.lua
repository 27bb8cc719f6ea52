--- A content that the server has.

local class = require("contree.base.class")

---@class contree.UploadedFile
---@field uuid string
---@field sha256 string
---@field size integer
return class.define("contree.UploadedFile", {}, {
  __tostring = function(self) return ("contree.UploadedFile(%s)"):format(self.uuid) end,
}, { "uuid", "sha256", "size" })
