--- Runs contree-engine's own commands, with this program's streams.

local engine = require("contree.wire.engine")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local uv = require("luv")

local program = {}

--- Runs the engine's program and returns its exit code.
---@param args table
---@param words string[] its command line
---@param of_machine? boolean it looks at this machine, whichever server other commands ask
---@return integer
function program.engine(args, words, of_machine)
  if args.url or args.profile then
    errors.raise("not_supported", "this command is for the local engine only",
      { hint = "leave --url and --profile out" })
  elseif not of_machine and not args.client.engine then
    -- Variables or a login have chosen a server, whose images these are not.
    errors.raise("not_supported",
      ("this command is for the local engine only, and commands go to %s"):format(
        args.client.address), { hint = "--data-dir DIR names the images of a local engine" })
  end
  local found = engine.new({ data_dir = args.data_dir })
  if not found.path then
    errors.raise("engine_unavailable", found.problem, { hint = "CONTREE_ENGINE names it" })
  end
  -- Behind "--" there may be operands.
  words = { words[1], "--data-dir", found.data_dir, table.unpack(words, 2) }
  local waiter = {}
  local child, problem = uv.spawn(found.path, { args = words, stdio = { 0, 1, 2 } },
    function(code, signal) loop.fire(waiter, signal > 0 and 128 + signal or code) end)
  if not child then
    errors.raise("engine_unavailable", ("%s: %s"):format(found.path, problem))
  end
  local ok, err = pcall(loop.await, waiter)
  if not ok then
    child:kill("sigterm")
    error(err, 0)
  end
  return waiter.value
end

return program
