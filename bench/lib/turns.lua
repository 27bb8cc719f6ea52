--- What is compared takes turns, so that other load on the machine affects all alike.
local percentiles = require("bench.lib.percentiles")

local turns = {}

--- Calls the functions one after the other, once to warm up and then `rounds` times. Each
--- returns numbers. Returns a list of what each returned, by its name.
---@param rounds integer
---@param peers { [1]: string, [2]: fun(): ... }[]
---@return table<string, number[][]>
function turns.take(rounds, peers)
  local all = {}
  for _, peer in ipairs(peers) do
    all[peer[1]] = {}
    peer[2]()
  end
  for n = 1, rounds do
    for _, peer in ipairs(peers) do all[peer[1]][n] = { peer[2]() } end
  end
  return all
end

--- The median of the n-th numbers.
function turns.median(list, n)
  local values = {}
  for i, got in ipairs(list) do values[i] = got[n or 1] end
  return percentiles.at(values, 0.5)
end

--- The least of the n-th numbers: what it costs when nothing disturbs.
function turns.least(list, n)
  local least = math.huge
  for _, got in ipairs(list) do least = math.min(least, got[n or 1]) end
  return least
end

return turns
