--- Checks of the values that a caller passes. The error for an unknown name says the
--- nearest valid one, the error for a wrong value says what was expected. Messages name
--- types, never values: a value may be a secret.
---
--- A check is a function that gets the value and returns nil when it is right. Otherwise
--- it returns the expectation; a second value, true, says that only the bytes of a string
--- are wrong. These may come from outside, so they are no mistake of the script.

local core = require("contree.core")
local errors = require("contree.base.errors")

local options = {}

-- The least length of an abbreviation, as a part of the name's length.
local LEAST_PART = 0.4
-- Bytes of a name: what is longer has not been mistyped.
local LONGEST = 256

-- The number of edits that turn one word into another. Swapping two neighbours is one edit.
local function distance(a, b)
  local before, row = nil, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local above = row
    row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost)
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before = above
  end
  return row[#b]
end

-- "cmd" abbreviates "command": the long name has its letters, in order. A much longer name
-- has almost any letters in some order, so there only a prefix counts.
local function abbreviates(short, long)
  if #short < 3 or short:sub(1, 1) ~= long:sub(1, 1) then return false end
  if #short < #long * LEAST_PART then return long:sub(1, #short) == short end
  local at = 1
  for letter in short:gmatch(".") do
    at = long:find(letter, at, true)
    if not at then return false end
    at = at + 1
  end
  return true
end

--- A user of an image, or true.
function options.user(value)
  if value == true or type(value) == "string" and value:find("^[^:%c]") then return nil end
  return 'a user ("app", "app:staff", "1000:1000"), or true for the image\'s own'
end

--- The name among `names` (a set) that `given` is probably meant to be. Both may be anybody's.
function options.nearest(given, names)
  if #given > LONGEST then return nil end
  local most, best, best_score = math.max(1, math.floor(#given / 3)), nil, nil
  for name in pairs(names) do
    local score = #name <= LONGEST and abbreviates(given, name) and 0.5
      -- Words whose lengths differ by more are no nearer than that.
      or math.abs(#given - #name) <= most and #name <= LONGEST and distance(given, name) or most + 1
    if score <= most and (not best or score < best_score
        or score == best_score and name < best) then
      best, best_score = name, score
    end
  end
  return best
end

local function names_of(spec)
  local names = {}
  for name in pairs(spec) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function unknown(where, name, spec)
  local shown = type(name) == "string" and ('option "%s"'):format(name)
    or ("positional value %s"):format(tostring(name))
  local near = type(name) == "string" and options.nearest(name, spec)
  errors.misuse(("%s does not know the %s"):format(where, shown),
    near and ('did you mean "%s"?'):format(near) or "it knows: " .. names_of(spec))
end

-- Raise the error that a check has found.
local function refuse(where, name, expected, is_data)
  if is_data then
    errors.raise("unprocessable", ("%s: %s must be %s"):format(where, name, expected))
  end
  errors.misuse(("%s: %s must be %s"):format(where, name, expected))
end

--- Checks an options table against a spec { name = check }.
---@param where string how the called function is named to the caller
---@return table given never nil
function options.check(where, spec, given)
  if given == nil then return {} end
  if type(given) ~= "table" then
    errors.misuse(("%s takes a table of options, got a %s"):format(where, type(given)))
  end
  for name in pairs(given) do
    if not spec[name] then unknown(where, name, spec) end
  end
  for name, value in pairs(given) do
    local expected, is_data = spec[name](value)
    if expected then refuse(where, name, expected, is_data) end
  end
  return given
end

--- Checks one argument.
function options.argument(where, name, check, value)
  local expected, is_data = check(value)
  if expected then refuse(where, name, expected, is_data) end
  return value
end

local function but(expected, value)
  local kind = type(value)
  if kind == "number" then return ("%s, got %s"):format(expected, tostring(value)) end
  return ("%s, got a %s"):format(expected, kind)
end

function options.any() end

function options.boolean(value)
  if type(value) ~= "boolean" then return but("a boolean", value) end
end

--- Any bytes.
function options.bytes(value)
  if type(value) ~= "string" then return but("a string", value) end
end

function options.sha256(value)
  if type(value) ~= "string" or not value:match("^%x+$") or #value ~= 64 then
    return "64 hexadecimal digits"
  end
end

--- Text that becomes an argument, a name or a path: no NUL, valid UTF-8.
function options.text(value)
  if type(value) ~= "string" then return but("a string", value) end
  if value:find("\0", 1, true) then return "a string without NUL bytes", true end
  if not core.is_utf8(value) then
    return "valid UTF-8 (bytes of any kind travel through stdin or files)", true
  end
end

function options.name(value)
  if value == "" then return "a string that is not empty" end
  return options.text(value)
end

--- The value of a header.
function options.header(value)
  if type(value) == "string" and value:find("%c") then
    return "a string without control characters"
  end
  return options.name(value)
end

-- A check that is `check`, and of a path from the sandbox's root.
local function absolute(check)
  return function(value)
    local wrong, is_data = check(value)
    if wrong then return wrong, is_data end
    if value:sub(1, 1) ~= "/" then return "an absolute path (it is inside the sandbox)" end
  end
end

options.absolute = absolute(options.text)

--- The name of a file, here or in an image: any bytes but NUL.
function options.file_name(value)
  if type(value) ~= "string" then return but("a string", value) end
  if value == "" then return "a string that is not empty" end
  if value:find("\0", 1, true) then return "a string without NUL bytes", true end
end

--- The path of a file in an image.
options.image_path = absolute(options.file_name)

--- An absolute path without doubled or trailing slashes.
function options.normal(path)
  return (path:gsub("/+", "/"):gsub("(.)/$", "%1"))
end

function options.integer(least, most)
  local range = most and ("an integer from %d to %d"):format(least, most)
    or ("an integer of at least %d"):format(least)
  return function(value)
    if type(value) ~= "number" or value % 1 ~= 0 or value < least or value > (most or 2 ^ 53) then
      return but(range, value)
    end
  end
end

--- A finite number above 0.
function options.positive(value)
  if type(value) ~= "number" or not (value > 0 and value < 2 ^ 53) then
    return but("a number above 0", value)
  end
end

--- Seconds: a finite number above 0 (inf % 1 is nan).
function options.seconds(value)
  if type(value) ~= "number" or not (value > 0 and value < 2 ^ 31) then
    return but("a number of seconds above 0", value)
  end
end

--- Seconds: a finite number of at least 0.
function options.duration(value)
  if type(value) ~= "number" or not (value >= 0 and value < 2 ^ 31) then
    return but("a number of seconds", value)
  end
end

function options.callable(value)
  local meta = getmetatable(value)
  if type(value) ~= "function" and not (type(meta) == "table" and meta.__call) then
    return but("a function", value)
  end
end

function options.one_of(...)
  local checks = { ... }
  return function(value)
    local expected, is_data = {}, nil
    for i, check in ipairs(checks) do
      local data
      expected[i], data = check(value)
      if not expected[i] then return nil end
      is_data = is_data or data
    end
    return table.concat(expected, ", or "), is_data
  end
end

--- Exactly this value.
function options.exactly(constant)
  return function(value)
    if value == constant then return nil end
    return type(constant) == "string" and ("%q"):format(constant) or tostring(constant)
  end
end

--- A list of texts.
local function list_of(check)
  return function(value)
    if type(value) ~= "table" then return but("a list of strings", value) end
    local count = 0
    for _ in pairs(value) do count = count + 1 end
    if count ~= #value then return "a list of strings without holes or names" end
    for i = 1, #value do
      local wrong, is_data = check(value[i])
      if wrong then return ("a list of strings: number %d must be %s"):format(i, wrong), is_data end
    end
  end
end

options.texts = list_of(options.text)
options.file_names = list_of(options.file_name)

--- A moment: ISO 8601, an age such as "2h", or seconds ago.
function options.time(value)
  if type(value) == "number" and value >= 0 and value < 2 ^ 53 then return nil end
  if type(value) ~= "string" or value == "" then
    return but('a time: ISO 8601, an age such as "2h", or seconds ago', value)
  end
end

--- A map whose names and values pass a check each.
function options.map(check_name, check_value)
  return function(value)
    if type(value) ~= "table" then return but("a map", value) end
    for name, member in pairs(value) do
      local wrong, is_data = check_name(name)
      if wrong then return "a map whose names are " .. wrong, is_data end
      wrong, is_data = check_value(member)
      if wrong then return ("a map whose %s is %s"):format(name, wrong), is_data end
    end
  end
end

--- A map of names to texts. `null`, when given, is allowed as a value too.
function options.env(null)
  return function(value)
    if type(value) ~= "table" then return but("a map of names to strings", value) end
    for name, text in pairs(value) do
      if type(name) ~= "string" or name == "" or name:find("[=%z]") or options.text(name) then
        return "a map of names (without = and NUL) to strings"
      end
      local wrong, is_data
      if text ~= null then wrong, is_data = options.text(text) end
      if wrong then
        return ("a map of names to strings: %s must be %s"):format(name, wrong), is_data
      end
    end
  end
end

--- A table that is itself checked against a spec.
function options.nested(spec)
  return function(value)
    if type(value) ~= "table" then return but("a table", value) end
    for name, member in pairs(value) do
      if not spec[name] then
        local near = type(name) == "string" and options.nearest(name, spec)
        return ('a table of %s; it has "%s"%s'):format(names_of(spec), tostring(name),
          near and (', did you mean "%s"?'):format(near) or "")
      end
      local wrong, is_data = spec[name](member)
      if wrong then return ("a table whose %s is %s"):format(name, wrong), is_data end
    end
  end
end

return options
