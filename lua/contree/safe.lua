--- The API of contree with failures returned as nil, err. Misuse still raises,
--- and so do iterators, which have no other way to tell an error from the end.

---@type contree.safe
local safe = require("contree.stub").make(true)

return safe
