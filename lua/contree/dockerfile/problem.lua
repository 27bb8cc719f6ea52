--- Errors in a Dockerfile, with file and line.

local errors = require("contree.base.errors")
local keys = require("contree.base.keys")
local options = require("contree.base.options")

local problem = {}

---@class contree.build.Place
---@field file string the Dockerfile as messages name it
---@field line integer

--- Raise an error at a place of a Dockerfile.
---@param at contree.build.Place
---@param message string
---@param hint? string
function problem.raise(at, message, hint)
  errors.raise("invalid_argument", ("%s:%d: %s"):format(at.file, at.line, message),
    { hint = hint, dockerfile = at.file, line = at.line })
end

--- The hint for a name that is not among `names` (a set).
function problem.nearest(given, names)
  local near = options.nearest(given, names)
  if near then return ("did you mean %s?"):format(near) end
  local list = keys(names)
  table.sort(list)
  if #list > 0 then return "there are " .. table.concat(list, ", ") end
end

--- Add the place in the Dockerfile to an error. A mistake in the Dockerfile is not misuse of
--- the API, so these marks are removed. The result and the operation stay.
---@param err any
---@param step contree.build.Instruction
function problem.locate(err, step)
  if not errors.is(err) or err.line then return err end
  err.misuse, err.where, err.traceback = nil, nil, nil
  err.message = ("%s:%d: %s: %s"):format(step.file, step.line, problem.title(step), err.message)
  err.dockerfile, err.line, err.step = step.file, step.line, step.source
  return err
end

--- Call fn for an instruction, and add its place to an error.
---@param step contree.build.Instruction
---@param fn fun(): any
function problem.within(step, fn)
  local ok, result = pcall(fn)
  if ok then return result end
  error(problem.locate(result, step), 0)
end

--- An instruction, shortened to fit a message.
function problem.title(step)
  local text = step.source:gsub("%s+", " ")
  if #text <= 60 then return text end
  -- Do not cut inside a UTF-8 character.
  return text:sub(1, 57):gsub("[\192-\255][\128-\191]*$", "") .. "…"
end

return problem
