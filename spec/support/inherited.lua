-- Checks that programs started by a host do not inherit our descriptors.
local inherited = {}

--- The open files of a child: kind -> number.
function inherited.list()
  local pipe = io.popen("for fd in /proc/self/fd/*; do readlink $fd; done 2>/dev/null")
  local kinds = {}
  for link in pipe:lines() do
    local kind = link:gsub("%d+", "N") -- numbers of inodes and processes differ
    kinds[kind] = (kinds[kind] or 0) + 1
  end
  pipe:close()
  return kinds
end

--- Raises when a child has more open files than before.
function inherited.compare(before)
  local now = inherited.list()
  local more = {}
  for kind, count in pairs(now) do
    if count > (before[kind] or 0) then more[#more + 1] = ("%s (%d)"):format(kind, count) end
  end
  if #more > 0 then error("a child inherits " .. table.concat(more, ", "), 0) end
end

--- Compares while runs, a name lookup and a stream are in flight. Needs a fresh process.
---@param directory string for files
function inherited.check(contree, image, directory)
  local before = inherited.list()
  local path = directory .. "/inherited"
  local task = contree.spawn(function()
    image:run{ shell = "echo begun; sleep 1", stdout = { path = path } }
  end)
  local events = image:start{ shell = "sleep 1; echo x" }
  local resolving = contree.spawn(function()
    pcall(function()
      contree.new{ url = "http://a-name.invalid:9", token = false, project = "p", retry = false }
        :whoami()
    end)
  end)
  local stream = contree.spawn(function()
    for _ in events:output() do end -- luacheck: ignore 542
  end)
  inherited.compare(before)
  for _ = 1, 5 do
    contree.sleep(0.02)
    inherited.compare(before)
  end
  task:cancel()
  pcall(task.wait, task)
  pcall(resolving.wait, resolving)
  stream:wait()
  events:wait()
  inherited.compare(before)
  os.remove(path)
end

return inherited
