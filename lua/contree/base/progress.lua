--- How far something is that takes its time: the one shape of all `progress` callbacks.

local progress = {}

---@class contree.Progress how far something is; a callback is called with it on the host's
---  thread, between slices of the work. What it raises ends the work
---@field phase string    what is done: "looking", "sending", "getting", "writing", or of an
---  import what the engine says
---@field unit "bytes"|"files"
---@field done integer
---@field total? integer  nil where it is not known; reached when the phase ends

--- Tell a callback, if there is one.
---@param fn? fun(progress: contree.Progress)
---@param phase string
---@param unit "bytes"|"files"
---@param done integer
---@param total? integer
function progress.tell(fn, phase, unit, done, total)
  if fn then fn{ phase = phase, unit = unit, done = done, total = total } end
end

return progress
