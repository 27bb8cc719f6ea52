-- A shell in a sandbox, for the person at this terminal. It needs lua-luv, which reads keys
-- while output comes.
--   lua examples/terminal.lua [COMMAND [ARGUMENT...]]

local uv = require("luv")
local contree = require("contree")

local argv = { (table.unpack or unpack)(arg) }
if not argv[1] then argv = { "sh" } end
if uv.guess_handle(0) ~= "tty" or uv.guess_handle(1) ~= "tty" then
  io.stderr:write("terminal.lua: standard input and output must be a terminal\n")
  os.exit(2)
end

local keyboard, screen = uv.new_tty(0, true), uv.new_tty(1, false)

local function size()
  local cols, rows = screen:get_winsize()
  return rows, cols
end

local rows, cols = size()
local shell = contree.new().images:use("busybox:latest"):popen(argv,
  { tty = { rows = rows, cols = cols, term = os.getenv("TERM") } })

-- Keys go in the order in which they were typed: those of a moment in one request.
local typed, typing = "", false
local ending -- the status with which a signal ends this program

local function type_all()
  while typed ~= "" do
    local bytes = typed
    typed = ""
    if not pcall(shell.stdin.write, shell.stdin, bytes) then break end -- it has ended
  end
  typing = false
end

local function talk()
  keyboard:set_mode(1) -- raw: Ctrl-C is a key for the sandbox
  keyboard:read_start(function(_, bytes)
    if not bytes then return contree.spawn(shell.close, shell) end
    typed = typed .. bytes
    if typing then return end
    typing = true
    contree.spawn(type_all)
  end)
  repeat
    local bytes = shell.stdout:read(65536)
    io.stdout:write(bytes or "")
    io.stdout:flush()
  until not bytes
  return ending or shell:wait()
end

-- This terminal is as it was again, on every way out.
local function restore()
  keyboard:read_stop()
  uv.tty_reset_mode()
end

-- A signal hangs up, which ends the output; a second one ends this program at once.
for name, number in pairs{ sighup = 1, sigterm = 15 } do
  uv.new_signal():start(name, function()
    if ending then
      restore()
      os.exit(ending, false)
    end
    ending = 128 + number
    contree.spawn(shell.close, shell)
  end)
end
uv.new_signal():start("sigwinch", function()
  contree.spawn(function() pcall(shell.resize, shell, size()) end)
end)

local code
local ok, err = pcall(contree.async, function() code = talk() end)
restore()
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1, true)
end
os.exit(code < 0 and 128 - code or code, true)
