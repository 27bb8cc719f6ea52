--- The commands of `contree` with their operands and options, and how a command line is read.
-- The table below is all there is: help, completion and the manual page are made of it.

local argparse = require("argparse")

local arguments = {}

local WRONG_USE = 2 -- the exit code, as of other programs

local UNITS = { s = 1, m = 60, h = 3600, d = 86400 }
local SIZES = { [""] = 1, k = 2 ^ 10, m = 2 ^ 20, g = 2 ^ 30, t = 2 ^ 40 }

-- Digits without end are a number without end.
local function is_finite(digits) return digits and tonumber(digits) < 2 ^ 53 end

local function duration(text)
  local number, unit = text:match("^(%d+%.?%d*)([smhd]?)$")
  if not is_finite(number) then
    return nil, ("'%s' is no time, such as 90, 90s, 2m or 1h"):format(text)
  end
  return tonumber(number) * (UNITS[unit] or 1)
end

local function bytes(text)
  local number, unit = text:lower():match("^(%d+%.?%d*)([kmgt]?)i?b?$")
  if not is_finite(number) then
    return nil, ("'%s' is no size, such as 4096, 64K, 512M or 2G"):format(text)
  end
  return math.floor(tonumber(number) * SIZES[unit])
end

local function count(text)
  local number = math.tointeger(tonumber(text))
  if not number or number < 1 then return nil, ("'%s' is no number above 0"):format(text) end
  return number
end

local function number(text)
  local value = tonumber(text)
  if not value or value <= 0 or value == math.huge then
    return nil, ("'%s' is no number above 0"):format(text)
  end
  return value
end

local function setting(text)
  local name, value = text:match("^([^=]+)=(.*)$")
  if name then return { name, value } end
  value = os.getenv(text)
  if value then return { text, value } end
  return nil, ("'%s' is not NAME=VALUE, and there is no such variable here"):format(text)
end

-- NAME=HOST; the value is that of the variable here.
local function secret(text)
  local name, host = text:match("^([%a_][%w_]*)=(.+)$")
  if not name then return nil, ("'%s' is not NAME=HOST"):format(text) end
  local value = os.getenv(name)
  if not value then return nil, ("there is no variable %s here"):format(name) end
  return { name = name, value = value, host = host }
end

-- FROM:TO, split at the last colon that a slash follows.
local function pair(text)
  local from, to = text:match("^(.+):(/.*)$")
  if not from then return nil, ("'%s' is not FROM:/PATH"):format(text) end
  return { from, to }
end

-- An option is { its names, the name of its value or nil for a flag, help, fields of argparse }.
local COMMON = {
  { "--json", nil, "print JSON, one object a line" },
  { "-q --quiet", nil, "print no more than what was asked for" },
  { "--profile", "NAME", "a profile of auth.ini (contree login) in place of the local engine" },
  { "--url", "URL", "a server: https://…, or unix:/PATH" },
  { "--data-dir", "DIR", "the images of the local engine, in place of the user's own" },
}

local SESSION = {
  { "-S --session", "NAME", "a session by name, in place of that of the folder" },
  { "-C --folder", "DIR", "as if called in this folder" },
}

local RUN = {
  { "-e --env", "NAME=VALUE", "a variable of the command; NAME alone takes the value it has here",
    { count = "*", convert = setting } },
  { "-w --cwd", "DIR", "where the command runs" },
  { "-u --user", "USER", "who runs it: a name or number of the image, with :GROUP on wish" },
  { "-f --file", "FROM:/PATH", "a file or directory of this machine to put into the sandbox",
    { count = "*", convert = pair } },
  { "-v --volume", "NAME:/PATH", "a named directory that outlives runs (contree volumes)",
    { count = "*", convert = pair } },
  { "-m --mount", "DIR:/PATH", "a directory of this machine, read-only",
    { count = "*", convert = pair } },
  { "-n --no-stdin", nil, "give the command no input" },
  { "--net", nil, "let it use the network" },
  { "--allow", "HOST", "let it reach this host, and others that are allowed, and nothing else: "
    .. "example.org, *.example.org:8443, 10.1.2.0/24:5432, @PRESET", { count = "*" } },
  { "--secret", "NAME=HOST", "a variable that it may use towards this host and never sees",
    { count = "*", convert = secret } },
  { "--trace", "WHAT", "say at the end what it tried: the programs and the system calls that were "
    .. "refused, or the files as well", { choices = { "programs", "files" } } },
  { "--hostname", "NAME", "the name of the machine that it sees" },
  { "--timeout", "TIME", "how long it may take: 90, 90s, 2m, 1h", { convert = duration } },
  { "--memory", "SIZE", "how much memory all its processes may have", { convert = bytes } },
  { "--cpus", "N", "how many processors they may use", { convert = number } },
  { "--pids", "N", "how many processes there may be", { convert = count } },
}

local KEEP = {
  { "-k --keep", nil, "keep what the command changed, as a new image" },
  { "-t --tag", "NAME", "name the image that is kept" },
}

-- `rest`: options end at the first operand, and what follows is another's command line.
-- `instead`: what the operand before "--" is when it is left out. `loose`: options may
-- follow it, up to "--".
local COMMANDS = {
  { "run", "run a command in a sandbox of an image", file = "run", rest = true,
    operands = { { "image", "the image: a tag or a uuid; @ is where the session is" },
      { "command", "the program and its arguments", args = "*" } },
    options = { KEEP, RUN, SESSION,
      { { "-s --shell", nil, "the command is a line for sh" },
        { "-d --detach", nil, "print the operation's id, and do not wait for it" } } } },
  { "shell", "open a shell at a terminal of a sandbox", file = "shell", rest = true,
    instead = "@",
    operands = { { "image", "the image; by default the folder's sandbox", args = "?" },
      { "command", "another program, with its arguments", args = "*" } },
    options = { KEEP, RUN, SESSION } },
  { "on", "run a command on a folder, whose files stay as they are", file = "folder", rest = true,
    instead = ".", loose = true,
    operands = { { "path", "the folder; default: this one", args = "?" },
      { "command", "the program and its arguments, after --", args = "*" } },
    options = { { { "-i --image", "IMAGE", "the image; needed the first time in a folder" } }, RUN,
      { { "-s --shell", nil, "the command is a line for sh" },
        { "--prefer", "SIDE", "whose version it is where both sides changed a file",
          { choices = { "host", "sandbox" } } } } } },
  { "changes", "show what runs changed in a folder, as a patch", file = "folder",
    operands = { { "path", "only what is below these paths", args = "*" } },
    options = { { { "-C --folder", "DIR", "as if called in this folder" },
      { "--stat", nil, "list the paths only" },
      { "--ignored", nil, "list what git ignores, too" } } } },
  { "apply", "bring changes home into the folder", file = "folder",
    operands = { { "path", "only these paths and patterns", args = "*" } },
    options = { { { "-C --folder", "DIR", "as if called in this folder" },
      { "--risky", nil, "also what may run by itself: hooks, new programs, links that lead out" },
      { "--dry-run", nil, "only say what would be done" } } } },
  { "undo", "take the last apply back", file = "folder",
    options = { { { "-C --folder", "DIR", "as if called in this folder" } } } },

  { "log", "show the runs of a session, and its branches", file = "history",
    options = { SESSION } },
  { "branch", "list branches, or begin one", file = "history",
    operands = { { "name", "the branch to begin; the session goes on there", args = "?" } },
    options = { SESSION, { { "-D --delete", "NAME", "delete a branch" } } } },
  { "checkout", "go to another branch", file = "history",
    operands = { { "name", "the branch" } }, options = { SESSION } },
  { "rollback", "go back by runs", file = "history",
    operands = { { "steps", "how many", args = "?", convert = count } }, options = { SESSION } },
  { "diff", "show what changed between two images", file = "history",
    operands = { { "from", "the older image; default: where the session began", args = "?" },
      { "to", "the newer one; default: where it is", args = "?" } },
    options = { SESSION, { { "--stat", nil, "list the paths only" },
      { "--path", "PATH", "only what is below it" } } } },
  { "bisect", "find the run that broke something", file = "history", rest = true,
    operands = { { "command", "a test: exit code 0 is good, 125 cannot tell, any other is bad",
      args = "+" } },
    options = { SESSION, { { "-s --shell", nil, "the test is a line for sh" },
      { "-j --parallel", "N", "how many tests at a time", { convert = count } } } } },
  { "blame", "say which run last changed a path", file = "history",
    operands = { { "path", "in the sandbox" } },
    options = { SESSION, { { "-i --image", "IMAGE", "of this image, not the session's" } } } },
  { "sessions", "list sessions, or delete one", file = "history",
    options = { { { "-D --delete", "NAME", "delete this session; its images stay" } } } },

  { "images", "list images", file = "images",
    operands = { { "prefix", "the beginning of the tag", args = "?" } },
    options = { { { "-a --all", nil, "also those without a tag" },
      { "--tree", nil, "draw which image came from which" },
      { "--limit", "N", "the most to list", { convert = count, default = "1000" } } } } },
  { "pull", "import an image of a registry", file = "images",
    operands = { { "reference", "such as debian:12, ghcr.io/me/app:v1, docker://…",
      args = "+" } },
    options = { { { "-t --tag", "NAME", "its name here" },
      { "--again", nil, "import it although it is there" } } } },
  { "push", "write an image to a registry, with the login of skopeo or docker login",
    file = "images",
    operands = { { "image", "the image; @ is where the session is" },
      { "reference", "such as registry.example.net/me/app:v2; default: the image's name",
        args = "?" } },
    options = { SESSION, { { "--timeout", "TIME", "how long it may take: 90, 90s, 2m, 1h",
      { convert = duration } } } } },
  { "build", "build an image of a Dockerfile", file = "images",
    operands = { { "context", "the directory; default: this one", args = "?" } },
    options = { { { "-f --file", "FILE", "the Dockerfile" }, { "-t --tag", "NAME", "its name" },
      { "--target", "STAGE", "build this stage" },
      { "--arg", "NAME=VALUE", "a build argument", { count = "*", convert = setting } },
      { "--net", nil, "let RUN use the network" } } } },
  { "import", "make an image of a tar, an OCI layout or archive", file = "images",
    operands = { { "source", "a file, or oci:DIR, oci-archive:FILE, docker-archive:FILE" } },
    options = { { { "-t --tag", "NAME", "its name" } } } },
  { "export", "write an image as a tar, or as an OCI layout", file = "images",
    operands = { { "image", "the image" } },
    options = { { { "-o --output", "FILE", "where the tar goes; default: standard output" },
      { "--oci", "DIR", "make this directory, an OCI layout" } } } },
  { "tag", "name an image, or take the name away", file = "images",
    operands = { { "image", "the image" }, { "name", "its new name", args = "?" } },
    options = { SESSION, { { "-D --delete", nil, "take the image's name away" } } } },
  { "rm", "take the names of images away, so that gc removes them", file = "images",
    operands = { { "image", "the images", args = "+" } } },

  { "ls", "list a directory of an image", file = "files",
    operands = { { "image", "the image; @ is where the session is" },
      { "path", "the directory; default /", args = "?" } }, options = { SESSION } },
  { "cat", "print files of an image", file = "files",
    operands = { { "image", "the image" }, { "path", "the files", args = "+" } },
    options = { SESSION } },
  { "cp", "copy out of an image, or into a new one", file = "files",
    operands = { { "from", "IMAGE:/PATH, or a path here" },
      { "to", "a path here, or IMAGE:/PATH" } },
    options = { SESSION, { { "-t --tag", "NAME", "name the new image" } } } },
  { "grep", "search the files of an image", file = "files",
    operands = { { "pattern", "a regular expression" }, { "image", "the image" },
      { "path", "below this; default /", args = "?" } },
    options = { SESSION, { { "-i --ignore-case", nil, "capitals and small letters are alike" },
      { "-F --fixed", nil, "the pattern is plain text" },
      { "-l --files", nil, "print the names of the files only" } } } },

  { "ps", "list operations that run", file = "operations",
    options = { { { "-a --all", nil, "also those that have ended" },
      { "--limit", "N", "the most to list", { convert = count, default = "100" } } } } },
  { "stop", "cancel operations", file = "operations",
    operands = { { "operation", "their ids, or the first digits", args = "*" } },
    options = { { { "-a --all", nil, "all that run" } } } },
  { "top", "show what operations use, every second", file = "operations",
    options = { { { "-1 --once", nil, "show it once" } } } },
  { "forward", "make a port of a sandbox one of this machine, until the operation ends",
    file = "operations",
    operands = { { "operation", "its id, or the first digits" },
      { "port", "the port in the sandbox, or the path of a Unix socket there" } },
    options = { { { "--listen", "ADDRESS:PORT", "where; default 127.0.0.1, any free port" } } } },
  { "pause", "stop all processes of operations for a while", file = "operations",
    operands = { { "operation", "their ids, or the first digits", args = "+" } } },
  { "resume", "let paused operations go on", file = "operations",
    operands = { { "operation", "their ids, or the first digits", args = "+" } } },
  { "wait", "wait for an operation, and print what it wrote", file = "operations",
    operands = { { "operation", "its id" } } },

  { "volumes", "list volumes, make one, or delete one", file = "volumes",
    operands = { { "name", "the volume to make", args = "?" } },
    options = { { { "--quota", "SIZE", "what it may hold: 512M, 2G", { convert = bytes } },
      { "-D --delete", "NAME", "delete a volume, with all that it holds" } } } },

  { "status", "say which server answers, and what it allows", file = "server" },
  { "doctor", "say what this machine lacks, and the fix", file = "server" },
  { "df", "say what the disk is used for", file = "server" },
  { "gc", "remove what was not used for long", file = "server",
    options = { { { "--dry-run", nil, "only say what would be removed" },
      { "--older-than", "AGE", "images without a name, operations and uploads of this age: "
        .. "12h, 30d; default 180d" } } } },
  { "login", "write a profile for the hosted service; the token is read from standard input",
    file = "login",
    operands = { { "name", "the profile's name; default \"default\"", args = "?" } },
    options = { { { "--service-url", "URL", "the service; default: the hosted one" },
      { "--project", "ID", "the project" } } } },
  { "mcp", "serve tools for agents (MCP) on standard input and output", file = "mcp" },
  { "completion", "print the completion of a shell", file = "completion",
    operands = { { "shell", "bash, zsh or fish", choices = { "bash", "zsh", "fish" } } } },
}

--- The rows, for who describes them.
arguments.commands, arguments.common = COMMANDS, COMMON

local by_name = {}
for _, command in ipairs(COMMANDS) do by_name[command[1]] = command end

-- Calls fn(option) for the options of a command that are its own.
local function each_option(command, fn)
  for _, list in ipairs(command.options or {}) do
    for _, option in ipairs(list) do fn(option) end
  end
end

local function add_option(parser, option)
  local names, value, help, fields = table.unpack(option)
  local made = value and parser:option(names):argname(value) or parser:flag(names)
  made:description(help)
  for field, given in pairs(fields or {}) do made[field](made, given) end
end

-- Adds what a command takes to its parser.
local function define(parser, command)
  for _, operand in ipairs(command.operands or {}) do
    local made = parser:argument(operand[1]):description(operand[2])
    if operand.args then made:args(operand.args) end
    if operand.convert then made:convert(operand.convert) end
    if operand.choices then made:choices(operand.choices) end
  end
  each_option(command, function(option) add_option(parser, option) end)
  parser:epilog("Options of every command: --json, --quiet, --profile, --url, --data-dir "
    .. "(contree --help).")
end

--- The parser. Defining all commands takes longer than a run; what is not asked for is only
--- named.
---@param wanted? string the command that is defined; "all"
---@return table argparse's
function arguments.parser(wanted)
  local parser = argparse("contree", "Run commands in sandboxes whose file system branches like "
    .. "git.", "contree COMMAND --help tells more; so does man contree.")
  parser:command_target("command_name")
  parser:require_command(false):help_max_width(96):usage_max_width(96)
  local known = wanted and by_name[wanted]
  function parser.error(_, message)
    io.stderr:write("contree: ", (message:gsub("\n", "; "):gsub("%c", "?")), "\n  contree ",
      known and known[1] .. " " or "", "--help tells more\n")
    os.exit(WRONG_USE)
  end
  parser:flag("-V --version"):description("print the version")
  for _, option in ipairs(COMMON) do add_option(parser, option) end
  for _, command in ipairs(COMMANDS) do
    local made = parser:command(command[1]):summary(command[2]):description(command[2])
    made:target("is_" .. command[1]) -- options have the plain names
    if wanted == "all" or wanted == command[1] then define(made, command) end
  end
  return parser
end

-- Which options have a value: name -> boolean.
local function arity(command)
  local has_value = {}
  local function note(option)
    for name in option[1]:gmatch("%S+") do has_value[name] = option[2] ~= nil end
  end
  for _, option in ipairs(COMMON) do note(option) end
  if command then each_option(command, note) end
  return has_value
end

-- The place of the first operand from `at` on; "--" counts as one.
local function first_operand(argv, at, command)
  local has_value = arity(command)
  while argv[at] do
    local word = argv[at]
    if word == "--" or word == "-" or word:sub(1, 1) ~= "-" then break end
    at = at + (has_value[word] and 2 or 1)
  end
  return at
end

-- Puts "--" where the options of a command that runs another end: after its operand, or where
-- the user has put it.
local function guard_rest(parser, argv, at, command)
  local from = first_operand(argv, at + 1, command)
  local has_operand = argv[from] ~= nil and argv[from] ~= "--"
  local dashes = from
  while argv[dashes] and argv[dashes] ~= "--" do dashes = dashes + 1 end
  local guarded = table.move(argv, 1, from - 1, 1, {})
  if command.instead and not has_operand then guarded[#guarded + 1] = command.instead end
  if command.operands[2] and not command.instead and argv[from] == "--" then
    local operand = command.operands[1][1]
    parser:error(("the %s comes before \"--\": contree %s [OPTIONS] %s -- COMMAND"):format(operand,
      command[1], operand:upper()))
  end
  if command.loose then return table.move(argv, from, #argv, #guarded + 1, guarded) end
  if command.operands[2] and has_operand then
    guarded[#guarded + 1], from = argv[from], from + 1
    if dashes > from and argv[from]:sub(1, 1) == "-" then
      parser:error(("options come before the %s: contree %s [OPTIONS] %s -- COMMAND"):format(
        command.operands[1][1], command[1], guarded[#guarded]))
    end
  end
  guarded[#guarded + 1] = "--"
  if argv[from] == "--" then from = from + 1 end
  return table.move(argv, from, #argv, #guarded + 1, guarded)
end

--- The values of an option that may be repeated, NAME=VALUE each, by their names.
---@param list { [1]: string, [2]: string }[]
---@return table<string, string>? map nil: the option was not given
function arguments.map(list)
  if #list == 0 then return nil end
  local map = {}
  for _, each in ipairs(list) do map[each[1]] = each[2] end
  return map
end

--- Reads a command line. Help, the version and mistakes are printed, and end the program.
---@param argv string[]
---@return table args, table? command the row of the table above
function arguments.parse(argv)
  local at = first_operand(argv, 1)
  local command = by_name[argv[at]]
  local parser = arguments.parser(command and command[1])
  if command and command.rest then argv = guard_rest(parser, argv, at, command) end
  local args = parser:parse(argv)
  if args.version then
    print("contree " .. require("contree.core").version)
    os.exit(0)
  elseif not args.command_name then
    print(parser:get_help())
    os.exit(0)
  end
  return args, command
end

return arguments
