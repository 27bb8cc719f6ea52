-- A user who edits files while something else writes them: lua editor.lua FOLDER SEED COUNT.
-- Prints the last edit of each file: its path, how, and a text.
local folder, seed, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
math.randomseed(seed)
local files = { "one", "two", "gone", "new", "large" }
local last = {}

local function pause()
  for _ = 1, math.random(0, 40000) do last.x = nil end
end

local ways = {
  function(path, text) -- as editors do
    local beside = folder .. ".editor"
    local file = assert(io.open(beside, "w"))
    file:write(text)
    file:close()
    assert(os.rename(beside, path))
    return "whole"
  end,
  function(path, text)
    local file = assert(io.open(path, "w"))
    pause()
    file:write(text)
    file:close()
    return "whole"
  end,
  function(path, text)
    local file = assert(io.open(path, "a"))
    pause()
    file:write(text)
    file:close()
    return "more"
  end,
  function(path)
    os.remove(path)
    return "removed"
  end,
}

for i = 1, count do
  for _ = 1, math.random(0, 6) do pause() end
  local name = files[math.random(#files)]
  local text = ("edit %d of %d\n"):format(i, seed)
  local how = ways[math.random(#ways)](folder .. "/" .. name, text)
  last[name] = { how, text, appended = how == "more" and (not last[name] or last[name].appended) }
end
for name, each in pairs(last) do
  io.write(name, " ", each[1], " ", each.appended and "only " or "- ", each[2])
end
