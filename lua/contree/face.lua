--- The functions of the module itself, for both of its faces: contree raises,
--- contree.safe returns nil, err.

local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local leave = require("contree.loop.leave")
local loop = require("contree.loop")
local options = require("contree.base.options")
local place = require("contree.base.place")
local stdio = require("contree.base.stdio")
local tasks = require("contree.loop.task")

local unpack = table.unpack or unpack

local face = {}

-- Most of the module is loaded by the first contree.new.
local function api() return require("contree.api") end

local function item_check(value)
  if class.of(value) == "contree.Task" then return nil end
  local wrong = options.callable(value)
  return wrong and wrong .. " (or a task)"
end

-- gather(f, g, …) or gather(list, { concurrency = })
local function gather(...)
  local first, second = ...
  local given, list = nil, { ... }
  local count = select("#", ...)
  if type(first) == "table" and getmetatable(first) == nil then
    given = options.check("contree.gather", { concurrency = options.integer(1) }, second)
    list, count = first, #first
  end
  for i = 1, count do
    options.argument("contree.gather", "number " .. i, item_check, list[i])
  end
  local results = tasks.gather(list, given and given.concurrency)
  if given then return results end
  return unpack(results, 1, results.n)
end

local function timeout(seconds, fn, ...)
  options.argument("contree.timeout", "the time", options.seconds, seconds)
  options.argument("contree.timeout", "what to run", options.callable, fn)
  return tasks.timeout(seconds, fn, ...)
end

local function async(fn, ...)
  options.argument("contree.async", "the main task", options.callable, fn)
  return tasks.async(fn, ...)
end

local function sleep(seconds)
  options.argument("contree.sleep", "the time", options.duration, seconds)
  loop.sleep(seconds)
end

local function step(seconds)
  if seconds ~= nil then options.argument("contree.step", "the time", options.duration, seconds) end
  return tasks.step(seconds)
end

local function shutdown(seconds)
  if seconds ~= nil then
    options.argument("contree.shutdown", "the time", options.duration, seconds)
  end
  return leave.shutdown(seconds or 2)
end

local DRIVER = options.one_of(options.name, options.callable)

local function host(driver, given)
  if driver ~= nil then
    options.argument("contree.host", "the driver", DRIVER, driver)
    loop.use(driver, given)
  end
  local _, name = loop.host()
  return name
end

--- The module's table.
---@param safe boolean
function face.make(safe)
  local function guard(fn) return class.entry(fn, safe) end
  return {
    version = core.version,
    is_error = errors.is,

    --- A client: contree.new(), contree.new("unix:/path"), contree.new{…}.
    ---@param given? string|contree.ClientOptions
    ---@return contree.Client
    new = guard(function(given) return api().new(given, safe) end),

    --- A store of sessions in a file, for session{ store = } and to list and
    --- delete what it holds.
    ---@param path string
    ---@param given? { timeout: number? }
    ---@return contree.Sessions
    sessions = guard(function(path, given)
      return api().sessions(path, given, safe)
    end),

    --- Starts a task.
    ---@param fn function
    ---@return contree.Task
    spawn = guard(function(fn, ...)
      options.argument("contree.spawn", "the task", options.callable, fn)
      return tasks.start(safe, place.of() or "C", fn, ...)
    end),

    async = guard(async),
    gather = guard(gather),
    sleep = guard(sleep),
    timeout = guard(timeout),
    step = guard(step),

    --- For the end of a program: cancels all tasks and all that they have started, but
    --- what has detach = true, and waits for that.
    ---@param seconds? number how long it may take; default 2
    ---@return boolean over false when the time ran out first
    shutdown = guard(shutdown),

    --- For a program that steps from an event loop of its own: a descriptor to
    --- poll for reading, and the seconds after which to call step() all the
    --- same (nil: no need).
    ---@return integer? fd, number? seconds
    pollfd = guard(tasks.pollfd),

    --- The name of the event loop that contree is driven by. It is recognised
    --- on first use; an argument chooses it before: "plain", "nvim", "luv",
    --- "cqueues", "copas", "nginx", "love", or a driver of your own
    --- (docs/use/hosts/writing-a-driver.md).
    ---@param driver? string|fun(loop: table, options: table): table
    ---@param given? table the driver's options, see docs/hosts
    ---@return string name
    host = guard(host),

    PIPE = stdio.PIPE,
    buffer = guard(stdio.buffer),
    null = json.null,
    array = json.array,
  }
end

return face
