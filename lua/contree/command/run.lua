--- contree run: a command as if it ran here, in a sandbox. on (folder.lua) runs like this, too.

local arguments = require("contree.command.arguments")
local contree = require("contree")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local networking = require("contree.wire.networking")
local progress = require("contree.command.progress")
local report = require("contree.command.report")
local sessions = require("contree.command.sessions")
local terminal = require("contree.command.terminal")

local run = {}

local NOT_FOUND = 127 -- exit code of a command that is not there
local KILLED = 128 -- as shells say it: the signal's number is added

-- FROM:/PATH pairs by their paths.
local function paths_of(list)
  local swapped = {}
  for i, pair in ipairs(list) do swapped[i] = { pair[2], pair[1] } end
  return arguments.map(swapped)
end

-- What the command may reach.
local function networking_of(args)
  if #args.allow == 0 then return args.net or nil end
  if args.net then
    errors.raise("invalid_argument", "--net lets it reach everything, --allow only what it names",
      { hint = "leave one of them out" })
  end
  return { allow = args.allow }
end

-- Secrets by their names, each with all its hosts.
local function secrets_of(args)
  local found = {}
  for _, each in ipairs(args.secret) do
    found[each.name] = found[each.name] or { value = each.value, hosts = {} }
    table.insert(found[each.name].hosts, each.host)
  end
  return next(found) and found or nil
end

--- The options of image:run that a command line asks for.
function run.options(args)
  local words = args.command
  local options = { env = arguments.map(args.env), cwd = args.cwd, user = args.user,
    files = paths_of(args.file), volumes = paths_of(args.volume), mounts = paths_of(args.mount),
    hostname = args.hostname, timeout = args.timeout,
    tag = args.tag, networking = networking_of(args), secrets = secrets_of(args),
    trace = networking.tracing(args.trace) }
  if args.memory or args.cpus or args.pids then
    options.resources_limits = { memory_bytes = args.memory, cpus = args.cpus, pids = args.pids }
  end
  if args.shell then
    options.shell = table.concat(words, " ")
  else
    options.command, options.args = words[1], { table.unpack(words, 2) }
  end
  return options
end

-- The input, and whether it has to be fed while the command runs.
local function input(args)
  if args.no_stdin then return nil, false end
  local kind = terminal.kind(terminal.IN)
  if kind == "file" then return io.stdin, false end
  if kind == "tty" or kind == "pipe" or kind == "tcp" then return contree.PIPE, true end
  return nil, false
end

--- Sends standard input until it ends, or the command has.
---@async
---@param operation contree.Operation
function run.feed(operation)
  local ok, err = pcall(function()
    while true do
      local bytes = terminal.read()
      if not bytes then return operation:close_stdin() end
      operation:write(bytes)
    end
  end)
  -- A command that has ended takes no more.
  if not ok and not errors.is(err, "gone") and not errors.is(err, "conflict") then
    error(err, 0)
  end
end

--- A function that writes to a stream of this program at once.
---@param file file*
function run.to(file)
  return function(bytes)
    report.write(bytes, file)
    file:flush()
  end
end

local function exit_code(result)
  if result.timed_out then return 124 end
  if result.signal then return KILLED + result.signal end
  return result.exit_code
end

-- One word with a space in it is most often a line for a shell.
local function is_line(args)
  local words = args.command
  return not args.shell and words and #words == 1 and words[1]:find("%s") ~= nil
end

local function note_each(args, what, list)
  for _, entry in ipairs(list or {}) do
    report.note(args, what .. terminal.plain(networking.words(entry)))
  end
end

local function explain(args, result)
  if result.exit_code == NOT_FOUND and is_line(args) then
    report.note(args, "  -s lets the image's shell run a line")
  end
  if result.timed_out then
    report.note(args, "contree: the time is up; --timeout gives more")
  elseif result.limit then
    report.note(args, ("contree: ended by the limit %s (%s)"):format(result.limit,
      tostring(result.limit_value)))
  end
  note_each(args, "refused: ", result.denied)
  note_each(args, "tried: ", result.tried)
  if result.changed and args.keep then
    report.note(args, "kept as " .. (args.tag or result.uuid))
  end
end

--- Says how a run ended, where that is not plain, and returns its exit code.
---@param result contree.Result
---@return integer
function run.finish(args, result)
  explain(args, result)
  return exit_code(result)
end

-- Strings that JSON can hold: text, or else base64.
local function shown(result)
  local stdio = require("contree.base.stdio")
  local fields = { exit_code = result.exit_code, signal = result.signal,
    timed_out = result.timed_out, limit = result.limit, duration = result.duration,
    uuid = result.uuid, changed = result.changed,
    denied = result.denied and json.array{ table.unpack(result.denied) },
    tried = result.tried and json.array{ table.unpack(result.tried) } }
  for _, name in ipairs{ "stdout", "stderr" } do
    local bytes = result[name]
    if utf8.len(bytes) then fields[name] = bytes else fields[name] = stdio.encode(bytes) end
  end
  return fields
end

--- Runs, with this program's streams, and returns the exit code.
---@param at contree.Image|contree.Session|contree.Workspace
---@param options table of image:run
function run.here(args, at, options)
  local stdin, live = input(args)
  options.stdin = stdin
  if args.json then
    if live then options.stdin = function() return terminal.read() end end
    local result = at:run(options)
    report.json(shown(result))
    return exit_code(result)
  end
  options.stdout, options.stderr = run.to(io.stdout), run.to(io.stderr)
  local bar = progress.new(args, "files")
  options.progress = options.files and bar.tell or nil
  local result
  if live then
    local operation = at:start(options)
    local feeding = contree.spawn(run.feed, operation)
    result = operation:wait()
    feeding:cancel()
  else
    result = at:run(options)
  end
  bar.finish()
  return run.finish(args, result)
end

--- contree run IMAGE -- COMMAND
function run.run(args)
  local options = run.options(args)
  if not options.command and (options.shell or "") == "" then
    errors.raise("invalid_argument", "there is no command to run",
      { hint = "contree run " .. args.image .. " -- COMMAND; contree shell is interactive" })
  end
  local at
  if args.session then
    at = sessions.named(args, args.image)
    options.tag = nil
  else
    at = sessions.start(args, args.image)
    options.disposable = not (args.keep or args.tag)
    args.keep = not options.disposable
  end
  if args.detach then
    options.detach = true
    report.line(at:start(options).uuid)
    return 0
  end
  return run.here(args, at, options)
end

return run
