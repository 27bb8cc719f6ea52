-- Random numbers that are the same on every Lua, so that a seed can be repeated.
local random = {}
random.__index = random

--- A generator. Generators of different names have nothing in common.
---@param seed integer
---@param name? string
function random.new(seed, name)
  local state = seed % 2147483647
  for i = 1, #(name or "") do state = (state * 31 + name:byte(i)) % 2147483647 end
  local self = setmetatable({ state = state % 2147483646 + 1 }, random)
  for _ = 1, 5 do self:number(2) end -- seeds that are near each other begin alike
  return self
end

--- A whole number from 1 to `limit`.
function random:number(limit)
  self.state = self.state * 16807 % 2147483647
  return self.state % limit + 1
end

--- A number from 0 to 1.
function random:part() return (self:number(1000001) - 1) / 1000000 end

function random:chance(part) return self:part() < part end
function random:pick(list) return list[self:number(#list)] end

--- A number from 1 to about `limit`, small ones as often as large ones.
function random:size(limit) return math.floor(limit ^ self:part()) end

--- One of the names of { name = weight }.
function random:weighed(weights)
  local names, sum = {}, 0
  for name, weight in pairs(weights) do
    names[#names + 1] = name
    sum = sum + weight
  end
  table.sort(names) -- pairs() has no order
  local at = self:part() * sum
  for _, name in ipairs(names) do
    at = at - weights[name]
    if at <= 0 then return name end
  end
  return names[#names]
end

return random
