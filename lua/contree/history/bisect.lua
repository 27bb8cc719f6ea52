--- Bisecting: find the run that broke something in a list of images, each made from the one
--- before it.

local errors = require("contree.base.errors")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local run = require("contree.run")
local tasks = require("contree.loop.task")
local text = require("contree.base.text")

local bisect = {}

-- The exit code of a test that cannot tell, as with git bisect.
local SKIP = 125

---@class contree.BisectOptions
---@field good? integer|contree.Entry an entry that is good, or its number; default the oldest
---@field bad? integer|contree.Entry an entry that is bad, or its number; default the newest
---@field parallel? integer    how many are tested at a time; default 1

---@class contree.BisectTest
---@field entry contree.Entry of the history or lineage
---@field verdict "good"|"bad"|"skip" what the test said
---@field result? contree.Result what the test printed, if it was a command; nil otherwise

local print_test = printed.record(function(self)
  return ("%-4s  %s"):format(self.verdict, text.line(tostring(self.entry.title)))
end)

local print_tests = printed.list()

---@alias contree.Entry contree.HistoryEntry|contree.LineageEntry

---@alias contree.BisectTester fun(image: contree.Image, entry: contree.Entry): any

---@alias contree.BisectBy string|contree.RunOptions|contree.BisectTester

local function is_entry(value)
  if type(value) ~= "table" or type(value.image) ~= "table" then
    return "an entry of the history, or its number"
  end
end

local OPTIONS = {
  good = options.one_of(options.integer(1), is_entry),
  bad = options.one_of(options.integer(1), is_entry), parallel = options.integer(1),
}

local function verdict_of(result)
  if result.exit_code == 0 and not result.timed_out then return "good" end
  return result.exit_code == SKIP and "skip" or "bad"
end

-- The function that tests an entry.
---@return fun(entry: table): string verdict, contree.Result?
local function tester(where, test)
  if not options.callable(test) then
    return function(entry)
      local good = test(entry.image, entry)
      return good == nil and "skip" or good and "good" or "bad"
    end
  end
  local plan = run.plan(where, test, true)
  if not plan.disposable then
    errors.misuse(where .. ": a test must be disposable")
  end
  plan.check = nil
  return function(entry)
    local result = run.run(entry.image, plan)
    return verdict_of(result), result
  end
end

local function index_of(where, entries, value, default)
  if value == nil then return default end
  for i, entry in ipairs(entries) do
    if i == value or entry == value or type(value) == "table" and value.uuid == entry.uuid
      and value.id == entry.id then
      return i
    end
  end
  errors.raise("not_found", ("%s: the history has no entry %s; it has %d"):format(where,
    type(value) == "table" and tostring(value.title) or tostring(value), #entries))
end

local function name_of(entries, i) return ("number %d (%s)"):format(i, entries[i].title) end

-- Test some entries. An image that several of them have is tested once.
local function test_some(search, indices)
  local work, seen = {}, {}
  for _, i in ipairs(indices) do
    local entry = search.entries[i]
    if not search.verdicts[entry.uuid] and not seen[entry.uuid] then
      seen[entry.uuid] = true
      work[#work + 1] = function()
        local verdict, result = search.test(entry)
        search.verdicts[entry.uuid] = verdict
        table.insert(search.tests, print_test{ entry = entry, verdict = verdict, result = result })
      end
    end
  end
  tasks.gather(work, search.parallel)
end

local function verdict(search, i) return search.verdicts[search.entries[i].uuid] end

-- Move the bounds together by the verdicts. Returns the untested entries between them.
local function narrow(search)
  local untested = {}
  for i = search.good + 1, search.bad - 1 do
    if verdict(search, i) == "bad" then
      search.bad = i
      break
    end
  end
  for i = search.bad - 1, search.good + 1, -1 do
    if verdict(search, i) == "good" then
      search.good = i
      break
    end
  end
  for i = search.good + 1, search.bad - 1 do
    if not verdict(search, i) then untested[#untested + 1] = i end
  end
  return untested
end

-- Points that cut a list into parts of the same length.
local function cuts(list, count)
  local points = {}
  count = math.min(count, #list)
  for i = 1, count do points[i] = list[math.ceil(#list * i / (count + 1))] end
  return points
end

local function check_bounds(search)
  local entries, good, bad = search.entries, search.good, search.bad
  test_some(search, { bad, good })
  local function refuse(i, should)
    errors.raise("unprocessable", ("%s should be %s, but the test says %s"):format(
      name_of(entries, i), should, verdict(search, i)), { entry = entries[i],
      hint = should == "bad" and "there is nothing to find" or nil,
      remedy = should == "good" and { "bounds" } or nil })
  end
  if verdict(search, bad) ~= "bad" then refuse(bad, "bad") end
  if verdict(search, good) ~= "good" then refuse(good, "good") end
end

--- Find the first entry that is bad while the one before it is good.
---@async
---@param where string how the caller's method is named
---@param list fun(): table[]  { image, uuid, title }, the oldest first
---@param test contree.BisectBy
---@param given? contree.BisectOptions
---@return table entry, contree.BisectTest[] tests in the order in which they ended
function bisect.search(where, list, test, given)
  given = options.check(where, OPTIONS, given)
  test = tester(where, test)
  local entries = list()
  local search = { entries = entries, test = test, verdicts = {}, tests = print_tests{},
    good = index_of(where, entries, given.good, 1), parallel = given.parallel or 1,
    bad = index_of(where, entries, given.bad, #entries) }
  if search.good >= search.bad then
    errors.raise("unprocessable", ("%s: there are no runs between what is good, number %d, "
      .. "and what is bad, number %d"):format(where, search.good, search.bad))
  end
  check_bounds(search)
  local untested = narrow(search)
  while #untested > 0 do
    test_some(search, cuts(untested, search.parallel))
    untested = narrow(search)
  end
  if search.bad > search.good + 1 then
    local candidates = {}
    for i = search.good + 1, search.bad do candidates[#candidates + 1] = entries[i] end
    errors.raise("unprocessable", ("all entries between %s and %s were skipped"):format(
      name_of(entries, search.good), name_of(entries, search.bad)),
      { candidates = candidates, remedy = { "candidates" } })
  end
  return entries[search.bad], search.tests
end

return bisect
