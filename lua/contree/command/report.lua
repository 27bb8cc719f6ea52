--- What the program prints: tables for people, JSON for programs, failures in words.

local class = require("contree.base.class")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local remedy = require("contree.base.remedy")
local terminal = require("contree.command.terminal")
local words = require("contree.base.text")

local report = {}

local OUT, ERR = terminal.OUT, terminal.ERR
local DEPTH = 8 -- of tables in tables

--- Writes to standard output; a reader that has gone ends the program as SIGPIPE would.
---@param text string
---@param file? file* standard error, in its place
function report.write(text, file)
  local ok, problem = (file or io.stdout):write(text)
  if ok then return end
  errors.raise("file", "standard output: " .. problem, { broken_pipe = true })
end

-- Our own colours and ends of lines stay; all else that steers a terminal is somebody else's.
local function safe(text)
  text = text:gsub("\27(%[?)(%d*)(m?)", function(bracket, number, letter)
    local is_ours = bracket ~= "" and number ~= "" and letter ~= ""
    return not is_ours and "?" .. bracket .. number .. letter or nil
  end)
  return (text:gsub("[^\n\27]+", terminal.plain))
end

--- Prints words and an end of line.
function report.line(text) report.write(safe(text) .. "\n") end

--- A word about what goes on, to standard error.
function report.note(args, text)
  if not args.quiet then io.stderr:write(terminal.colour(ERR, "dim", safe(text)), "\n") end
end

-- JSON -----------------------------------------------------------------------

-- Objects are shown by what names them.
local NAMED = {
  ["contree.Operation"] = function(self) return self.uuid end,
  ["contree.Image"] = function(self) return { uuid = self.uuid, tag = self.tag } end,
}
NAMED["contree.Result"] = NAMED["contree.Image"]

-- A value of the library as JSON has it: fields that are data, no clients and no methods.
local function data(value, depth)
  local named = NAMED[class.of(value)]
  if named and depth < DEPTH then return named(value) end
  if type(value) ~= "table" then
    local kind = type(value)
    if kind == "string" then return words.utf8(value) end
    return (kind == "number" or kind == "boolean") and value or nil
  end
  if depth == 0 then return nil end
  local copy = getmetatable(value) == getmetatable(json.array()) and json.array() or {}
  for key, each in next, value do
    if key ~= "client" then copy[key] = data(each, depth - 1) end
  end
  return #value > 0 and json.array(copy) or copy
end

local function escaped(bytes)
  local code = utf8.codepoint(bytes)
  return ("\\u%04x"):format(code)
end

-- JSON lets characters stand as they are that a terminal obeys.
local function visible(text)
  return (text:gsub("\127", escaped):gsub("\194[\128-\159]", escaped)
    :gsub("\226\128[\168-\174]", escaped):gsub("\226\129[\166-\169]", escaped))
end

--- Prints a value as one line of JSON.
function report.json(value)
  local text, problem = json.encode(data(value, DEPTH))
  if not text then errors.raise("internal", "JSON: " .. problem) end
  report.write(visible(text) .. "\n")
end

-- Tables ---------------------------------------------------------------------

local function width_of(text) return utf8.len(text) or #text end

--- Prints rows of text below headings. On a terminal the last column is cut at its edge.
---@param headings string[]
---@param rows string[][]
function report.table(headings, rows)
  local widths = {}
  for _, row in ipairs{ headings, table.unpack(rows) } do
    for i, text in ipairs(row) do widths[i] = math.max(widths[i] or 0, width_of(text)) end
  end
  local function put(row, colour)
    local cells = {}
    for i, text in ipairs(row) do
      text = terminal.plain(text)
      local pad = i < #row and (" "):rep(widths[i] - width_of(text)) or ""
      cells[i] = text .. pad
    end
    local line = table.concat(cells, "  ")
    if terminal.is(OUT) and width_of(line) == #line then line = line:sub(1, terminal.width()) end
    report.line(colour and terminal.colour(OUT, colour, line) or line)
  end
  put(headings, "bold")
  for _, row in ipairs(rows) do put(row) end
end

--- A list: a table for people, with `cells` of each; with --json an object a line.
---@param args table
---@param list any[]
---@param headings string[]
---@param cells fun(each: any): string, string?, string?, string?, string?
function report.list(args, list, headings, cells)
  if args.json then
    for _, each in ipairs(list) do report.json(each) end
    return
  end
  local rows = {}
  for i, each in ipairs(list) do rows[i] = { cells(each) } end
  if args.quiet then
    for _, row in ipairs(rows) do report.line(terminal.plain(row[1])) end
  elseif #rows > 0 then
    report.table(headings, rows)
  end
end

-- Values ---------------------------------------------------------------------

report.size = words.size
report.duration = words.duration

--- How long ago an ISO time was: "5m".
function report.age(iso)
  local year, month, day, hour, minute, second =
    (iso or ""):match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)")
  if not year then return "-" end
  local here = os.time()
  local utc = os.date("!*t", here)
  utc.isdst = nil
  local seconds = os.time(utc) - os.time{ year = year, month = month, day = day, hour = hour,
    min = minute, sec = second }
  for _, unit in ipairs{ { 86400, "d" }, { 3600, "h" }, { 60, "m" } } do
    if seconds >= unit[1] then return ("%d%s"):format(math.floor(seconds / unit[1]), unit[2]) end
  end
  return ("%ds"):format(math.max(0, seconds))
end

-- Failures -------------------------------------------------------------------

--- Says what failed, and what to do about it.
function report.failure(args, err)
  if not errors.is(err) then err = errors.new("internal", tostring(err)) end
  local hint = remedy.hint(err, "shell")
  if args.json then
    local shown = { kind = err.kind, message = err.message, hint = hint, status = err.status,
      request_id = err.request_id }
    io.stderr:write(visible(json.encode({ error = data(shown, DEPTH) })), "\n")
    return
  end
  io.stderr:write(terminal.colour(ERR, "red", "contree: "), terminal.plain(err.message), "\n")
  if hint then io.stderr:write("  ", terminal.plain(hint), "\n") end
end

return report
