-- Reads every error message of the product from the sources, for docs/reference/messages.md.
-- Each call of one of the functions below makes an error. Its message is the string
-- literals of argument number `at`, with "…" for the variable parts.
--
--   lua5.4 spec/support/messages.lua            prints the page's list
--   lua5.4 spec/support/messages.lua --write    puts it into the page
local remedy = dofile("lua/contree/base/remedy.lua")

local messages = {}

messages.PAGE = "docs/reference/messages.md"
local BEGIN = "<!-- the rest is written by `lua5.4 spec/support/messages.lua --write` -->\n"

-- at: the number of the message among the arguments. kind: the number of the argument with
-- the kind or status, or the kind itself. advice: the argument after the message says what
-- to do, as a whole ("all") or in its field `hint`.
local LUA = {
  ["errors.raise"] = { at = 2, kind = 1, advice = "hint" },
  ["errors.new"] = { at = 2, kind = 1, advice = "hint" },
  ["errors.misuse"] = { at = 1, kind = "misuse", advice = "all" },
  ["problem.raise"] = { at = 2, kind = "Dockerfile", advice = "all" },
  broken = { at = 2, kind = "file" }, unavailable = { at = 2, kind = "engine_unavailable" },
  malformed = { at = 2, kind = "server" },
}
local C = {
  fault_set = { at = 3, kind = 2 }, fault_errno = { at = 3, kind = 2 },
  fault_path = { at = 3, kind = 2 }, fail = { at = 3, kind = 2 },
  luaL_error = { at = 2, kind = "internal" }, field_refuse = { at = 3, kind = "400" },
}

-- Reading -------------------------------------------------------------------------

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- Returns the end of a string that begins at `at`.
local function string_end(text, at)
  local quote = text:sub(at, at)
  repeat
    at = at + 1
    local char = text:sub(at, at)
    if char == "\\" then at = at + 1 end
  until char == quote or char == ""
  return at
end

local function literal(text)
  return (text:gsub("\\(.)", { n = " ", t = " " }):gsub("\\", ""))
end

-- Returns the arguments of the call with its parenthesis at `at`. Each has its strings, and
-- its code without them.
local function arguments(text, at, comment)
  local list, depth = { { code = "", strings = {} } }, 1
  while depth > 0 and at < #text do
    at = at + 1
    local char, current = text:sub(at, at), list[#list]
    if char == '"' or char == "'" then
      local last = string_end(text, at)
      current.strings[#current.strings + 1] = literal(text:sub(at + 1, last - 1))
      current.code = current.code .. '"'
      at = last
    elseif text:sub(at, at + 1) == comment.begins then
      at = select(2, text:find(comment.ends, at + 2, true)) or #text
    else
      depth = depth + (char:find("[({[]") and 1 or char:find("[)}%]]") and -1 or 0)
      if char == "," and depth == 1 then
        list[#list + 1] = { code = "", strings = {} }
      elseif depth > 0 then
        current.code = current.code .. char
      end
    end
  end
  return list
end

-- Returns the message of an argument. Conversions like %s become "…", and so does code
-- between two strings.
local function template(argument)
  local code = argument.code:gsub("%s*:format.*$", "")
  local text, i = "", 0
  for piece in (code .. "\0"):gmatch('[^"]*["%z]') do
    local between = piece:sub(1, -2):gsub("[%s().]+", "")
    if between ~= "" then text = text .. "…" end
    if piece:sub(-1) == '"' then
      i = i + 1
      text = text .. argument.strings[i]
    end
  end
  text = text:gsub("%%%%", "\1"):gsub("%%[-+ #0]*%*?%d*%.?%*?%d*[hlzjt]*[%a]", "…")
  return (text:gsub("\1", "%%"):gsub("%s+", " "):gsub("…[… ]*…", "…"):gsub("^ ", ""))
end

-- Returns the advice of a call: the argument after the message, or its hint.
local function advice_of(how, given)
  local argument = given[how.at + 1]
  if not argument or not how.advice then return "" end
  local code = argument.code
  if how.advice == "hint" then
    local named = code:find('remedy%s*=%s*{%s*"')
    if named then
      local skipped = select(2, code:sub(1, named):gsub('"', ""))
      local words = remedy.words({ argument.strings[skipped + 1], "…" }, "script")
      return ": " .. words
    end
    local first = code:find("hint%s*=")
    if not first then return "" end
    local skipped = select(2, code:sub(1, first):gsub('"', ""))
    local own = code:sub(first):gsub("^hint%s*=", ""):gsub(",%s*%w+%s*=.*$", ""):gsub("}", "")
    argument = { code = own,
      strings = { (table.unpack or unpack)(argument.strings, skipped + 1) } }
  end
  local text = #argument.strings > 0 and template(argument) or ""
  return text:find("%a") and ": " .. text:gsub("[%s,]+$", "") or ""
end

local function kind_of(argument)
  local code = argument.code:gsub("%s", "")
  return argument.strings[1] or code:match("^%w+$") or "…"
end

local function collect(path, functions, comment, found)
  local text = read(path)
  for name, how in pairs(functions) do
    local at = 1
    while true do
      local first, last = text:find(name .. "(", at, true)
      if not first then break end
      at = last + 1
      local whole = not text:sub(first - 1, first - 1):find("[%w_.]")
      local given = whole and arguments(text, last, comment) or {}
      local message = given[how.at] and #given[how.at].strings > 0 and template(given[how.at])
      if message and message:find("%a") then
        local kind = type(how.kind) == "number" and kind_of(given[how.kind]) or how.kind
        found[("- `%s` (%s)%s"):format(message:gsub("`", "'"), kind, advice_of(how, given))] = true
      end
    end
  end
end

--- The messages of a directory, sorted, one a line.
---@param without? string pattern of paths to leave out
local function section(directory, pattern, functions, comment, without)
  local found, lines = {}, {}
  for path in capture("git ls-files '" .. directory .. "'"):gmatch("[^\n]+") do
    if path:find(pattern) and not (without and path:find(without)) then
      collect(path, functions, comment, found)
    end
  end
  for line in pairs(found) do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines, "\n")
end

--- The list of messages as the page should have it.
function messages.list()
  local in_lua, in_c = { begins = "--", ends = "\n" }, { begins = "/*", ends = "*/" }
  return table.concat({
    "\n## Lua\n", section("lua/contree", "%.lua$", LUA, in_lua, "/[ld]%w+/%w+%.lua$"),
    "\n## Lua: hosts\n", section("lua/contree/loop", "%.lua$", LUA, in_lua),
    "\n## Lua: Dockerfiles\n", section("lua/contree/dockerfile", "%.lua$", LUA, in_lua),
    "\n## contree.core\n", section("src/core", "%.c$", C, in_c),
    "\n## The engine\n", section("src/engine", "%.c$", C, in_c),
    "\n## The start of a sandbox\n", section("src/init", "%.c$", C, in_c),
  }, "\n") .. "\n"
end

--- The list that the page has, and the text before it.
---@return string list, string rest
function messages.page()
  local text = read(messages.PAGE)
  local _, last = text:find(BEGIN, 1, true)
  assert(last, messages.PAGE .. " lacks its mark")
  return text:sub(last + 1), text:sub(1, last)
end

if arg and arg[0] and arg[0]:find("messages%.lua$") then
  if arg[1] == "--write" then
    local _, rest = messages.page()
    local file = assert(io.open(messages.PAGE, "wb"))
    file:write(rest, messages.list())
    file:close()
  else
    io.write(messages.list())
  end
end

return messages
