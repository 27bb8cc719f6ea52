--- The keys of a table as a list, in no order: what is done with each of them may change the table.

---@param set table
---@return any[]
local function keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  return list
end

-- LuaJIT must not compile it. When a program ends, finalisers run without the compiler, and there
-- LuaJIT 2.1-20230119 entered such a compiled loop again and again without a step: it hung.
local jit = rawget(_G, "jit")
if jit then jit.off(keys) end

return keys
