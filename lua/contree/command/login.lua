--- contree login: a profile for the hosted service. The token comes from standard input, so that
--- no list of processes and no history of a shell has it.

local config = require("contree.wire.config")
local contree = require("contree")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local report = require("contree.command.report")
local terminal = require("contree.command.terminal")
local uv = require("luv")

local login = {}

local OWNER_ONLY = 384 -- 0600

-- Reads a line from the terminal without showing it.
local function ask(prompt)
  local tty = uv.new_tty(terminal.IN, true)
  -- Before the prompt: what is typed or pasted at once is not shown either.
  tty:set_mode(1)
  io.stderr:write(prompt)
  local typed, waiter = "", {}
  tty:read_start(function(_, bytes)
    typed = typed .. (bytes or "\4")
    if typed:find("[\r\n\3\4]") then loop.fire(waiter, true) end
  end)
  local ok, err = pcall(loop.await, waiter)
  tty:read_stop()
  tty:set_mode(0)
  tty:close()
  io.stderr:write("\n")
  if not ok then error(err, 0) end
  if typed:find("\3", 1, true) then errors.raise("cancelled", "cancelled") end
  return typed:match("^[^\r\n\4]*")
end

local function read_token()
  if terminal.is(terminal.IN) then return ask("Token: ") end
  return (io.read("l") or "")
end

-- The old file or the new one, whatever happens.
local function replace(path, text)
  local new = ("%s.%d"):format(path, uv.os_getpid())
  local file, problem = uv.fs_open(new, "wx", OWNER_ONLY)
  local ok = file ~= nil
  if ok then
    ok, problem = uv.fs_write(file, text, -1)
    if ok then ok, problem = uv.fs_fsync(file) end
    uv.fs_close(file)
    if ok then ok, problem = uv.fs_rename(new, path) end
    if not ok then uv.fs_unlink(new) end
  end
  if not ok then errors.raise("file", ("%s: %s"):format(path, problem)) end
end

local function current(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text or ""
end

-- The text of auth.ini with this profile in it; all else stays as it is.
local function with_profile(text, name, fields)
  local title, lines = ("[profile:%s]"):format(name), {}
  local own = { title }
  for _, key in ipairs{ "token", "url", "project" } do
    local value = fields[key] and fields[key]:gsub("%%", "%%%%")
    if value then own[#own + 1] = key .. " = " .. value end
  end
  local written, inside = false, false
  local function write_own()
    if not written then table.move(own, 1, #own, #lines + 1, lines) end
    written = true
  end
  for line in text:gmatch("[^\n]+") do
    local section = line:match("^%s*(%[.-%])%s*$")
    if section then inside = section == title end
    if inside then write_own() else lines[#lines + 1] = line end
  end
  write_own()
  return table.concat(lines, "\n") .. "\n"
end

function login.login(args)
  local name = args.name or "default"
  if not name:find("^[%w_.-]+$") then
    errors.raise("invalid_argument", ("'%s' is no name for a profile"):format(name),
      { hint = "letters, digits, _ . and - make one" })
  end
  local token = read_token():match("^%s*(.-)%s*$")
  if token == "" then
    errors.raise("invalid_argument", "there is no token",
      { hint = "echo \"$TOKEN\" | contree login, or type it when asked" })
  end
  local fields = { token = token, url = args.service_url, project = args.project }
  contree.new(fields):whoami()
  local directory = config.directory(os.getenv)
  local path = directory .. "/auth.ini"
  directories.make(directory)
  replace(path, with_profile(current(path), name, fields))
  report.note(args, ("%s has the profile %s; --profile %s uses it"):format(path, name, name))
  return 0
end

return login
