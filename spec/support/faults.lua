--- One failed system call at a time: an engine runs under spec/support/faulty.c, steps of a
-- scenario are asked of it, and each time one call of one place in the sources fails. The
-- answer must be right or a structured error, the engine must go on, and after a restart all
-- that was told is there, and nothing else.
local disk = require("spec.support.disk")
local generator = require("spec.support.generator")
local socket = require("socket")
local steps = require("spec.support.fault_steps")
local unix = require("socket.unix")
local wire = require("spec.support.wire")

local faults = {}

-- The errors that a call may give. What has no line here gives EIO or ENOMEM. (A wait for a child
-- cannot give ECHILD: nobody else waits for it.)
local ERRORS = {
  accept4 = "EMFILE ECONNABORTED", bind = "EADDRINUSE EACCES", brk = "ENOMEM",
  clone = "EAGAIN ENOMEM", clone3 = "EAGAIN ENOMEM", connect = "ECONNREFUSED EAGAIN EINTR",
  copy_file_range = "EIO ENOSPC EXDEV EINTR", dup = "EMFILE", dup2 = "EMFILE", dup3 = "EMFILE",
  epoll_create1 = "EMFILE ENOMEM", epoll_ctl = "ENOMEM ENOSPC", epoll_pwait = "EINTR",
  epoll_wait = "EINTR", eventfd2 = "EMFILE ENOMEM", execve = "ENOENT ENOMEM EACCES",
  execveat = "ENOENT ENOMEM", fallocate = "ENOSPC EIO", fchdir = "EACCES",
  fchmod = "EPERM EIO", fchmodat = "EPERM EIO", fchown = "EPERM EDQUOT",
  fchownat = "EPERM EDQUOT", fcntl = "EMFILE", fdatasync = "EIO ENOSPC",
  fgetxattr = "EIO ENOMEM", flistxattr = "EIO ENOMEM", flock = "EINTR ENOLCK EWOULDBLOCK",
  fork = "EAGAIN", fsetxattr = "ENOSPC EDQUOT EPERM", fstat = "EIO", fsync = "EIO ENOSPC EDQUOT",
  ftruncate = "EIO ENOSPC", getdents64 = "EIO ENOMEM", getrandom = "EINTR ENOSYS",
  getsockopt = "EINVAL", inotify_add_watch = "ENOSPC ENOMEM", inotify_init1 = "EMFILE",
  ioctl = "EINVAL ENOTTY", kill = "ESRCH EPERM", lgetxattr = "EIO", link = "EMLINK ENOSPC",
  linkat = "ENOSPC EMLINK EIO", lseek = "EIO", lsetxattr = "ENOSPC EPERM", madvise = "ENOMEM",
  memfd_create = "EMFILE ENOMEM", mkdir = "ENOSPC EACCES", mkdirat = "ENOSPC EDQUOT EIO",
  mknodat = "ENOSPC EPERM", mmap = "ENOMEM", mount = "ENOMEM EPERM", mprotect = "ENOMEM",
  mremap = "ENOMEM", newfstatat = "EIO ENOMEM", open = "EMFILE EIO",
  openat = "EMFILE EIO ENOSPC EACCES", openat2 = "EMFILE EAGAIN EIO",
  pidfd_open = "EMFILE ESRCH", pidfd_send_signal = "EPERM ESRCH", pipe2 = "EMFILE ENFILE",
  poll = "EINTR ENOMEM", ppoll = "EINTR ENOMEM", prctl = "EPERM", pread64 = "EIO EINTR",
  prlimit64 = "EPERM", pwrite64 = "ENOSPC EIO EINTR EDQUOT", read = "EIO EINTR EAGAIN",
  readlinkat = "EIO", recvfrom = "ECONNRESET EINTR", recvmsg = "ECONNRESET EINTR ENOMEM",
  rename = "EIO ENOSPC", renameat = "EIO ENOSPC EDQUOT", renameat2 = "EIO ENOSPC",
  sendfile = "EIO EINTR", sendmsg = "EPIPE ENOBUFS EINTR ETOOMANYREFS", sendto = "EPIPE EINTR",
  seccomp = "ENOMEM", setns = "EPERM", setsockopt = "ENOMEM", shutdown = "ENOTCONN",
  socket = "EMFILE", socketpair = "EMFILE", splice = "EIO EINTR", statfs = "EIO",
  statx = "EIO ENOMEM", symlinkat = "ENOSPC EDQUOT", sync_file_range = "EIO", syncfs = "EIO ENOSPC",
  timerfd_create = "EMFILE", umount2 = "EBUSY", unlink = "EIO", unlinkat = "EIO EBUSY",
  unshare = "ENOSPC EPERM", utimensat = "EIO EPERM", vfork = "EAGAIN", wait4 = "EINTR",
  waitid = "EINTR", write = "ENOSPC EIO EINTR EPIPE EDQUOT", writev = "EPIPE ENOSPC EINTR",
}

local NUMBERS = { EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, EAGAIN = 11,
  EWOULDBLOCK = 11, ENOMEM = 12, EACCES = 13, EBUSY = 16, EXDEV = 18, EINVAL = 22, ENFILE = 23,
  EMFILE = 24, ENOTTY = 25, ENOSPC = 28, EMLINK = 31, EPIPE = 32, ENOLCK = 37, ENOSYS = 38,
  EADDRINUSE = 98, ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105, ENOTCONN = 107,
  ETOOMANYREFS = 109, ECONNREFUSED = 111, EDQUOT = 122 }

--- The errors that a call may give, by name.
function faults.errors(call)
  local list = {}
  for name in (ERRORS[call] or "EIO ENOMEM"):gmatch("%S+") do list[#list + 1] = name end
  return list
end

--- The number of an error.
function faults.number(name) return NUMBERS[name] end

---- the engine under faulty ----

local Patient = {}
Patient.__index = Patient

--- A connection to faulty.
function faults.control(path)
  local sock = unix.stream()
  sock:settimeout(10)
  wire.eventually("faulty", function() return sock:connect(path) end)
  return sock
end

function Patient:tell(line)
  assert(self.control:send(line .. "\n"))
  return assert(self.control:receive("*l"))
end

--- The places of calls since the last time: a list of { kind, call, site, count }.
function faults.places(sock)
  assert(sock:send("count\n"))
  local list = {}
  while true do
    local line = assert(sock:receive("*l"))
    if line == "." then return list end
    local kind, call, site, count = line:match("^(%S+) (%S+) (%S+) (%d+)$")
    list[#list + 1] = { kind = kind, call = call, site = site, count = tonumber(count) }
  end
end

function Patient:places() return faults.places(self.control) end

function Patient:arm(fault)
  assert(self:tell("arm " .. faults.text(fault)) == "ok", faults.text(fault))
end

function Patient:disarm() return tonumber(self:tell("disarm")) end

--- What faulty takes.
function faults.text(fault)
  return ("%s %s %s %d %d 1"):format(fault.kind, fault.call, fault.site, NUMBERS[fault.error],
    fault.nth)
end

local PROGRAMS = { engine = "contree-engine", worker = "contree-engine", child = "contree-engine",
  init = "contree-init", airlock = "contree-airlock" }
local MODULE = "$(lua5.4 -e 'print(package.searchpath(\"contree.core\", package.cpath))')"

-- The functions and lines of a fault's place.
local function place_of(fault)
  local lines = {}
  for address in fault.site:gmatch("%x+") do
    local program = PROGRAMS[fault.kind]
    -- The return address is behind the call.
    local at = tonumber(address, 16)
    local file = program and "$(dirname $(command -v contree-engine))/" .. program or MODULE
    lines[#lines + 1] = at > 0 and wire.run(("addr2line -fipse %s %x 2>/dev/null"):format(file,
      at - 1)) or address
  end
  return (table.concat(lines, " < "):gsub("\n", " "))
end

--- A fault for people, with the functions and lines of its place.
function faults.describe(fault)
  return ("%s: %s of %s %s %d (%s) at %s"):format(fault.step, fault.error, fault.kind, fault.call,
    fault.nth, fault.site, place_of(fault))
end

-- The build directory has bin/contree-engine and the programs of the specs.
function faults.program()
  return os.getenv("CONTREE_FAULTY_PROGRAM")
    or wire.run("dirname $(dirname $(command -v contree-engine))") .. "/spec/support/faulty"
end

function Patient:launch(fault)
  local prefix = ("CONTREE_STRICT=1 %s %s/ctl"):format(faults.program(), self.engine.directory)
  if fault then prefix = ("CONTREE_FAULTY='%s' "):format(faults.text(fault)) .. prefix end
  self.engine.prefix = prefix
  self.engine:launch(self.arguments)
  self.control = faults.control(self.engine.directory .. "/ctl")
  self.descriptors = nil
end

--- Starts an engine under faulty.
---@param arguments? string of its command line
function faults.start(arguments)
  local self = setmetatable({ told = { images = {}, files = {}, tags = {}, volumes = {} },
    recent = {}, known = {}, number = 0, tried = 0, problems = {},
    arguments = arguments }, Patient)
  local engine = wire.start(arguments)
  engine:kill("TERM")
  self.engine = engine
  self:launch()
  steps.prepare(self)
  return self
end

function Patient:stop()
  self.control:close()
  self.engine:stop()
  steps.release(self)
end

---- what must hold ----

local function rows(engine)
  return wire.run(([[python3 - %s <<'END'
import os, sqlite3, sys
data = sys.argv[1]
c = sqlite3.connect("file:%%s/contree.db?mode=ro" %% data, uri=True)
layers = {str(r[0]) for r in c.execute("SELECT id FROM layer")}
there = {n for n in os.listdir(data + "/l") if n.isdigit() and n != "0"}
files = {r[0] for r in c.execute("SELECT sha256 FROM file")}
blobs = {n for d in (os.listdir(data + "/b") if os.path.isdir(data + "/b") else ())
    for n in os.listdir(data + "/b/" + d)}
volumes = {r[0] for r in c.execute("SELECT directory FROM volume")}
homes = set(os.listdir(data + "/v")) if os.path.isdir(data + "/v") else set()
for what, have, want in (("layer", there, layers), ("file", blobs, files),
        ("volume", homes, volumes)):
    for n in sorted(want - have): print("row without", what, n)
    for n in sorted(have - want): print(what, "without row", n)
if c.execute("PRAGMA integrity_check").fetchone()[0] != "ok": print("damaged database")
END]]):format(engine.data))
end

local function count_open(engine)
  return tonumber(wire.run(("ls /proc/%d/fd | wc -l"):format(engine.pid)))
end

local function within(seconds, check)
  local limit = socket.gettime() + seconds
  while true do
    local value = check()
    if value then return value end
    if socket.gettime() > limit then return nil end
    socket.sleep(0.01)
  end
end

-- What is wrong with a running engine just after a fault.
function Patient:examine()
  local engine = self.engine
  if not engine:is_alive() then return "the engine died: " .. disk.read(engine.log):sub(-1500) end
  local ok, reply = pcall(engine.request, engine, "POST", "/v1/instances", { body =
    '{"image":"tag:busybox:latest","disposable":true,"command":"true"}',
    headers = { Prefer = "wait=20" } })
  if not ok then return "no answer to the next run: " .. tostring(reply) end
  if not reply.json or reply.json.status ~= "SUCCESS" then
    return "the next run fails: " .. reply.body
  end
  local left
  if not within(8, function()
    left = engine:get("/v1/operations?status=EXECUTING").body
    return left == "[]"
  end) then
    return "an operation does not end: " .. left:sub(1, 500)
  end
  -- Sandboxes that wait come and go.
  local open
  self.descriptors = self.descriptors or count_open(engine)
  if not within(3, function()
    open = count_open(engine)
    return open <= self.descriptors + 16
  end) then
    local before = self.descriptors
    self.descriptors = open
    return ("%d descriptors are open, before %d"):format(open, before)
  end
  self.descriptors = math.min(open, self.descriptors)
end

-- Starts the engine again, and says what is then not as it was told, or is left.
function Patient:restart(signal)
  local engine, problems = self.engine, {}
  self.control:close()
  local children = wire.run(("ps -o pid= --ppid %d | tr '\n' ' '"):format(engine.pid))
  engine:kill(signal)
  if signal == "TERM" and disk.peek(engine.path) then problems[1] = "the socket is left" end
  local ok, why = pcall(self.launch, self)
  if not ok then
    -- A second start says whether a hand is needed.
    problems[#problems + 1] = "no start: " .. tostring(why)
    self:launch()
  end
  steps.verify(self, function(problem) problems[#problems + 1] = problem end)
  if not within(5, function() return engine:is_clean() end) then
    problems[#problems + 1] = "files are left: "
      .. wire.run(("cd %s; find w trash -type f | head -5"):format(engine.data))
  end
  engine:post("/v1/gc", {}) -- it takes the contents without rows
  if not within(5, function() return rows(engine) == "" end) then
    problems[#problems + 1] = rows(engine)
  end
  if not within(5, function()
    return wire.run(("for p in %s; do cat /proc/$p/comm 2>/dev/null; done | grep contree")
      :format(children)) == ""
  end) then
    problems[#problems + 1] = "processes are left"
  end
  local mounts = wire.run(("grep -F %s /proc/self/mounts"):format(engine.directory))
  if mounts ~= "" then problems[#problems + 1] = "mounts are left: " .. mounts end
  self.recent = {}
  -- What is left stays left, and is told once.
  local new = {}
  for line in table.concat(problems, "\n"):gmatch("[^\n]+") do
    if not self.known[line] then new[#new + 1] = line end
    self.known[line] = true
  end
  return new
end

---- the campaign ----

-- Without an address of ours it is the dynamic loader, or a thread of libuv that wakes the
-- loop, which cannot fail. But memory and threads can be short everywhere.
-- (The sanitizers' own memory cannot be.)
local MEMORY = { mmap = true, brk = true, mprotect = true, mremap = true, madvise = true }
local SANITIZER = os.getenv("CONTREE_TEST_SANITIZER")

--- Whether such a call may be of the sanitizers, which end the program when it fails.
function faults.is_sanitizers(call) return SANITIZER ~= nil and MEMORY[call] end

local function is_beyond(place)
  if faults.is_sanitizers(place.call) then return true end
  return place.kind == "client" or (place.site == "0,0" and not MEMORY[place.call]
    and not place.call:find("^clone"))
end

-- Faults of a step: each place of a call once for each error.
function Patient:find(step)
  local found, order = {}, {}
  for _ = 1, 3 do
    self:places()
    steps[step](self)
    socket.sleep(0.05)
    for _, place in ipairs(self:places()) do
      local key = place.kind .. place.call .. place.site
      if not found[key] then
        found[key] = place
        order[#order + 1] = place
      end
    end
  end
  local list = {}
  for _, place in ipairs(order) do
    if not is_beyond(place) then
      for _, name in ipairs(faults.errors(place.call)) do
        list[#list + 1] = { step = step, kind = place.kind, call = place.call, site = place.site,
          error = name, count = place.count }
      end
    end
  end
  return list
end

local CONNECTION = { recvfrom = true, recvmsg = true, sendto = true, sendmsg = true, read = true,
  write = true, writev = true, accept4 = true, epoll_ctl = true, setsockopt = true, fcntl = true,
  ioctl = true, sendfile = true, poll = true, ppoll = true, mmap = true, brk = true,
  clone = true, clone3 = true, mprotect = true, pread64 = true, readlinkat = true,
  openat = true, splice = true }

function Patient:report(fault, problem)
  local text = faults.describe(fault) .. ": " .. problem
  self.problems[#self.problems + 1] = text
  if self.on_problem then self.on_problem(text) end
end

-- Does a step while one call fails; returns whether it failed at all.
function Patient:try(fault)
  fault.nth = fault.nth or 1
  self.tried = self.tried + 1
  self.recent[#self.recent + 1] = fault
  if self.trace then self.trace(faults.text(fault)) end
  self:arm(fault)
  local began = socket.gettime()
  local ok, why = xpcall(steps[fault.step], function(e)
    return type(e) == "table" and e or debug.traceback(tostring(e))
  end, self)
  local took = socket.gettime() - began
  local gone = not self.engine:is_alive()
  local fired = gone and 1 or self:disarm()
  if not ok and fired == 0 then self:report(fault, "fails though no call failed: " ..
    (type(why) == "table" and (why.refused or why.broken) or why)) end
  if not ok and type(why) ~= "table" then self:report(fault, why) end
  if not ok and type(why) == "table" and why.broken and not gone and not CONNECTION[fault.call] then
    self:report(fault, "the connection broke: " .. why.broken)
  end
  if took > 20 then self:report(fault, ("it took %.0f s"):format(took)) end
  if fired == 0 and ok then
    table.remove(self.recent)
    return false
  end
  local problem = self:examine()
  if problem then self:report(fault, problem) end
  if not self.engine:is_alive() then self:check_restart("KILL") end
  return true
end

---- the start and the end of the engine ----

function Patient:find_starts()
  self:check_restart("TERM")
  local list = {}
  for _, place in ipairs(self:places()) do
    if not is_beyond(place) and place.site ~= "0,0" then
      for _, name in ipairs(faults.errors(place.call)) do
        list[#list + 1] = { step = "start", kind = place.kind, call = place.call,
          site = place.site, error = name, count = place.count }
      end
    end
  end
  return list
end

-- Words of a program that ended by accident.
local ACCIDENTS = { "[Aa]ssert", "Fatal error", "[Aa]bort", "dumped", "Sanitizer",
  "CONTREE_STRICT" }

local function accident(text)
  for _, word in ipairs(ACCIDENTS) do
    if text:find(word) then return text:sub(-600) end
  end
end

--- Starts the engine while one call fails: it works, or ends and says why; the next start needs
-- no hand.
function Patient:try_start(fault)
  local engine = self.engine
  fault.nth = fault.nth or 1
  self.tried = self.tried + 1
  self.control:close()
  engine:kill("TERM")
  local before = #disk.read(engine.log)
  local ok, why = pcall(self.launch, self, fault)
  local said = disk.read(engine.log):sub(before + 1)
  if accident(said) then self:report(fault, "at the start: " .. accident(said)) end
  if not ok and engine:is_alive() then
    self:report(fault, "it does not listen: " .. tostring(why))
  end
  -- Without its threads libuv ends the program, and has no words for it.
  local is_thread = fault.call:find("^clone") or place_of(fault):find("workers_start", 1, true)
  if not ok and not is_thread and not said:find("%a+ %a+") then
    self:report(fault, "it says nothing: " .. said)
  end
  -- A client that found the socket would lose its request.
  if not ok and disk.peek(engine.path) then
    self:report(fault, "it has listened, though it cannot serve")
  end
  local fired = true
  if ok then
    fired = self:disarm() > 0
    local problem = self:examine()
    if problem then self:report(fault, "after the start: " .. problem) end
    self.control:close()
  end
  if engine:is_alive() then engine:kill("KILL") end
  self.engine.prefix = ""
  if not pcall(self.launch, self) then
    self:report(fault, "no start afterwards")
    self:launch()
  end
  local problem = self:examine()
  if problem then self:report(fault, "after the next start: " .. problem) end
  return fired
end

--- Ends the engine while one call fails.
function Patient:try_end(fault)
  self.tried = self.tried + 1
  self:arm(fault)
  local before = #disk.read(self.engine.log)
  local ok = pcall(self.engine.kill, self.engine, "TERM")
  if not ok then
    self:report(fault, "it does not end")
    self.engine:kill("KILL")
  end
  local said = disk.read(self.engine.log):sub(before + 1)
  if accident(said) then self:report(fault, "at the end: " .. accident(said)) end
  self.recent = { fault }
  self:check_restart("KILL")
end

-- When something is wrong after several faults, each is tried alone.
function Patient:check_restart(signal)
  local recent = self.recent
  local problems = self:restart(signal)
  if #problems == 0 then return end
  if #recent == 1 then
    return self:report(recent[1], "afterwards: " .. table.concat(problems, "; "))
  end
  local before = #self.problems
  for _, fault in ipairs(recent) do
    self.recent = {}
    if pcall(self.try, self, fault) then self:check_restart(signal) end
    if #self.problems > before then break end
  end
  if #self.problems == before then
    local list = {}
    for i, fault in ipairs(recent) do list[i] = faults.text(fault) end
    self.problems[#self.problems + 1] = ("after %s: %s"):format(table.concat(list, ", "),
      table.concat(problems, "; "))
    if self.on_problem then self.on_problem(self.problems[#self.problems]) end
  end
end

--- Puts a list in random order.
function faults.shuffle(list, random)
  for i = #list, 2, -1 do
    local j = random(i)
    list[i], list[j] = list[j], list[i]
  end
end

-- Fails a call of each of `list`, at most `limit`; returns how many calls failed.
local function try_each(patient, list, limit, random, try)
  faults.shuffle(list, random)
  local fired = 0
  for i = 1, math.min(limit, #list) do
    list[i].nth = random(math.min(list[i].count, 3))
    if try(patient, list[i]) then fired = fired + 1 end
    if #patient.recent >= 25 then patient:check_restart(random(2) == 1 and "KILL" or "TERM") end
  end
  return fired
end

-- Faults that once did harm. They are tried every time.
local KNOWN = {
  -- A sandbox that could not be killed never ended.
  { step = "cancel", kind = "engine", call = "pidfd_send_signal", error = "EPERM" },
  -- A report of init that could not be read for a moment was the last one.
  { step = "box", kind = "engine", call = "recvmsg", error = "ENOMEM", nth = 7 },
}

-- The same by function. Of a start: the last calls before it listens, and one without which it
-- waited for ever.
local KNOWN_STARTS = { pwrite64 = "store_announce", inotify_add_watch = "watch_data",
  renameat = "bind_in", read = "quota.c" }

-- Tries these; returns how many calls failed.
local function try_known_starts(patient, list)
  local fired, seen = 0, {}
  for _, fault in ipairs(list) do
    local name = KNOWN_STARTS[fault.call]
    if name and place_of(fault):find(name, 1, true) then
      seen[name] = true
      if patient:try_start(fault) then fired = fired + 1 end
    end
  end
  for _, name in pairs(KNOWN_STARTS) do assert(seen[name], "no call is made by " .. name) end
  return fired
end

--- Fails calls in steps and starts of an engine.
-- options: seed; steps (how many of them, default: all); each (how many faults of a step, default:
-- all); starts (how many faults of starts and ends, default: all); names (of the steps to choose
-- from, default: all); arguments (of the engine); say (called with lines).
-- Returns a list of problems.
function faults.campaign(options)
  local random, say = generator(options.seed), options.say
  local patient = faults.start(options.arguments)
  patient.on_problem = say
  local names = {}
  for i, name in ipairs(options.names or steps.names) do names[i] = name end
  faults.shuffle(names, random)
  local total = 0
  for _, each in ipairs(KNOWN) do
    local known = { site = "-", nth = 1, count = 1 }
    for key, value in pairs(each) do known[key] = value end
    if patient:try(known) then total = total + 1 else patient:report(known, "no call failed") end
  end
  for i = 1, math.min(options.steps or #names, #names) do
    local list = patient:find(names[i])
    local fired = try_each(patient, list, options.each or #list, random, patient.try)
    total = total + fired
    patient:check_restart("TERM")
    say(("%s: %d faults known, %d calls failed"):format(names[i], #list, fired))
  end
  local list = patient:find_starts()
  total = total + try_known_starts(patient, list)
  local fired = try_each(patient, list, options.starts or #list, random, patient.try_start)
  say(("start: %d faults known, %d calls failed"):format(#list, fired))
  for _ = 1, options.starts or 200 do
    local fault = list[random(#list)]
    patient:try_end{ step = "end", kind = fault.kind, call = fault.call, site = "-",
      error = fault.error, nth = random(3), count = 3 }
  end
  say(("seed %d: %d calls failed in all, %d problems"):format(options.seed, total + fired,
    #patient.problems))
  patient:stop()
  return patient.problems
end

return faults
