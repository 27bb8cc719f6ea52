--- The value that is contree.PIPE.
return setmetatable({}, { __tostring = function() return "contree.PIPE" end })
