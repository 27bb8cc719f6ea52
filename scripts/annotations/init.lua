--- Reads the annotations of lua/contree: the classes with their fields and methods. What is
--- no LuaCATS, as far as this repository uses it, is a problem: lua-language-server passes
--- over such lines without a word.

local types = require("annotations.types")

local annotations = {}

--- What `require` returns.
annotations.MODULES = { "contree", "contree.testing" }
--- The same, with the door for one host.
annotations.ALL_MODULES = { "contree", "contree.testing", "resty.contree" }
-- The variables that hold the functions of a module.
local MODULE_OF = { testing = "contree.testing", resty = "resty.contree" }
-- These functions take a client and a uuid; images have them as methods of the same name.
local SHARED = { filesystem = "contree.Image" }

-- The tags that we use.
local TAGS = { param = true, field = true, ["return"] = true, type = true, alias = true,
  class = true, async = true, operator = true }

-- The types that nobody declares.
local BUILT_IN = {}
for name in ("any nil boolean true false string number integer function table thread userdata "
  .. "lightuserdata unknown type self file* contree.safe"):gmatch("%S+") do
  BUILT_IN[name] = true
end

local function lines_of(command)
  local lines = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  table.sort(lines)
  return lines
end

--- The content of a file. Nil means that there is no such file.
function annotations.read(path)
  local file = io.open(path)
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

-- Blocks of comments ---------------------------------------------------------------

--- A comment block: its words, example, tags. A line that begins with two spaces goes on
--- with the tag before it.
---@param complain fun(format: string, ...): nil is told what cannot be read
local function parse_block(lines, complain)
  local block = { words = {}, example = {}, params = {}, returns = {}, fields = {} }
  local last
  local function read_type(rest)
    local found, problem = types.parse(rest)
    if found then
      for _, name in ipairs(found.names) do block.names[#block.names + 1] = name end
      return found
    end
    complain("%s: %s", rest, problem)
    return { text = "any", rest = rest, members = {} }
  end
  local function tag(list, name, rest)
    local found = read_type(rest)
    last = { name = name, type = found.text, about = found.rest, members = found.members }
    list[#list + 1] = last
  end
  block.names = {}
  for _, line in ipairs(lines) do
    local text = line:match("^%s*%-%-%-(.*)$")
    local kind, rest = text:match("^@(%w+)%s*(.*)$")
    if text:find("^%s*@") and not TAGS[kind] then complain("%s is no tag of ours", text) end
    if kind == "param" or kind == "field" then
      local name, more = rest:match("^(%[[^%]]*%])%s+(.*)$")
      if not name then name, more = rest:match("^([%a_.][%w_.]*%??)%s+(.*)$") end
      if name then
        tag(kind == "param" and block.params or block.fields, name, more)
      else
        complain("%s has no name, or no type", text)
      end
    elseif kind == "return" then
      tag(block.returns, nil, rest)
      last.name, last.about = last.about:match("^([%w_]*)%s*(.*)$")
    elseif kind == "alias" then
      local name, more = rest:match("^([%w_.]+)%s*(.*)$")
      block.alias = { name = name, type = more ~= "" and read_type(more).text or "" }
      last = nil
    elseif kind == "operator" then
      local given, more = rest:match("^call%((.-)%)%s*:%s*(.+)$")
      if not given then complain("%s is no operator of ours", text) end
      if given ~= "" then read_type(given or "any") end
      block.call, last = { given = given, returns = read_type(more or "any").text }, nil
    elseif kind == "type" then
      block.type, last = read_type(rest).text, nil
    elseif kind == "class" then
      local name, about = rest:match("^([%w_.]+)%s*(.*)$")
      if not name then complain("%s has no name", text) end
      block.class, block.parent = name, about:match("^:%s*([%w_.]+)")
      block.names[#block.names + 1] = block.parent
      block.about = about:gsub("^:%s*[%w_.]+%s*", "")
      last = block
    elseif kind then
      block[kind], last = rest == "" and true or rest, nil
    elseif text:find("^|") then
      block.choices = (block.choices or "") .. text
    elseif last and text:find("^  ") then
      last.about = last.about .. " " .. text:gsub("^%s+", "")
    elseif text:find("^     ") then
      block.example[#block.example + 1] = text:sub(6)
    elseif not text:find("^%s*$") then
      block.words[#block.words + 1] = text:gsub("^%s+", "")
    end
  end
  local words = table.concat(block.words, " ")
  block.raises = words:match("Raises: ([^.]*)%.")
  block.text = words:gsub("%s*Raises: [^.]*%.%s*", "", 1)
  return block
end

--- Whether a function gives something back: a return of its own, not of one inside it.
local function gives(lines, at)
  local indent = lines[at]:match("^ *")
  if lines[at]:find("%f[%w]end%)?,?$") then return lines[at]:find("return%s+[^%s]") ~= nil end
  for i = at + 1, #lines do
    if lines[i]:find("^" .. indent .. "end") then return false end
    local deeper = lines[i]:match("^( *)return%s+[^%s]")
    if deeper and #deeper <= #indent + 4 and not lines[i]:find("return end") then return true end
  end
  return false
end

--- The name and the parameters of a function that a line begins, and its table.
local function parse_function(line)
  local owner, mark, name, args = line:match("^function ([%w_]+)([:.])([%w_]+)%((.-)%)")
  if owner then return owner, name, args, mark end
end

--- A member of the module's table: its name, its parameters if they are known, and whether
--- it gives something back.
local function parse_member(file, at)
  local line = file.lines[at]
  local name, what = line:match("^    ([%w_]+) = (.*)$")
  if not name or not (what:find("^guard%(") or what:find(",$")) then return end
  local known = file.locals[what:match("^guard%(([%w_]+)%)")]
  if known then return name, known.args, known.gives end
  return name, line:match("function%((.-)%)"), line:find("function") and gives(file.lines, at)
end

local function class_of(classes, name)
  classes[name] = classes[name] or { name = name, methods = {}, fields = {} }
  return classes[name]
end

local function add_function(classes, owner, block, name, args, where)
  local class = class_of(classes, owner)
  local names = {}
  for arg in (args or ""):gmatch("[%w_.]+") do names[#names + 1] = arg end
  if SHARED[where.owner] then table.remove(names, 1) table.remove(names, 1) end
  local method = { name = name, args = args and names, block = block, where = where }
  class.methods[#class.methods + 1], class.methods[name] = method, method
end

local function add_class(classes, block)
  local class = class_of(classes, block.class)
  for key, value in pairs(block) do
    if key ~= "fields" then class[key] = value end
  end
  class.declared = true
  for _, field in ipairs(block.fields) do table.insert(class.fields, field) end
end

--- What a block of comments says of the line below it. `file`: path, lines, the classes
--- of its variables and the parameters of its local functions.
local function take(classes, file, block, at)
  local line = file.lines[at]
  local where = { path = file.path, line = at, gives = gives(file.lines, at) }
  local variable = line:match("^local (%w+) = ")
  if block.class then add_class(classes, block) end
  if variable and block.class then file.bound[variable] = block.class end
  if variable and line:find("%.methods$") then file.bound[variable] = "contree." .. variable end
  if block.alias then
    class_of(classes, block.alias.name).alias = block.alias.type .. (block.choices or "")
  end
  local owner, name, args, mark = parse_function(line)
  where.owner = owner
  if owner and file.bound[owner] and (mark == ":" or SHARED[owner] or MODULE_OF[owner]) then
    add_function(classes, file.bound[owner], block, name, args, where)
  end
  name, args = line:match("^local function ([%w_]+)%((.-)%)")
  if name then file.locals[name] = { args = args, gives = where.gives } end
  if not file.path:find("face%.lua$") then return end
  name, args, where.gives = parse_member(file, at)
  if name and block.type then
    table.insert(class_of(classes, "contree").fields,
      { name = name, type = block.type, about = block.text })
  elseif name then
    add_function(classes, "contree", block, name, args, where)
  end
end

local function read_source(classes, path, text, found)
  local file = { path = path, lines = {}, locals = {}, bound = {} }
  for name, module in pairs(MODULE_OF) do file.bound[name] = module end
  for name, class in pairs(SHARED) do file.bound[name] = class end
  for line in text:gmatch("([^\n]*)\n") do file.lines[#file.lines + 1] = line end
  local comment = {}
  for at, line in ipairs(file.lines) do
    if line:find("^%s*%-%-%-") then
      comment[#comment + 1] = line
    else
      local block = parse_block(comment, function(format, ...)
        table.insert(found.problems, ("%s:%d: "):format(path, at - #comment) .. format:format(...))
      end)
      for _, name in ipairs(block.names) do
        table.insert(found.uses, { name = name, path = path, line = at - #comment })
      end
      take(classes, file, block, at)
      comment = {}
    end
  end
end

--- Whether a class is what `require` returns.
function annotations.is_module(name)
  for _, module in ipairs(annotations.ALL_MODULES) do
    if name == module then return true end
  end
  return false
end

--- The types that are named and that nothing declares.
local function undeclared(classes, uses, problems)
  for _, use in ipairs(uses) do
    local class = classes[use.name]
    if not BUILT_IN[use.name] and not (class and (class.declared or class.alias)) then
      problems[#problems + 1] = ("%s:%d: nothing declares the type %s"):format(use.path, use.line,
        use.name)
    end
  end
end

---@class annotations.Class
---@field name string
---@field about? string        the words behind its name
---@field text? string         the words above it
---@field parent? string
---@field alias? string        the type that it stands for
---@field fields table[]       { name, type, about, members }
---@field methods table[]      { name, args, block, where }; also by name

--- What the sources below a directory declare, by names, and what is wrong with them.
---@param directory string
---@return table<string, annotations.Class> classes
---@return string[] problems
function annotations.read_tree(directory)
  local classes, found = {}, { problems = {}, uses = {} }
  for _, path in ipairs(lines_of("cd '" .. directory .. "' && find lua -name '*.lua'")) do
    read_source(classes, path, annotations.read(directory .. "/" .. path), found)
  end
  for _, name in ipairs(annotations.MODULES) do
    if classes[name] then classes[name].declared = true end
  end
  undeclared(classes, found.uses, found.problems)
  return classes, found.problems
end

--- The classes that the modules lead to, in the order in which a reader meets them.
---@param classes table<string, annotations.Class>
---@param modules? string[] default annotations.MODULES
---@return annotations.Class[]
function annotations.reachable(classes, modules)
  local order, seen, visit = {}, {}, nil
  local function follow(text)
    for name in text:gmatch("contree%.[%w_.]*%w") do visit(name) end
  end
  local function follow_all(list)
    for _, item in ipairs(list) do follow(item.type) end
  end
  function visit(name)
    local class = classes[name]
    if seen[name] or not class then return end
    seen[name], order[#order + 1] = true, class
    follow(class.parent or "")
    follow(class.alias or "")
    follow_all(class.fields)
    for _, method in ipairs(class.methods) do
      follow_all(method.block.params)
      follow_all(method.block.returns)
    end
  end
  for _, name in ipairs(modules or annotations.MODULES) do visit(name) end
  visit("contree.Error")
  return order
end

--- The classes that a function takes as tables of options: those without methods.
---@return table<string, true>
function annotations.options_of(classes, order)
  local found = {}
  for _, class in ipairs(order) do
    for _, method in ipairs(class.methods) do
      for _, param in ipairs(method.block.params) do
        for name in param.type:gmatch("contree%.[%w_.]*%w") do
          if classes[name] and #classes[name].methods == 0 then found[name] = true end
        end
      end
    end
  end
  return found
end

return annotations
