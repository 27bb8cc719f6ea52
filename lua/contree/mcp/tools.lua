--- The tools: what each takes, and how one is called. The files of `tools/` have them by subject.

local contree = require("contree")
local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local options = require("contree.base.options")
local remedy = require("contree.base.remedy")
local shapes = require("contree.mcp.tools.shapes")
local words = require("contree.base.text")

local tools = {}

local SUBJECTS = { "images", "runs", "files", "operations", "registries", "workspaces", "history",
  "guide" }

-- In their order, and by name. (Loading them takes a while; not every client asks.)
local all, by_name

local function load()
  if all then return end
  all, by_name = {}, {}
  for _, subject in ipairs(SUBJECTS) do
    for _, tool in ipairs(require("contree.mcp.tools." .. subject)) do
      all[#all + 1] = tool
      by_name[tool.name] = tool
    end
  end
end

---@class contree.mcp.Tool
---@field name string
---@field title string
---@field about string        what it does, for the model
---@field takes contree.mcp.Argument[]
---@field reads? boolean      it changes nothing
---@field destroys? boolean   it may take something away
---@field call fun(context: contree.mcp.Context, given: table): any

---@class contree.mcp.Argument
---@field [1] string          its name
---@field [2] "string"|"integer"|"number"|"boolean"|"list"|"map"
---@field [3] string          what it means
---@field required? boolean
---@field default? any
---@field choices? string[]

---@class contree.mcp.Context
---@field client contree.Client
---@field handles table       what tools keep between calls
---@field progress fun(done: number, total?: number, message?: string)

-- Schemas --------------------------------------------------------------------

local TEXT = { type = "string" }
local SCHEMAS = {
  list = { type = "array", items = TEXT },
  map = { type = "object", additionalProperties = TEXT },
}

local function schema_of(tool)
  local properties, required = {}, json.array()
  for _, argument in ipairs(tool.takes) do
    local name, kind, about = argument[1], argument[2], argument[3]
    local schema = {}
    for key, value in pairs(SCHEMAS[kind] or { type = kind }) do schema[key] = value end
    schema.description, schema.default = about, argument.default
    schema.enum = argument.choices and json.array(argument.choices)
    properties[name] = schema
    if argument.required then required[#required + 1] = name end
  end
  return { type = "object", properties = properties, required = required,
    additionalProperties = false }
end

--- All tools as the protocol lists them.
---@return table[]
function tools.list()
  load()
  local listed = {}
  for i, tool in ipairs(all) do
    listed[i] = { name = tool.name, title = tool.title, description = tool.about,
      inputSchema = schema_of(tool),
      annotations = { title = tool.title, readOnlyHint = tool.reads == true,
        destructiveHint = tool.destroys == true, openWorldHint = tool.world == true } }
  end
  return listed
end

---@return contree.mcp.Tool?
function tools.find(name)
  load()
  return by_name[name]
end

--- The name of a tool that was probably meant.
---@return string?
function tools.near(name)
  load()
  return type(name) == "string" and options.nearest(name, by_name) or nil
end

-- Arguments ------------------------------------------------------------------

local function is_text_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for key, each in pairs(value) do
    if type(key) ~= "number" or type(each) ~= "string" then return false end
    count = count + 1
  end
  return count == #value
end

local function is_text_map(value)
  if type(value) ~= "table" then return false end
  for key, each in pairs(value) do
    if type(key) ~= "string" or type(each) ~= "string" then return false end
  end
  return true
end

local IS = {
  string = function(value) return type(value) == "string" end,
  integer = function(value) return math.type(value) == "integer" end,
  number = function(value) return type(value) == "number" end,
  boolean = function(value) return type(value) == "boolean" end,
  list = is_text_list,
  map = is_text_map,
}
local NAMES = { string = "a text", integer = "an integer", number = "a number",
  boolean = "true or false", list = "a list of texts", map = "an object of texts" }

local function wrong(message, hint) errors.raise("invalid_argument", message, { hint = hint }) end

local function check_one(tool, argument, value)
  local name, kind = argument[1], argument[2]
  if not IS[kind](value) then wrong(("%s: %s must be %s"):format(tool.name, name, NAMES[kind])) end
  if not argument.choices then return end
  for _, choice in ipairs(argument.choices) do
    if value == choice then return end
  end
  wrong(("%s: %s must be one of %s"):format(tool.name, name, table.concat(argument.choices, ", ")))
end

-- The arguments of a call, with defaults.
local function check(tool, given)
  if given ~= nil and type(given) ~= "table" then
    wrong(tool.name .. ": arguments must be an object")
  end
  given = given or {}
  local known, names = {}, {}
  for i, argument in ipairs(tool.takes) do known[argument[1]], names[i] = true, argument[1] end
  for name in pairs(given) do
    if not known[name] then
      local nearest = options.nearest(tostring(name), known)
      wrong(("%s has no argument %s"):format(tool.name, shapes.word(name)),
        nearest and ("did you mean %s?"):format(nearest)
          or "it takes " .. table.concat(names, ", "))
    end
  end
  local checked = {}
  for _, argument in ipairs(tool.takes) do
    local name, value = argument[1], given[argument[1]]
    if value == nil then value = argument.default end
    if value == nil and argument.required then
      wrong(("%s: %s is missing"):format(tool.name, name), argument[3])
    end
    if value ~= nil then check_one(tool, argument, value) end
    checked[name] = value
  end
  return checked
end

-- Calling --------------------------------------------------------------------

local function text_block(text) return { type = "text", text = text } end

-- Bytes of a failure: what was given may be in it.
local MESSAGE_MAX = 10000

-- What a tool has returned: text is shown as it is, all else is JSON. What is no object stands
-- in one, under "result".
local function content_of(value)
  if type(value) == "string" then
    return { content = json.array{ text_block(value) }, structuredContent = { result = value } }
  end
  local is_object = type(value) == "table" and getmetatable(value) ~= getmetatable(json.array())
  local whole = is_object and value or { result = value }
  local text = json.encode(whole)
  if not text then
    whole = shapes.utf8(whole)
    text = assert(json.encode(whole))
  end
  return { content = json.array{ text_block(text) }, structuredContent = whole }
end

local function words_of(err)
  if not errors.is(err) then return "internal: " .. tostring(err) end
  local hint = remedy.hint(err, "agent")
  local message = words.cut(err.message, MESSAGE_MAX)
  return message .. (hint and "\n" .. words.cut(hint, MESSAGE_MAX) or "")
end

-- Tells the client how far it is, if it has asked, once a second at most.
local function progress_of(self, params)
  local meta = json.as("table", params._meta)
  local token = meta and meta.progressToken
  if type(token) ~= "string" and type(token) ~= "number" then token = nil end
  local last, told = -math.huge, -1
  return function(done, total, message)
    local now = core.now()
    if token == nil or done <= told or now - last < 1 then return end
    last, told = now, done
    self:notify("notifications/progress",
      { progressToken = token, progress = done, total = total, message = message })
  end
end

-- What takes long shows that it is alive, so that clients wait on.
local function pulse(progress)
  return contree.spawn(function()
    local seconds = 0
    while true do
      contree.sleep(2)
      seconds = seconds + 2
      progress(seconds, nil, ("%d s"):format(seconds))
    end
  end)
end

--- Calls a tool. Its failures are results that the model can act on.
---@async
---@param self contree.mcp.Server
---@param tool contree.mcp.Tool
---@param params table
---@return table result
function tools.call(self, tool, params)
  local progress = progress_of(self, params)
  local beat = pulse(progress)
  local ok, result = pcall(function()
    local given = check(tool, params.arguments)
    local context = { client = self.client, handles = self.handles, progress = progress }
    return content_of(tool.call(context, given))
  end)
  beat:cancel()
  if ok then return result end
  if shapes.is_interrupt(result) then error(result, 0) end
  return { content = json.array{ text_block(words_of(result)) }, isError = true }
end

return tools
