-- How long things took, as a table: a row of percentiles for each thing.
local percentiles = {}

--- The least number of a list that the part `q` of it does not exceed. Sorts
--- the list.
function percentiles.at(list, q)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * q))]
end

--- What stands above the rows.
function percentiles.head(title)
  return ("%-24s %7s %8s %8s %8s %8s"):format(title, "n", "p50", "p95", "p99", "max")
end

---@param scale number? what the numbers are multiplied with
function percentiles.row(name, list, scale)
  local function at(q) return percentiles.at(list, q) * (scale or 1) end
  return ("%-24s %7d %8.2f %8.2f %8.2f %8.2f"):format(name, #list, at(0.5), at(0.95), at(0.99),
    at(1))
end

return percentiles
