--- The functions of the module itself, for both of its faces: contree raises,
--- contree.safe returns nil, err. Loaded at the first call of one (stub.lua).

local api = require("contree.api")
local cjson = require("cjson")
local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local leave = require("contree.loop.leave")
local loop = require("contree.loop")
local options = require("contree.base.options")
local PIPE = require("contree.base.pipe")
local place = require("contree.base.place")
local printer = require("contree.base.printer")
local stdio = require("contree.base.stdio")
local tasks = require("contree.loop.task")

local unpack = table.unpack or unpack

local face = {}

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

local function host(driver, given)
  if driver ~= nil then
    local check = options.one_of(options.name, options.callable)
    options.argument("contree.host", "the driver", check, driver)
    loop.use(driver, given)
  end
  local _, name = loop.host()
  return name
end

--- The module's table (stub.lua has a list of its names).
---@param safe boolean
function face.make(safe)
  local function guard(fn) return class.entry(fn, safe) end
  return {
    --- The version of contree.
    ---@type string
    version = core.version,
    --- Name and version, as other modules of Lua give theirs: "contree 0.1.0".
    ---@type string
    _VERSION = "contree " .. core.version,
    --- Whether a value is an error of contree's, and of a kind.
    ---     if contree.is_error(err, "not_found") then print("no such image") end
    --- Raises: nothing.
    ---@param value any what was caught
    ---@param kind? contree.ErrorKind default any kind
    ---@return boolean
    is_error = function(value, kind) return errors.is(value, kind) end,

    --- A client. A lone string is the url. Nothing is sent yet.
    ---     local client = contree.new("unix:/run/contree.sock")
    --- Raises: misuse (missing or contradictory credentials), invalid_argument (no such
    --- profile).
    ---@param given? string|contree.ClientOptions
    ---@return contree.Client
    new = guard(function(given) return api.new(given, safe) end),

    --- A store of sessions in a file, for session{ store = } and to list and delete what it
    --- holds.
    ---     local store = contree.sessions("sessions.db")
    --- Raises: nothing.
    ---@param path string the file; it is made at its first use
    ---@param given? { timeout: number? } seconds to wait for a locked file; default 5
    ---@return contree.Sessions
    sessions = guard(function(path, given) return api.sessions(path, given, safe) end),

    --- Starts a task, which runs while something waits.
    ---     local task = contree.spawn(function() return image:run("make") end)
    --- Raises: not_supported (this host cannot start a task here).
    ---@param fn function what it does
    ---@param ... any arguments of the function
    ---@return contree.Task
    spawn = guard(function(fn, ...)
      options.argument("contree.spawn", "the task", options.callable, fn)
      return tasks.start(safe, place.of() or "C", fn, ...)
    end),

    --- Runs a function as the main task, for plain code; returns when it and all other tasks
    --- have ended. When it fails, the others are cancelled.
    ---     contree.async(function() print(image:run("date").stdout) end)
    --- Raises: any (what the function raises).
    ---@param fn function what it does
    ---@param ... any arguments of the function
    ---@return any ... what the function returns
    async = guard(async),
    --- Calls functions at the same time, each in a task, and waits for all; tasks are waited
    --- for. The first error cancels the rest. With a list, results come as a list, too, and
    --- `{ concurrency = 4 }` may follow: so many at a time.
    ---     local results = contree.gather(list_of_functions, { concurrency = 8 })
    --- Raises: any (the first error of the functions).
    ---@async
    ---@param ... any functions and tasks; or a list of them, then { concurrency = }
    ---@return any ... the first result of each, in order; or a list of them with `n`
    gather = guard(gather),
    --- Waits; other tasks go on.
    ---     contree.sleep(0.5)
    --- Raises: cancelled (the task was cancelled).
    ---@async
    ---@param seconds number how long
    sleep = guard(sleep),
    --- Calls a function in a task and raises `timeout` when it takes longer: the task is
    --- cancelled then, and has ended when this returns.
    ---     local result = contree.timeout(5, function() return image:run("make") end)
    --- Raises: timeout, any (what the function raises).
    ---@async
    ---@param seconds number how long it may take
    ---@param fn function what it does
    ---@param ... any arguments of the function
    ---@return any ... what the function returns
    timeout = guard(timeout),
    --- One turn for a program that steps by itself, such as a game's update: runs what is
    --- ready, and waits for more.
    ---     contree.step(0.01)
    --- Raises: misuse (the host does that itself).
    ---@param seconds? number how long to wait at most; default 0
    ---@return integer tasks that have not ended yet
    step = guard(step),

    --- For the end of a program: cancels all tasks and all that they have started, but what
    --- has `detach = true`, and waits for that.
    ---     contree.shutdown(5)
    --- Raises: misuse (called in a task), not_supported (in nginx).
    ---@param seconds? number how long it may take; default 2
    ---@return boolean over false when the time ran out first
    shutdown = guard(shutdown),

    --- For a program that steps from an event loop of its own: a descriptor to poll for
    --- reading, and the seconds after which to call step() all the same.
    ---     local fd, seconds = contree.pollfd()
    --- Raises: nothing.
    ---@return integer? fd nil where the system has none
    ---@return number? seconds nil: no need
    pollfd = guard(function() return tasks.pollfd() end),

    --- The name of the event loop that contree is driven by. It is recognised at the first
    --- use; an argument chooses it before: "plain", "nvim", "luv", "cqueues", "copas",
    --- "nginx", "love", or a driver of your own (docs/use/hosts/writing-a-driver.md).
    ---     contree.host("luv")
    --- Raises: misuse (another host is in use already, or there is no such driver).
    ---@param driver? string|fun(loop: table, options: table): table default the one in use
    ---@param given? table the driver's options (docs/use/hosts); default none
    ---@return string name
    host = guard(host),

    --- As `stdin`: the input is left open. As `stdout` or `stderr`: the result holds a buffer.
    ---@type table
    PIPE = PIPE,
    --- A buffer of bytes, for `stdin`, `stdout` and `stderr`.
    ---     local buffer = contree.buffer("first line\n")
    --- Raises: nothing.
    ---@param text? string what it holds; default nothing
    ---@return contree.Buffer
    buffer = guard(function(text) return stdio.buffer(text) end),
    --- A ready-made printer for `progress =`: a line with a bar on standard error, if that is a
    --- terminal, and nothing else. In Neovim it is a message. Each phase has a line of its own.
    ---     client.images:oci("debian:12", { progress = contree.progress("debian") })
    --- Raises: nothing.
    ---@param title? string what it is that goes on; default nothing
    ---@return contree.ProgressPrinter
    progress = guard(function(title)
      if title ~= nil then
        options.argument("contree.progress", "the title", options.text, title)
      end
      return printer.new(title)
    end),
    --- The value that is sent as null: `env = { HOME = contree.null }` unsets a variable.
    ---@type lightuserdata
    null = cjson.null,
    --- Marks a table as a list, so that an empty one is sent as [].
    ---     local list = contree.array{}
    --- Raises: nothing.
    ---@param list? table default a new one
    ---@return table list
    array = function(list) return json.array(list) end,
  }
end

return face
