--- Classes with two faces: one raises, its twin (contree.safe) returns nil, err.

local errors = require("contree.errors")

local class = {}

local function settle(ok, ...)
  if ok then return ... end
  local err = ...
  if errors.is(err) and not err.misuse then return nil, err end
  error(err, 0)
end

--- The safe face of a function.
function class.guard(fn)
  return function(...) return settle(pcall(fn, ...)) end
end

-- The safe face of a method table, made as its methods are asked for.
local function twin(methods)
  return setmetatable({}, { __index = function(faces, name)
    local value = methods[name]
    if type(value) == "function" then
      value = class.guard(value)
      rawset(faces, name, value)
    end
    return value
  end })
end

--- Defines a class; returns its constructor: make(object, safe) gives `object`
--- its methods. `meta` may hold __tostring, __call, ...
function class.define(name, methods, meta)
  local raising, safe = {}, {}
  meta = meta or {}
  meta.__tostring = meta.__tostring or function() return name end
  for key, value in pairs(meta) do
    raising[key] = value
    safe[key] = key == "__call" and class.guard(value) or value
  end
  raising.__name, raising.__index = name, methods
  safe.__name, safe.__index = name, twin(methods)
  return function(object, is_safe)
    return setmetatable(object, is_safe and safe or raising)
  end
end

--- A value whose collection calls `fn`. Lua 5.4 finalises tables, LuaJIT only
--- proxies.
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
