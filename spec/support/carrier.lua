-- Brings the content of one folder to another, as workspace:apply does, so that it can be
-- killed: lua carrier.lua apply|undo FOLDER. Steps are made by carrier.steps.
local carrier = {}

-- What is there before and after: path -> "text" of a file, { link = } or "/" for a directory.
carrier.before = {
  a = "old a\n", b = "old b\n", gone = "old gone\n", ["d/x"] = "old x\n", ["d/y"] = "old y\n",
  d = "/", l = { link = "a" }, becomes = "old file\n", large = ("old large\n"):rep(30000),
  dir = "/",
}
carrier.after = {
  a = "new a\n", b = "new b\n", made = "new made\n", d = "new d\n", l = { link = "b" },
  becomes = "/", ["becomes/in"] = "new in\n", large = ("new large\n"):rep(30000),
  ["deep"] = "/", ["deep/er"] = "/", ["deep/er/f"] = "new f\n", dir = "/",
}

local function state_of(core, value)
  if value == nil then return { type = "absent" } end
  if value == "/" then return { type = "directory", mode = 493 } end
  if type(value) == "table" then
    return { type = "link", target = value.link, sha256 = core.sha256(value.link) }
  end
  return { type = "file", mode = 420, sha256 = core.sha256(value) }
end

-- The steps from before to after; contents are written below `source`.
function carrier.steps(source)
  local core = require("contree.core")
  local steps, all = {}, {}
  for path in pairs(carrier.before) do all[path] = true end
  for path in pairs(carrier.after) do all[path] = true end
  for path in pairs(all) do
    local old, new = carrier.before[path], carrier.after[path]
    if old ~= new or type(old) == "table" then
      local step = { path = path, expected = state_of(core, old), wanted = state_of(core, new) }
      if step.wanted.type == "file" then
        step.source = source .. "/" .. path:gsub("/", "_")
        local file = assert(io.open(step.source, "wb"))
        file:write(new)
        file:close()
      end
      steps[#steps + 1] = step
    end
  end
  return steps
end

function carrier.apply(folder, source)
  local carry = require("contree.workspace.carry")
  local out = { written = {}, skipped = {} }
  carry.within(folder, function(handle)
    local steps = carrier.steps(source)
    carry.complete(handle, steps)
    steps = carry.to_do(handle, steps, out)
    carry.begin(folder, function(call) carry.out(folder, handle, call, steps, out) end)
  end)
  return out
end

function carrier.undo(folder)
  local carry = require("contree.workspace.carry")
  local out, any = { written = {}, skipped = {} }, nil
  carry.within(folder, function(handle) any = carry.undo(folder, handle, out) end)
  return out, any
end

if arg and arg[0] and arg[0]:find("carrier.lua", 1, true) then
  local what, folder, source = arg[1], arg[2], arg[3]
  io.write("ready\n")
  io.flush()
  carrier[what](folder, source)
  io.write("over\n")
end

return carrier
