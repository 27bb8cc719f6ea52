--- The values of stdin=, stdout= and stderr=, and how bytes get in and out of them.

local core = require("contree.core")
local class = require("contree.base.class")
local errors = require("contree.base.errors")
local options = require("contree.base.options")

local stdio = {}

local CHUNK = 1048576

--- As stdout= or stderr=: the result holds a buffer to read from.
stdio.PIPE = require("contree.base.pipe")

-- Buffers ------------------------------------------------------------------

---@class contree.Buffer bytes that are written at one end and read at the other
local Buffer = {}

stdio.buffer_methods = Buffer

local make_buffer = class.define("contree.Buffer", Buffer, {
  __tostring = function(self) return ("contree.Buffer(%d bytes)"):format(Buffer.length(self)) end,
})

--- A new buffer that holds `text`.
---@param text? string
---@return contree.Buffer
function stdio.buffer(text)
  if text and type(text) ~= "string" then
    errors.misuse("contree.buffer takes a string, got a " .. type(text))
  end
  return make_buffer({ fresh = core.buffer(), held = text or "", at = 1 })
end

local function check_open(self)
  if self.closed then errors.misuse("this buffer is closed") end
end

-- Everything unread as one string from `at` on.
local function gather(self)
  if #self.fresh > 0 then
    local rest = self.at <= #self.held and self.held:sub(self.at) or ""
    self.held = rest .. self.fresh:take()
    self.at = 1
  end
  return self.held, self.at
end

local function take(self, last)
  local text = self.held
  -- A string that is long enough is copied even if all of it is taken.
  if self.at > 1 or last < #text then text = text:sub(self.at, last) end
  self.at = last + 1
  if self.at > #self.held then self.held, self.at = "", 1 end
  return text
end

--- Adds bytes.
---     buffer:write("a line\n")
--- Raises: misuse (the buffer is closed).
---@param text string any bytes
---@return contree.Buffer self
function Buffer:write(text)
  if type(text) ~= "string" then
    errors.misuse("buffer:write takes a string, got a " .. type(text))
  end
  check_open(self)
  self.fresh:add(text)
  return self
end

--- How many bytes are unread.
---     print(buffer:length())
--- Raises: nothing.
---@return integer
function Buffer:length()
  return #self.held - self.at + 1 + #self.fresh
end

--- Reads as io files do, what is there: "a" everything (""), a number up to so many bytes,
--- "l" or "L" a line; nil at the end.
---     local line = buffer:read("l")
--- Raises: misuse (the buffer is closed).
---@param format? "a"|"l"|"L"|"*a"|"*l"|"*L"|integer default "a"
---@return string?
function Buffer:read(format)
  format = format or "a"
  check_open(self)
  local text, at = gather(self)
  if type(format) == "number" then
    if at > #text then return format == 0 and "" or nil end
    return take(self, math.min(#text, at + format - 1))
  end
  format = format:gsub("^%*", "")
  if format == "a" then return take(self, #text) end
  if format ~= "l" and format ~= "L" then
    errors.misuse('buffer:read takes "a", "l", "L" or a number')
  end
  if at > #text then return nil end
  local newline = text:find("\n", at, true)
  local line = take(self, newline or #text)
  return format == "l" and newline and line:sub(1, -2) or line
end

--- Iterates over the lines that are there.
---     for line in buffer:lines() do print(line) end
--- Raises: misuse (the buffer is closed).
---@return fun(): string?
function Buffer:lines()
  return class.entry(function() return Buffer.read(self, "l") end)
end

--- Does nothing: a buffer may stand where code expects a file.
---     buffer:flush()
--- Raises: nothing.
---@return contree.Buffer self
function Buffer:flush() return self end

--- Drops what is unread, and refuses more.
---     buffer:close()
--- Raises: nothing.
function Buffer:close()
  self.closed, self.held, self.at = true, "", 1
  self.fresh:take()
end

-- Local files --------------------------------------------------------------

local function path_of(value, where)
  local path = type(value) == "table" and getmetatable(value) == nil and value.path
  if not path then return nil end
  for key in pairs(value) do
    if key ~= "path" then
      errors.misuse(("%s: a table is { path = } only, without %q"):format(where, tostring(key)))
    end
  end
  if type(path) ~= "string" or path == "" then errors.misuse(where .. ": path must be a string") end
  return path
end

--- io.open with close-on-exec: programs that the host starts do not inherit the file.
---@return file*? file, string? problem
function stdio.open_file(path, mode)
  local file, problem = io.open(path, mode)
  return file and core.keep(file), problem
end

local function open(path, mode, where)
  local file, problem = stdio.open_file(path, mode)
  if not file then errors.raise("file", ("%s: %s"):format(where, problem)) end
  return file
end

local function from_file(file, where, close)
  return function()
    local chunk, problem = file:read(CHUNK)
    if problem then errors.raise("file", ("%s: %s"):format(where, problem)) end
    if not chunk and close then file:close() end
    return chunk
  end
end

local function checked(chunk, where, who)
  if chunk ~= nil and type(chunk) ~= "string" then
    errors.misuse(("%s: %s must return strings, then nil, not a %s")
      :format(where, who, type(chunk)))
  end
  return chunk
end

local function from_function(fn, where)
  return function() return checked(fn(), where, "the function") end
end

-- Whether a value is an object of the user's with a method of that name.
local function has_method(value, name)
  local kind = type(value)
  if kind ~= "table" and kind ~= "userdata" or io.type(value) then return false end
  local ok, method = pcall(function() return value[name] end)
  return ok and options.callable(method) == nil
end

local function from_object(object, where)
  return function()
    local chunk, problem = object:read(CHUNK)
    if chunk == nil and problem then errors.raise("file", ("%s: %s"):format(where, problem)) end
    return checked(chunk, where, "the object's read")
  end
end

local INPUTS = "a string, a file handle, a function, { path = }, a contree.buffer or an object "
  .. "with a read method"

--- Checks stdin= and returns how to read it: opener() -> function that returns
--- chunks and then nil, and the path if it reads a file of ours. Nothing is opened before
--- opener() is called.
function stdio.input(value, where)
  local kind = type(value)
  if kind == "string" then
    return function()
      local whole = value ~= "" and value or nil
      return function()
        local chunk = whole
        whole = nil
        return chunk
      end
    end
  elseif kind == "function" then
    return function() return from_function(value, where) end
  elseif class.of(value) == "contree.Buffer" then
    return function()
      return function()
        local chunk = Buffer.read(value, "a")
        return chunk ~= "" and chunk or nil
      end
    end
  elseif io.type(value) == "file" then
    return function() return from_file(value, where) end
  elseif has_method(value, "read") then
    return function() return from_object(value, where) end
  end
  local path = path_of(value, where)
  if not path then
    errors.misuse(("%s must be %s, got a %s"):format(where, INPUTS, io.type(value) or kind))
  end
  return function() return from_file(open(path, "rb", where), where, true), path end
end

local OUTPUTS = "a function, a file handle, { path = }, contree.PIPE, a contree.buffer or an "
  .. "object with a write method"

-- `own`: the file is ours, and the core may write to it, too.
local function to_file(file, where, own, value)
  if own then file:setvbuf("no") end
  return {
    live = true, file = own and file or nil,
    write = function(chunk)
      local ok, problem = file:write(chunk)
      if not ok then errors.raise("file", ("%s: %s"):format(where, problem)) end
    end,
    finish = function()
      local ok, problem = file[own and "close" or "flush"](file)
      if not ok then errors.raise("file", ("%s: %s"):format(where, problem)) end
      return value
    end,
  }
end

--- Checks stdout= or stderr= and returns how to write it: opener() -> sink
--- { live = chunks are wanted as they come, write(chunk), finish() -> the
--- result's field; others may write, too: file = a file without a buffer,
--- bytes() = a buffer of the core }.
function stdio.output(value, where)
  if value == nil then
    return function()
      local bytes = core.buffer()
      return {
        bytes = function() return bytes end,
        write = function(chunk) bytes:add(chunk) end,
        finish = function() return bytes:take() end,
      }
    end
  elseif type(value) == "function" then
    return function() return { live = true, write = value, finish = function() end } end
  elseif value == stdio.PIPE or class.of(value) == "contree.Buffer" then
    return function()
      local buffer = value == stdio.PIPE and stdio.buffer() or value
      return {
        live = true,
        bytes = function() return not buffer.closed and buffer.fresh or nil end,
        write = function(chunk) Buffer.write(buffer, chunk) end,
        finish = function() return buffer end,
      }
    end
  elseif io.type(value) == "file" then
    return function() return to_file(value, where, false, value) end
  elseif has_method(value, "write") then
    return function()
      return { live = true, write = function(chunk) value:write(chunk) end,
        finish = function() return value end }
    end
  end
  local path = path_of(value, where)
  if not path then
    errors.misuse(("%s must be %s, got a %s"):format(where, OUTPUTS, io.type(value) or type(value)))
  end
  return function() return to_file(open(path, "wb", where), where, true, path) end
end

-- On the wire (http-api.md §5.4) -------------------------------------------

--- A stream's representation of some bytes.
---@return table { value, encoding }
function stdio.encode(bytes)
  if core.is_ascii(bytes) then return { value = bytes, encoding = "ascii" } end
  return { value = core.base64_encode(bytes), encoding = "base64" }
end

--- The bytes that a representation stands for; "" for none.
---@return string
function stdio.decode(representation)
  local value = type(representation) == "table" and representation.value
  if type(value) ~= "string" then return "" end
  if representation.encoding ~= "base64" then return value end
  return core.base64_decode(value) or ""
end

return stdio
