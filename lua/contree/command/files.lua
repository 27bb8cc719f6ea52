--- contree ls, cat, cp, grep: the files of images.

local errors = require("contree.base.errors")
local kept = require("contree.workspace.kept")
local report = require("contree.command.report")
local sessions = require("contree.command.sessions")
local terminal = require("contree.command.terminal")

local files = {}

local LETTERS = { directory = "d", link = "l", symlink = "l", file = "-", fifo = "p",
  socket = "s", character = "c", block = "b" }

-- 493 -> "rwxr-xr-x"
local function mode_text(mode)
  local text = {}
  local function has(bit) return math.floor(mode / 2 ^ bit) % 2 == 1 end
  for i = 8, 0, -1 do
    text[#text + 1] = has(i) and ("xwr"):sub(i % 3 + 1, i % 3 + 1) or "-"
  end
  if has(11) then text[3] = text[3] == "x" and "s" or "S" end
  if has(10) then text[6] = text[6] == "x" and "s" or "S" end
  if has(9) then text[9] = text[9] == "x" and "t" or "T" end
  return table.concat(text)
end

function files.ls(args)
  local list = sessions.image(args, args.image):ls(args.path or "/")
  if args.json then
    for _, entry in ipairs(list) do report.json(entry) end
    return 0
  end
  local rows = {}
  for i, entry in ipairs(list) do
    local name = entry.name .. (entry.target and " -> " .. entry.target or "")
    rows[i] = { (LETTERS[entry.type] or "?") .. mode_text(entry.mode or 0),
      ("%s:%s"):format(entry.owner or entry.uid or 0, entry.group or entry.gid or 0),
      report.size(entry.size or 0), name }
    if args.quiet then report.line(terminal.plain(entry.name)) end
  end
  if not args.quiet and #rows > 0 then report.table({ "MODE", "OWNER", "SIZE", "NAME" }, rows) end
  return 0
end

-- A file of an image for a terminal: its lines, without what steers it.
local function shown(bytes)
  return (bytes:gsub("\r\n", "\n"):gsub("[^\n\t]+", terminal.plain))
end

function files.cat(args)
  local image = sessions.image(args, args.image)
  for _, path in ipairs(args.path) do
    local bytes = image:read(path)
    if terminal.is(terminal.OUT) and bytes:find("\0", 1, true) then
      errors.raise("invalid_argument", path .. " is no text, and this is a terminal",
        { hint = "send it into a file or a pipe" })
    end
    report.write(terminal.is(terminal.OUT) and shown(bytes) or bytes)
  end
  return 0
end

local function copy_out(args, word, path)
  local image = sessions.image(args, word)
  local to = args.to
  if to == "-" then
    report.write(image:read(path))
    return 0
  end
  local name = path:match("([^/]+)/*$")
  if name and pcall(kept.folder, to) then to = to:gsub("/+$", "") .. "/" .. name end
  image:download(path, to)
  return 0
end

local function copy_in(args, word, path)
  local image = sessions.image(args, word)
  if path:sub(-1) == "/" then path = path .. (args.from:match("([^/]+)/*$") or "") end
  local made = image:apply_files{ [path] = args.from }
  local result = args.tag and made:tag_as(args.tag) or made
  if args.json then
    report.json({ uuid = result.uuid, tag = result.tag })
  else
    report.line(args.tag or result.uuid)
  end
  return 0
end

function files.cp(args)
  local from, out_of = sessions.split(args.from)
  if from then return copy_out(args, from, out_of) end
  local to, into = sessions.split(args.to)
  if to then return copy_in(args, to, into) end
  errors.raise("invalid_argument", "neither side is in an image",
    { hint = "IMAGE:/PATH is; @:/PATH is where the session is" })
end

local function put_match(args, match, seen)
  if args.json then return report.json(match) end
  local path = terminal.plain(match.path)
  if not args.files then
    local text = match.line_text:gsub("\r?\n$", "")
    report.line(("%s:%d:%s"):format(path, match.line_number, terminal.plain(text)))
  elseif not seen[path] then
    report.line(path)
    seen[path] = true
  end
end

function files.grep(args)
  -- In PCRE2 a backslash takes the meaning from any character that is no letter or digit.
  local pattern = args.fixed and args.pattern:gsub("[%p%s]", "\\%0") or args.pattern
  local found = sessions.image(args, args.image):grep{ pattern = pattern, path = args.path or "/",
    case = args.ignore_case and "insensitive" or nil }
  local seen = {}
  for _, match in ipairs(found.matches) do put_match(args, match, seen) end
  if found.truncated then report.note(args, "contree: there are more; a path narrows it") end
  return #found.matches > 0 and 0 or 1
end

return files
