-- The annotations against the code: what an editor completes is what the library takes. The
-- tables of options that the code checks are found by calling each method with a table that
-- bears a mark.
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
local annotations = require("annotations")

local MARK = "a mark of types_spec"

local classes = annotations.read_tree(".")
local order = annotations.reachable(classes)

-- contree, loaded anew with an eye on what it checks and defines.
local contree, safe, testing
local methods_of = {} -- by the class's name
local known_of = {}   -- its fields that may be nil
local inner = {}      -- check -> the specs in it

local function watch()
  local options = require("contree.base.options")
  local class = require("contree.base.class")
  local kept = { nested = options.nested, one_of = options.one_of, map = options.map,
    check = options.check, argument = options.argument }
  function options.nested(spec)
    local check = kept.nested(spec)
    inner[check] = { spec }
    return check
  end
  local function passes_on(make)
    return function(...)
      local check, found = make(...), {}
      for i = 1, select("#", ...) do
        for _, spec in ipairs(inner[(select(i, ...))] or {}) do found[#found + 1] = spec end
      end
      inner[check] = found
      return check
    end
  end
  options.one_of, options.map = passes_on(kept.one_of), passes_on(kept.map)
  function options.check(where, spec, given)
    if type(given) == "table" and rawget(given, MARK) then error({ spec = spec }, 0) end
    return kept.check(where, spec, given)
  end
  -- Arguments before the marked table are made up.
  function options.argument(_, _, _, value) return value end
  local define = class.define
  function class.define(name, methods, meta, fields)
    methods_of[name], known_of[name] = methods, fields or {}
    return define(name, methods, meta, fields)
  end
end

-- What answers every question with itself.
local function anything()
  local one = { busy = false, client = false }
  local function itself() return one end
  return setmetatable(one, { __index = itself, __call = itself })
end

local function function_of(class, name)
  if class.name == "contree" then return contree[name] end
  if class.name == "contree.testing" then return testing[name] end
  return methods_of[class.name][name]
end

local function object_of(class)
  if class.name == "contree" or class.name == "contree.testing" then return nil end
  local client = testing.client{}
  local objects = { ["contree.Client"] = client, ["contree.Images"] = client.images,
    ["contree.Files"] = client.files, ["contree.Image"] = client.images:use("busybox:latest") }
  return objects[class.name] or anything()
end

-- The spec that a method checks its parameter number `at` against.
local function spec_of(class, method, at)
  local given = {}
  if object_of(class) then given[1] = object_of(class) end
  for i = 1, at do given[#given + 1] = i == at and { [MARK] = true } or "/x" end
  local ok, found = pcall(function_of(class, method.name), (table.unpack or unpack)(given))
  return not ok and type(found) == "table" and rawget(found, "spec") or nil, found
end

local function sorted(names)
  table.sort(names)
  return names
end

-- The names of a class of options with those of the classes that it is one of.
local function fields_of(class)
  local found = {}
  while class do
    for _, field in ipairs(class.fields) do found[field.name:gsub("%?$", "")] = field end
    class = classes[class.parent or ""]
  end
  return found
end

local function names_of(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  return sorted(names)
end

local function members_of(type_of_it)
  local found = {}
  for _, name in ipairs(type_of_it.members) do found[name:gsub("%?$", "")] = true end
  return found
end

local compared = {}

local function compare(where, wanted, spec)
  assert.are.same(names_of(spec), names_of(wanted), where)
  for name, field in pairs(wanted) do
    local inside = inner[spec[name]]
    local of_class = type(field) == "table" and field.type:match("contree%.%w+Options")
      or type(field) == "table" and classes[(field.type:match("contree%.%w+"))]
        and #classes[field.type:match("contree%.%w+")].methods == 0
        and field.type:match("contree%.%w+")
    if inside and inside[1] and of_class then
      compared[of_class] = true
      compare(of_class, fields_of(classes[of_class]), inside[1])
    elseif inside and inside[1] then
      compare(where .. "." .. name, members_of(field), inside[1])
    end
  end
end

describe("the annotations", function()
  local loaded = {}

  setup(function()
    for name, module in pairs(package.loaded) do
      if name:find("^contree") and name ~= "contree.core" then
        loaded[name], package.loaded[name] = module, nil
      end
    end
    watch()
    contree, safe = require("contree"), require("contree.safe")
    testing = require("contree.testing")
    for _, module in ipairs{ "contree.dockerfile", "contree.session", "contree.session.sessions",
      "contree.workspace", "contree.history.tree",
      "contree.run.process", "contree.run.subprocess", "contree.run.box" } do
      require(module)
    end
  end)

  teardown(function()
    for name in pairs(package.loaded) do
      if name:find("^contree") and name ~= "contree.core" then
        package.loaded[name] = loaded[name]
      end
    end
  end)

  it("have every option that the code takes, and no other", function()
    local missing = {}
    for _, class in ipairs(order) do
      for _, method in ipairs(class.methods) do
        for at, param in ipairs(method.block.params) do
          local name = param.type:match("contree%.[%w.]*Options")
            or param.type:match("contree%.%w*Filter")
            or param.type:match("contree%.testing%.Answer")
          -- A workspace hands these to its session, after a look at its folder.
          local of_session = class.name == "contree.Workspace"
            and classes["contree.Session"].methods[method.name]
          if (name or #param.members > 0) and not of_session then
            local where = ("%s:%s"):format(class.name, method.name)
            local spec, why = spec_of(class, method, at)
            if spec then
              compared[name or where] = true
              compare(where, name and fields_of(classes[name]) or members_of(param), spec)
            else
              missing[#missing + 1] = where .. ": " .. tostring(why)
            end
          end
        end
      end
    end
    assert.are.same({}, missing)
    -- These are found in others.
    local image = testing.client{}.images:use("busybox:latest")
    local given = { shell = "x", files = { ["/x"] = { [MARK] = true } } }
    local ok, found = pcall(image.run, image, given)
    assert.is_false(ok)
    compare("contree.FileSource", fields_of(classes["contree.FileSource"]), found.spec)
    -- No class of options was left out.
    local left_out = {}
    for name in pairs(annotations.options_of(classes, order)) do
      if name:find("Options$") and not compared[name] then left_out[#left_out + 1] = name end
    end
    assert.are.same({}, left_out)
    for _, name in ipairs{ "contree.Limits", "contree.Tty", "contree.RetryOptions",
      "contree.EngineOptions", "contree.ImageFilter", "contree.OperationFilter" } do
      assert.is_true(compared[name], name)
    end
  end)

  it("have all names of the module, in both faces", function()
    local wanted = {}
    for _, field in ipairs(classes.contree.fields) do wanted[#wanted + 1] = field.name end
    for _, method in ipairs(classes.contree.methods) do wanted[#wanted + 1] = method.name end
    sorted(wanted)
    assert.are.same(wanted, names_of(contree))
    assert.are.same(wanted, names_of(safe))
    wanted = {}
    for _, method in ipairs(classes["contree.testing"].methods) do
      wanted[#wanted + 1] = method.name
    end
    assert.are.same(sorted(wanted), names_of(testing))
  end)

  it("have all methods of all classes, and no other", function()
    local known, count = {}, 0
    for _, class in ipairs(order) do known[class.name] = class end
    for name, methods in pairs(methods_of) do
      local class = known[name]
      assert.is_truthy(class, name .. " is not reached from what the module returns")
      local wanted = {}
      while class do
        for _, method in ipairs(class.methods) do wanted[method.name] = true end
        for _, field in ipairs(class.fields) do
          if field.type:find("^fun%(self") then wanted[field.name] = true end
        end
        class = known[class.parent or ""]
      end
      local found = {}
      for key, value in pairs(methods) do
        if type(value) == "function" then found[key], count = true, count + 1 end
      end
      assert.are.same(names_of(wanted), names_of(found), name)
    end
    assert.is_true(count > 100)
  end)

  it("have all fields that objects of a class may have, and no other", function()
    for name, fields in pairs(known_of) do
      local wanted, found = {}, {}
      for field, is in pairs(fields_of(classes[name])) do
        if not is.type:find("^fun%(self") and not field:find("^%[") then wanted[field] = true end
      end
      for _, field in ipairs(fields) do found[field] = true end
      assert.are.same(names_of(wanted), names_of(found), name)
    end
  end)
end)
