--- Classes with two faces: one raises, its twin (contree.safe) returns nil, err.

local errors = require("contree.base.errors")
local options = require("contree.base.options")
local place = require("contree.base.place")

local class = {}

--- In tests, a string that one of our lines raises ends the process.
class.strict = os.getenv("CONTREE_STRICT") == "1"

-- Errors that Lua itself raises, at any line: Ctrl-C, a stack or memory that is full.
local function is_from_lua(message)
  return message:find("interrupted!$") or message:find("stack overflow", 1, true)
    or message:find("not enough memory", 1, true)
end

-- An error object for a string that one of our lines raised. The core marks its own
-- messages (a missing library, no free descriptor) with "contree: "; the others are faults.
local function internal(message)
  local said = message:match("^.-:%d+: contree: (.+)$")
  if said then return errors.new("not_supported", said) end
  if class.strict then
    io.stderr:write("contree: a string was raised: ", message, "\n", debug.traceback(), "\n")
    os.exit(70)
  end
  return errors.new("internal", message,
    { hint = "this is a fault of contree itself; please report it with err.traceback" })
end

-- An error object for a part of ours that `require` could not load, if it is that. Its first
-- line says why, after the place of that `require`; a program without free descriptors finds no
-- file at all.
local function unloadable(message)
  message = message:gsub("^[^\n]-%.lua:%d+: ", "")
  if not message:find("^error loading module 'contree%.")
    and not message:find("^module 'contree%.[^']+' not found") then return nil end
  return errors.new("file", (message:gsub("\n%s*no f.*", ""):gsub("%s*\n%s*", " ")),
    { hint = "is the module complete, and may the program open more files (ulimit -n)?" })
end

-- The error as it leaves the module: an object that says where the script called.
local function located(err, func, line)
  if type(err) == "string" then err = unloadable(err) or err end
  if type(err) == "string" and place.is_ours(err) and not is_from_lua(err) then
    err = internal(err)
  end
  if errors.is(err) and not err.traceback then
    local where, traceback = place.of_entry(2, func, line)
    if where then err.where, err.traceback = where, traceback end
  end
  return err
end

local function leave(safe, func, line, ok, ...)
  if ok then return ... end
  local err = located((...), func, line)
  if safe and errors.is(err) and not err.misuse then return nil, err end
  error(err, 0)
end

--- Wrap a function of ours for the script to call.
---@param safe boolean? whether failures are returned as nil, err
function class.entry(fn, safe)
  return function(...) return leave(safe, nil, nil, pcall(fn, ...)) end
end

-- metatable -> the methods of its objects
local methods_of = setmetatable({}, { __mode = "k" })

-- `image.run("x")`: with a dot instead of a colon, the argument arrives as the object.
local function without_object(name)
  errors.misuse(("%s was called without its object"):format(name),
    "a colon passes it: object:method(…)")
end

-- `image.run()`: the method fails with a string where it first uses the object.
local function explain(name, ok, ...)
  if ok then return ... end
  if type((...)) == "string" and place.is_ours((...)) then without_object(name) end
  error((...), 0)
end

local function call_nil(name, fn, ...) return explain(name, pcall(fn, nil, ...)) end

-- Wrap a method. `lookup` has the function that looked it up.
local function method(name, fn, methods, safe, lookup)
  return function(self, ...)
    local func, line = place.take(lookup)
    if self == nil then return leave(safe, func, line, pcall(call_nil, name, fn, ...)) end
    if methods_of[getmetatable(self) or false] ~= methods then
      return leave(safe, func, line, pcall(without_object, name))
    end
    return leave(safe, func, line, pcall(fn, self, ...))
  end
end

-- All that a class has, sorted.
local function names_of(methods, fields)
  local list, seen = {}, {}
  local function add(name)
    if not seen[name] then list[#list + 1], seen[name] = name, true end
  end
  for name in pairs(methods) do add(name) end
  for _, name in ipairs(fields) do add(name) end
  table.sort(list)
  return list
end

-- Raise that a class has no such name.
local function no_such_name(class_name, methods, fields, name)
  local list, set = names_of(methods, fields), {}
  for _, each in ipairs(list) do set[each] = true end
  local near = options.nearest(name, set)
  errors.misuse(("%s has no %q"):format(class_name, name),
    near and ('did you mean "%s"?'):format(near) or "it has: " .. table.concat(list, ", "))
end

-- What a class answers for a name that neither the object nor its methods have: nil, or an
-- error when the script asks for what cannot be there. `quiet`: names that may be nil. Our own
-- code asks for fields that it has not set, and a name with an underscore is one that tools
-- look for.
local function absent(class_name, methods, fields, quiet, name)
  if type(name) ~= "string" or quiet[name] or name:find("^_") then return end
  if place.is_script(3) then no_such_name(class_name, methods, fields, name) end
  quiet[name] = true
end

-- The __index of objects with these methods.
local function index(class_name, methods, fields, quiet, safe)
  local entries, lookups = {}, {}
  return function(_, name)
    local value = methods[name]
    if value == nil then
      if not quiet[name] then absent(class_name, methods, fields, quiet, name) end
      return nil
    end
    if type(value) ~= "function" then return value end
    local entry = entries[value]
    if not entry then
      lookups[value] = place.lookup()
      local full_name = class_name .. ":" .. name
      entry = method(full_name, value, methods, safe, lookups[value])
      entries[value] = entry
    end
    place.note(lookups[value])
    return entry
  end
end

--- Defines a class; returns its constructor: make(object, safe) gives `object`
--- its methods. `meta` may hold __tostring, __call, ... `fields` are the names of its public
--- fields, also those that may be nil: a script that asks for another one gets an error.
---@param name string
---@param methods table
---@param meta? table
---@param fields? string[]
function class.define(name, methods, meta, fields)
  local raising, safe, quiet = {}, {}, {}
  fields = fields or {}
  for _, field in ipairs(fields) do quiet[field] = true end
  meta = meta or {}
  meta.__tostring = meta.__tostring or function()
    return ("%s: %s"):format(name, table.concat(names_of(methods, fields), ", "))
  end
  for key, value in pairs(meta) do
    raising[key] = key == "__call" and class.entry(value) or value
    safe[key] = key == "__call" and class.entry(value, true) or value
  end
  raising.__name, raising.__index = name, index(name, methods, fields, quiet)
  safe.__name, safe.__index = name, index(name, methods, fields, quiet, true)
  methods_of[raising], methods_of[safe] = methods, methods
  return function(object, is_safe)
    return setmetatable(object, is_safe and safe or raising)
  end
end

--- A value that calls `fn` when it is garbage collected. Lua 5.4 finalises tables,
--- LuaJIT only proxies.
function class.on_collect(fn)
  if not newproxy then return setmetatable({}, { __gc = fn }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = fn
  return proxy
end

--- The class name of one of our objects, or nil.
function class.of(object)
  local meta = type(object) == "table" and getmetatable(object)
  return type(meta) == "table" and meta.__name or nil
end

return class
