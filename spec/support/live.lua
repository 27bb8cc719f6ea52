-- Checks of what can be done with an operation while it runs: in every host, on every runtime,
-- with any user, in plain code and in tasks. Returns a function of the module and an image with
-- busybox, which raises when a check fails.
local function equal(wanted, got)
  if wanted ~= got then
    error(("wanted %s, got %s"):format(tostring(wanted), tostring(got)), 2)
  end
end

local function until_true(contree, check)
  for _ = 1, 3000 do
    local value = check()
    if value then return value end
    contree.sleep(0.01)
  end
  error("waited in vain", 2)
end

local function direct(object, name, ...) return object[name](object, ...) end

local unpack = unpack or table.unpack

-- Calls a method in a task; returns whether another task went on meanwhile, and its value.
local function call_beside(contree, object, name, arguments)
  local over, went_on = false, false
  local task = contree.spawn(function()
    local ok, value = pcall(object[name], object, unpack(arguments))
    over = true
    if not ok then error(value, 0) end
    return value
  end)
  contree.spawn(function() went_on = not over end):wait()
  return went_on, (task:wait())
end

-- What may be done several times: an answer may be there already when it is waited for. One
-- that is waited for without yielding never lets another task go on. In nginx most answers of
-- a local engine are there at once: its spec counts turns in many calls.
local TRIES = { pause = 9, resume = 9, usage = 9, forward = 9, ports = 9, watch = 9, resize = 9,
  next = 1 }
local AT_ONCE = { nginx = true }

local function beside(contree)
  return function(object, name, ...)
    local tries, went_on, value = TRIES[name] or 0
    repeat
      went_on, value = call_beside(contree, object, name, { ... })
      tries = tries - 1
    until went_on or tries <= 0
    local must = name == "next" or TRIES[name] and not AT_ONCE[contree.host()]
    if must and not went_on then error(name .. " let no other task go on", 0) end
    return value
  end
end

-- All of it; `call` calls a method of an object.
local function try(contree, image, call)
  local op = image:start{ stdin = contree.PIPE, timeout = 600, shell = [[mkdir -p /w/d
    sh -c 'i=0; while :; do i=$((i+1)); echo $i > /tmp/i; usleep 1000; done' &
    echo hello > /w/index.html; httpd -p 127.0.0.1:8000 -h /w; echo ready
    read x; cd /w; echo > d/f; mv d e; read x; exit 0]] }
  for bytes in op:output() do
    if bytes:find("ready") then break end
  end
  local function counted()
    return op:spawn{ command = "cat", args = { "/tmp/i" } }:wait().stdout
  end
  until_true(contree, function() return counted() ~= "" end)

  equal(op, call(op, "pause"))
  local _, details = op:status()
  equal(true, details.paused)
  equal("conflict", select(2, pcall(op.spawn, op, { command = "true" })).kind)
  equal(op, call(op, "resume"))
  local before = counted()
  until_true(contree, function() return counted() ~= before end)

  local used = until_true(contree, function()
    local now = call(op, "usage")
    return now.cpu_seconds > 0 and now
  end)
  equal(true, used.memory_bytes > 0)
  -- The shell, the one that counts, perhaps its usleep, and the web server.
  equal(true, used.processes == 3 or used.processes == 4)
  equal(0, used.sent_bytes)

  local address = call(op, "forward", 8000)
  equal(true, address:find("^127%.0%.0%.1:%d+$") ~= nil)
  equal(8000, call(op, "ports")[1].port)
  local pipe = io.popen("curl -s -m 20 http://" .. address .. "/")
  equal("hello\n", pipe:read("*a"))
  pipe:close()
  equal(true, call(op, "close_port", address))

  local changes = { next = call(op, "watch", "/w", { recursive = true }) }
  contree.spawn(function()
    contree.sleep(0.05)
    op:write("\n")
  end)
  local seen, e = {}
  repeat
    -- Only the first has to be waited for: several may come at once.
    e = e and changes:next() or call(changes, "next")
    if e.type ~= "modified" then seen[#seen + 1] = e.type .. " " .. e.path end
  until e.type == "moved"
  equal("created /w/d/f, written /w/d/f, moved /w/e", table.concat(seen, ", "))

  local screen = ""
  local terminal = call(op, "spawn", { tty = { rows = 7, cols = 8 },
    stdout = function(bytes) screen = screen .. bytes end,
    shell = "stty size; read x; stty size; test -t 0 -a -t 1 && tty; exec sleep 600" })
  local waiting = contree.spawn(function() return terminal:wait() end)
  until_true(contree, function() return screen:find("7 8\r\n") end)
  call(terminal, "resize", 9, 10)
  terminal:write("\n")
  until_true(contree, function() return screen:find("9 10\r\n/dev/pts/0\r\n") end)
  equal(true, call(terminal, "close"))
  equal(1, waiting:wait().signal)
  op:write("\n")
  equal(0, op:wait().exit_code)
end

return function(contree, image)
  try(contree, image, direct)
  try(contree, image, beside(contree))
end
