-- A table of percentiles, with a row for each measured thing.
local percentiles = {}

--- The quantile `q` of a list: the least number that is not exceeded by this part of the list.
--- Sorts the list.
function percentiles.at(list, q)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * q))]
end

--- The heading of the table.
function percentiles.head(title)
  return ("%-24s %7s %8s %8s %8s %8s"):format(title, "n", "p50", "p95", "p99", "max")
end

---@param scale number? factor for all numbers
function percentiles.row(name, list, scale)
  local function at(q) return percentiles.at(list, q) * (scale or 1) end
  return ("%-24s %7d %8.2f %8.2f %8.2f %8.2f"):format(name, #list, at(0.5), at(0.95), at(0.99),
    at(1))
end

return percentiles
