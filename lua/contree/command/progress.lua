--- A line on the terminal that shows how far something is. It appears when that takes longer
--- than half a second, and never in a pipe or a file.

local report = require("contree.command.report")
local terminal = require("contree.command.terminal")

local progress = {}

local PATIENCE, PAUSE, WIDTH = 0.5, 0.1, 24
local CLEAR = "\r\27[K"

local function bar(done, total)
  local full = math.floor(WIDTH * math.min(1, done / total))
  return ("[%s%s] "):format(("="):rep(full), (" "):rep(WIDTH - full))
end

local function describe(title, far)
  local function say(number)
    return far.unit == "bytes" and report.size(number) or ("%d %s"):format(number, far.unit)
  end
  local total = far.total and far.total > 0 and far.total
  local amount = total and ("%s of %s"):format(say(far.done), say(total))
    or far.done > 0 and say(far.done) or ""
  local layer = far.of and far.of > 1 and ("%d/%d "):format(far.layer, far.of) or ""
  return ("%s%s %s%s %s"):format(total and bar(far.done, total) or "", title, layer, far.phase,
    amount)
end

--- A line for something that begins now.
---@param args table
---@param title string what it is
---@return { tell: fun(progress: contree.Progress), finish: fun() }
function progress.new(args, title)
  local shown = not args.quiet and not args.json and terminal.is(terminal.ERR)
  local begun, last, drawn = terminal.now(), 0, false
  local line = {}
  function line.tell(far)
    local now = terminal.now()
    if not shown or now - begun < PATIENCE or now - last < PAUSE then return end
    last, drawn = now, true
    local text = terminal.plain(describe(title, far))
    io.stderr:write(CLEAR, text:sub(1, terminal.width() - 1))
    io.stderr:flush()
  end
  function line.finish()
    if drawn then io.stderr:write(CLEAR) end
  end
  return line
end

return progress
