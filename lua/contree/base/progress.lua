--- How far something is that takes its time: the one shape of all `progress` callbacks.

local printed = require("contree.base.printed")
local text = require("contree.base.text")

local progress = {}

---@class contree.Progress how far something is; a callback is called with it on the host's
---  thread, between slices of the work. What it raises ends the work
---@field phase string    what is done: "looking", "sending", "getting", "writing", or of an
---  import what the engine says
---@field unit "bytes"|"files" what `done` and `total` count
---@field done integer how many of them so far
---@field total? integer  nil where it is not known; reached when the phase ends

--- What a contree.Progress says: "sending 3.0M of 10M".
---@param far contree.Progress
---@return string
function progress.words(far)
  local parts, done, total = {}, far.done or 0, far.total
  local function amount(number)
    return far.unit == "bytes" and text.size(number) or ("%d"):format(number)
  end
  if far.of and far.of > 1 and far.layer then parts[1] = ("%d/%d"):format(far.layer, far.of) end
  parts[#parts + 1] = text.line(tostring(far.phase))
  if total and total > 0 then
    parts[#parts + 1] = ("%s of %s"):format(amount(done), amount(total))
  elseif done > 0 then
    parts[#parts + 1] = amount(done)
  end
  if #parts > 1 and far.unit == "files" then parts[#parts + 1] = "files" end
  return table.concat(parts, " ")
end

--- Lets a contree.Progress be printed.
---@param far contree.Progress
---@return contree.Progress far
progress.record = printed.record(progress.words)

--- Tell a callback, if there is one.
---@param fn? fun(progress: contree.Progress)
---@param phase string
---@param unit "bytes"|"files"
---@param done integer
---@param total? integer
function progress.tell(fn, phase, unit, done, total)
  if fn then fn(progress.record{ phase = phase, unit = unit, done = done, total = total }) end
end

return progress
