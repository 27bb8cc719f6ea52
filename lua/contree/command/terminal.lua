--- What the program's own streams are: a terminal or not, how wide, in colour or not.

local core = require("contree.core")
local loop = require("contree.loop")
local text = require("contree.base.text")
local uv = require("luv")

local terminal = {}

local IN, OUT, ERR = 0, 1, 2
terminal.IN, terminal.OUT, terminal.ERR = IN, OUT, ERR

local CHUNK = 65536
local MODE_IO = 2 -- of libuv: every byte passes in both directions
local COLOURS = { red = 31, green = 32, yellow = 33, blue = 34, dim = 2, bold = 1 }

local kinds = {}

--- "tty", "pipe", "file" (also a device), "tcp", "udp" or "unknown".
function terminal.kind(fd)
  kinds[fd] = kinds[fd] or uv.guess_handle(fd)
  return kinds[fd]
end

function terminal.is(fd) return terminal.kind(fd) == "tty" end

--- How many rows and columns there are; 24 and 80 where nobody knows.
---@return integer rows, integer columns
function terminal.size()
  local rows, columns
  if terminal.is(OUT) then
    local tty = uv.new_tty(OUT, false)
    if tty then
      columns, rows = tty:get_winsize()
      tty:close()
    end
  end
  if rows and rows > 0 and columns > 0 then return rows, columns end
  return tonumber(os.getenv("LINES")) or 24, tonumber(os.getenv("COLUMNS")) or 80
end

--- How many columns there are.
function terminal.width()
  local _, columns = terminal.size()
  return columns
end

--- Lets every key pass as it is, until the function that is returned is called, or the program
--- ends in whatever way it can still act on.
---@param on_size fun(rows: integer, columns: integer) called when the size has changed
---@return function restore
function terminal.raw(on_size)
  local tty = assert(uv.new_tty(IN, true))
  tty:set_mode(MODE_IO)
  local winch = uv.new_signal()
  winch:start("sigwinch", function() on_size(terminal.size()) end)
  return function()
    winch:close()
    tty:set_mode(0)
    tty:close()
  end
end

--- Puts the terminal back as it was, before the program ends.
terminal.reset = uv.tty_reset_mode

local function wants_colour(fd)
  local never, term = os.getenv("NO_COLOR"), os.getenv("TERM")
  return terminal.is(fd) and (never == nil or never == "") and term ~= "dumb"
end

--- The text in a colour, where the stream shows colours.
function terminal.colour(fd, name, words)
  if not wants_colour(fd) then return words end
  return ("\27[%dm%s\27[0m"):format(COLOURS[name], words)
end

terminal.plain = text.plain

-- Reading --------------------------------------------------------------------

--- The next bytes of standard input; nil at its end. Waits in the loop, so that others run
--- meanwhile. (Standard input is shared with other programs, so it is never made
--- non-blocking: it is read when there is something to read.)
---@async
---@return string?
function terminal.read()
  if terminal.kind(IN) == "file" then return io.stdin:read(CHUNK) end
  local waiter = {}
  local poll, problem = uv.new_poll(IN)
  if not poll then error(problem, 0) end
  poll:start("r", function() loop.fire(waiter, true) end)
  local ok, err = pcall(loop.await, waiter)
  poll:stop()
  poll:close()
  if not ok then error(err, 0) end
  local bytes = uv.fs_read(IN, CHUNK, -1)
  if bytes and bytes ~= "" then return bytes end
end

-- Signals --------------------------------------------------------------------

--- Calls fn(name, times) each time one of these signals comes.
---@param names string[] such as "sigint"
function terminal.on_signal(names, fn)
  local times = {}
  for _, name in ipairs(names) do
    local signal = uv.new_signal()
    signal:start(name, function()
      times[name] = (times[name] or 0) + 1
      fn(name, times[name])
    end)
    signal:unref()
  end
end

--- Seconds of a clock that only goes forward.
terminal.now = core.now

return terminal
