--- From the text of a Dockerfile to its instructions: lines joined, comments
--- dropped, flags, here-documents and JSON lists taken apart. Pure.

local json = require("contree.base.json")
local paths = require("contree.dockerfile.paths")
local problem = require("contree.dockerfile.problem")

local parser = {}

---@class contree.build.Instruction
---@field name string       in upper case
---@field file string
---@field line integer      where it begins
---@field source string     name and arguments as they stand, on one line
---@field text string       the arguments without flags
---@field flags table<string, string|true>
---@field flag_list { name: string, value: string|true }[] those given more than once, too
---@field list? string[]    the arguments when they are a JSON list
---@field heredocs contree.build.Heredoc[]
---@field stage? contree.build.Stage   set by stage.split

---@class contree.build.Heredoc
---@field name string       the word that ends it
---@field body string
---@field expand boolean    the word was not quoted

--- The instructions, and the flags that each may have.
local FLAGS = {
  FROM = { platform = true },
  RUN = { mount = true, network = true, security = true },
  COPY = { from = true, chown = true, chmod = true, link = true, exclude = true, parents = true },
  ADD = { chown = true, chmod = true, checksum = true, link = true, exclude = true,
    unpack = true, ["keep-git-dir"] = true },
  HEALTHCHECK = { interval = true, timeout = true, ["start-period"] = true,
    ["start-interval"] = true, retries = true },
  ARG = {}, CMD = {}, ENTRYPOINT = {}, ENV = {}, EXPOSE = {}, LABEL = {}, MAINTAINER = {},
  ONBUILD = {}, SHELL = {}, STOPSIGNAL = {}, USER = {}, VOLUME = {}, WORKDIR = {},
}

-- Flags that need no value.
local SWITCHES = { link = true, parents = true, unpack = true, ["keep-git-dir"] = true }

-- Instructions that may be written as a JSON list.
local LISTS = { RUN = true, CMD = true, ENTRYPOINT = true, SHELL = true, COPY = true, ADD = true,
  VOLUME = true }
local HEREDOCS = { RUN = true, COPY = true, ADD = true }
-- Instructions that may have no arguments.
local BARE = { CMD = true, ENTRYPOINT = true }

-- Lines ----------------------------------------------------------------------

local function lines_of(text)
  local lines = {}
  text = text:gsub("^\239\187\191", "")
  for line in (text:gsub("\n$", "") .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  return lines
end

local function is_comment(line) return line:find("^%s*#") ~= nil end
local function is_blank(line) return not line:find("%S") end

local DIRECTIVES = { syntax = true, escape = true, check = true }

-- Read the directives: comments at the top of the file. Returns the number of the next line.
local function read_directives(self)
  local at, seen = 1, {}
  while self.lines[at] do
    local name, value = self.lines[at]:match("^%s*#%s*(%a+)%s*=(.*)$")
    name, value = name and name:lower(), value and paths.trim(value)
    if not DIRECTIVES[name] then break end
    local here = { file = self.file, line = at }
    if seen[name] then problem.raise(here, ("the directive %s is there twice"):format(name)) end
    seen[name] = true
    if name == "escape" then
      if value ~= "\\" and value ~= "`" then
        problem.raise(here, "the escape character must be \\ or `")
      end
      self.escape = value
    end
    at = at + 1
  end
  return at
end

-- The line without the escape character that continues it, or nil.
local function continued(self, line)
  local before = line:match("^(.*)" .. "%" .. self.escape .. "[ \t]*$")
  if before and before:sub(-1) ~= self.escape then return before end
end

-- The logical line that begins at line `at`, and the number of the line behind it.
local function logical_line(self, at)
  local parts = {}
  local line = self.lines[at]:gsub("^%s+", "")
  at = at + 1
  while true do
    local before = continued(self, line)
    parts[#parts + 1] = before or line
    if not before then break end
    while self.lines[at] and (is_comment(self.lines[at]) or is_blank(self.lines[at])) do
      at = at + 1
    end
    line = self.lines[at]
    if not line then break end
    at = at + 1
  end
  return paths.trim(table.concat(parts)), at
end

-- Here-documents -------------------------------------------------------------

-- The end of the word that begins at a byte; quotes and escapes are skipped.
local function end_of_word(text, at, escape)
  local quote
  while at <= #text do
    local char = text:sub(at, at)
    if char == escape and quote ~= "'" then
      at = at + 1
    elseif quote then
      if char == quote then quote = nil end
    elseif char == '"' or char == "'" then
      quote = char
    elseif char:find("%s") then
      break
    end
    at = at + 1
  end
  return at - 1
end

local function words_of(text, escape)
  local words, at = {}, text:find("%S")
  while at do
    local last = end_of_word(text, at, escape)
    words[#words + 1] = text:sub(at, last)
    at = text:find("%S", last + 1)
  end
  return words
end

--- The words of a line; quotes and escapes stay in them.
parser.words = words_of

-- "<<EOF", "<<-EOF", '<<"EOF"', "3<<EOF"
local function heredoc_of(word)
  local dash, name = word:match("^%d*<<(%-?)([^<%s]+)$")
  if not name then return nil end
  local quoted = name:match("^'([^'\"]+)'$") or name:match('^"([^\'"]+)"$')
  if not quoted and name:find("['\"\\]") then return nil end
  return { name = quoted or name, expand = quoted == nil, tabs = dash == "-" }
end

local function read_heredoc(self, step, doc, at)
  local body = {}
  while true do
    local line = self.lines[at]
    if not line then
      problem.raise(step, ("the here-document %s does not end"):format(doc.name),
        ("a line that is just %s ends it"):format(doc.name))
    end
    if doc.tabs then line = line:gsub("^\t+", "") end
    at = at + 1
    if line == doc.name then break end
    body[#body + 1] = line .. "\n"
  end
  doc.body, doc.tabs = table.concat(body), nil
  return at
end

local function read_heredocs(self, step, at)
  step.heredocs = {}
  if not HEREDOCS[step.name] or step.list then return at end
  for _, word in ipairs(words_of(step.text, self.escape)) do
    local doc = heredoc_of(word)
    if doc then
      at = read_heredoc(self, step, doc, at)
      table.insert(step.heredocs, doc)
    end
  end
  return at
end

-- Instructions ---------------------------------------------------------------

local function read_flags(step)
  local known = FLAGS[step.name]
  step.flags, step.flag_list = {}, {}
  while next(known) do
    local flag, rest = step.text:match("^%-%-(%S+)%s*(.*)$")
    if not flag then break end
    local name, value = flag:match("^([^=]+)=(.*)$")
    name = name or flag
    if not known[name] then
      problem.raise(step, ("%s has no flag --%s"):format(step.name, name),
        problem.nearest(name, known))
    end
    if not value and not SWITCHES[name] then
      problem.raise(step, ("the flag --%s needs a value"):format(name), ("--%s=…"):format(name))
    end
    step.flags[name] = value or true
    table.insert(step.flag_list, { name = name, value = value or true })
    step.text = rest
  end
end

local function is_list_of_texts(value)
  local count = 0
  for _, text in pairs(value) do
    if type(text) ~= "string" or text:find("\0", 1, true) then return false end
    count = count + 1
  end
  return count == #value
end

-- Read a JSON list. As in Docker, text that only looks like a list is for the shell.
local function read_list(step)
  if not LISTS[step.name] or step.text:sub(1, 1) ~= "[" then return end
  local value = json.decode(step.text)
  if value and is_list_of_texts(value) then step.list = value end
end

local function check(step)
  if step.text == "" and not BARE[step.name] and step.name ~= "HEALTHCHECK" then
    problem.raise(step, step.name .. " needs an argument")
  end
  if step.text:find("\0", 1, true) then
    problem.raise(step, step.name .. " contains a NUL byte")
  end
end

-- Read an instruction; nil for a logical line that is empty.
local function read_instruction(self, at)
  local text, next_line = logical_line(self, at)
  local word, rest = text:match("^(%S+)%s*(.*)$")
  if not word then return nil, next_line end
  local step = { name = word:upper(), file = self.file, line = at, text = rest }
  if not FLAGS[step.name] then
    problem.raise(step, ("there is no instruction %q"):format(word:sub(1, 40)),
      problem.nearest(step.name, FLAGS))
  end
  step.source = step.name .. (rest ~= "" and " " or "") .. rest
  read_flags(step)
  check(step)
  read_list(step)
  return step, read_heredocs(self, step, next_line)
end

--- Read a Dockerfile.
---@param text string
---@param file string how messages name it
---@return contree.build.Instruction[] instructions
---@return string escape the escape character
function parser.parse(text, file)
  local self = { lines = lines_of(text), file = file, escape = "\\" }
  local at, list = read_directives(self), {}
  while self.lines[at] do
    if is_blank(self.lines[at]) or is_comment(self.lines[at]) then
      at = at + 1
    else
      list[#list + 1], at = read_instruction(self, at)
    end
  end
  return list, self.escape
end

return parser
