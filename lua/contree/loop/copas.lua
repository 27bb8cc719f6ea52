--- The host for Copas: a thread of Copas that waits lets the others run. Where Copas does
--- not run it is the plain host. It is made for Copas 4. It also works with 1.x, which does
--- not tell whether it runs and cannot put a thread to sleep.

local core = require("contree.core")
local plain = require("contree.loop.plain")

---@class contree.loop.Copas
---@field loop table
---@field copas table          the library
---@field modern boolean       it is not 1.x
---@field host table           the plain host, of which some functions are replaced
---@field known table<thread, boolean> weak: whether Copas resumes a coroutine
---@field count integer        threads that wait
---@field turning boolean      the thread that turns the loop runs
---@field woken thread[]       with 1.x: threads that this one has to resume
---@field socket table         the core loop's descriptor, as a socket that Copas can wait on

local function new_socket(self)
  local socket = {}

  function socket.getfd() return socket.fd end

  function socket.dirty()
    return self.count == 0 or self.woken[1] ~= nil or self.host.pending()
  end

  -- Copas calls this, waits after a "timeout", and calls it again.
  function socket.receive()
    socket.asked = not socket.asked
    if socket.asked then return nil, "timeout" end
    return ""
  end

  -- Copas 1.x closes the socket that a thread has waited on last.
  function socket.close() end

  return socket
end

local function resume_woken(self)
  local list = self.woken
  self.woken = {}
  for _, co in ipairs(list) do self.copas.addthread(co) end
end

-- The function of a Copas thread: turn the loop while any thread waits.
local function turn(self)
  self.host.run()
  while self.count > 0 or self.woken[1] do
    self.socket.fd, self.socket.asked = self.loop.fd(), false
    self.copas.receive(self.socket)
    self.loop.turn(0)
    self.host.run()
    resume_woken(self)
  end
  self.turning = false
end

-- Whether this coroutine runs inside a thread that we know: then it is the user's own.
-- Copas 1.x starts its threads inside others, so that tells nothing there.
local function inside_another(self)
  if not self.modern then return false end
  for co, of_copas in pairs(self.known) do
    if of_copas and coroutine.status(co) == "normal" then return true end
  end
  return false
end

local function is_thread(self)
  if not core.isyieldable() or self.modern and not self.copas.running then return false end
  local co, known = coroutine.running(), self.known
  if known[co] == nil and not inside_another(self) then known[co] = true end
  return known[co]
end

-- Copas 1.x puts a coroutine into the queue that it yields: this one drops it.
local NO_QUEUE = { insert = function() end, push = function() end }

local function sleep(self)
  if not self.modern then
    coroutine.yield(self.socket, NO_QUEUE)
  elseif self.copas.pauseforever then
    self.copas.pauseforever()
  else
    self.copas.sleep(-1)
  end
end

local function ensure_turning(self)
  if self.turning then return end
  self.turning = true
  self.copas.addthread(function() turn(self) end)
end

local function wait(self, w)
  w.parked, w.in_copas = coroutine.running(), true
  self.count = self.count + 1
  ensure_turning(self)
  while not w.fired do sleep(self) end
end

local function wake(self, w)
  self.count = self.count - 1
  if self.modern then self.copas.wakeup(w.parked) else table.insert(self.woken, w.parked) end
end

return function(loop)
  local copas = require("copas")
  local host = plain(loop)
  local plain_spawn, plain_wait, plain_wake = host.spawn, host.wait, host.wake
  local self = { loop = loop, copas = copas, modern = copas.wakeup ~= nil, host = host,
    known = setmetatable({}, { __mode = "k" }), count = 0, turning = false, woken = {} }
  self.socket = new_socket(self)

  function host.spawn(fn)
    local in_copas = is_thread(self)
    local add = in_copas and copas.addthread or plain_spawn
    add(function()
      self.known[coroutine.running()] = in_copas
      fn()
    end)
  end

  function host.wait(w)
    if is_thread(self) then wait(self, w) else plain_wait(w) end
  end

  function host.wake(w)
    if w.in_copas then wake(self, w) else plain_wake(w) end
  end

  function host.concurrent() return is_thread(self) end

  return host
end
