--- The program `contree`: reads the command line, does what it says in a task, and ends with an
--- exit code. Each file beside this one has the commands of one subject, by their names.

local arguments = require("contree.command.arguments")
local contree = require("contree")
local errors = require("contree.base.errors")
local report = require("contree.command.report")
local terminal = require("contree.command.terminal")
local uv = require("luv")

local command = {}

-- Exit codes. A command that runs another one has the other's; then a failure of our own must
-- look different, so it has the number that docker and podman have for it.
local FAILED, OWN_FAILURE, BROKEN_PIPE, INTERRUPTED = 1, 125, 141, 130
local CODES = { sigint = INTERRUPTED, sigterm = 143, sighup = 129 }

local RUNS_ANOTHER = { run = true, on = true, shell = true }

local function client_of(args)
  local given = { profile = args.profile, url = args.url }
  if args.data_dir then given.engine = { data_dir = args.data_dir } end
  return contree.new(given)
end

-- The client is made when it is first asked for: not every command needs one.
local function with_client(args)
  args.contree = contree
  return setmetatable(args, { __index = function(self, key)
    if key ~= "client" then return nil end
    self.client = client_of(self)
    return self.client
  end })
end

local function code_of_failure(args, err)
  if type(err) == "table" and rawget(err, "broken_pipe") then return BROKEN_PIPE end
  local missing = errors.is(err) and err.remedy
  if missing and missing[1] == "import" then
    require("contree.command.sessions").suggest(args, err, missing[2])
  end
  report.failure(args, err)
  return RUNS_ANOTHER[args.command_name] and OWN_FAILURE or FAILED
end

--- Runs a command line; does not return.
---@param argv string[]
function command.main(argv)
  local args, row = arguments.parse(argv)
  local act = require("contree.command." .. row.file)[args.command_name]
  local code, stopped
  local task = contree.spawn(function()
    local ok, result = pcall(act, with_client(args))
    if ok then
      code = result or 0
    else
      code = stopped or code_of_failure(args, result)
    end
    uv.stop()
  end)
  terminal.on_signal({ "sigint", "sigterm", "sighup" }, function(name, times)
    stopped = CODES[name]
    if times > 1 then
      terminal.reset()
      os.exit(stopped)
    end
    if name == "sigint" then report.note(args, "contree: cancelled") end
    contree.spawn(task.cancel, task)
  end)
  -- A write to a pipe without a reader fails, in place of killing us before we have cancelled.
  terminal.on_signal({ "sigpipe" }, function() end)
  uv.run()
  io.stdout:flush()
  os.exit(code or FAILED, true)
end

return command
