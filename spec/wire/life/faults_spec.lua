-- An engine of which one system call fails, at any place, answers, goes on, and loses nothing
-- that it has told. CONTREE_FAULTS=all tries every place with every error, else a share of them;
-- CONTREE_SEED repeats the same ones.
local faults = require("spec.support.faults")
local wire = require("spec.support.wire")

local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()
local ALL = os.getenv("CONTREE_FAULTS") == "all"

describe(("one failed system call, seed %d,"):format(SEED), function()
  it("harms nothing but what it was for", function()
    if wire.run("id -u") ~= "0" then return pending("only root may fail the calls of others") end
    local options = ALL and {} or { steps = 4, each = 15, starts = 2 }
    options.seed, options.say = SEED, print
    local problems = faults.campaign(options)
    assert(#problems == 0, table.concat(problems, "\n"))
  end)

  it("harms nothing else either where crun makes the sandboxes", function()
    if wire.run("id -u") ~= "0" then return pending("only root may fail the calls of others") end
    if wire.run("command -v crun") == "" then return pending("there is no crun") end
    local options = ALL and {} or { steps = 2, each = 10, starts = 1 }
    options.seed, options.say, options.arguments = SEED, print, "--runtime crun"
    options.names = { "run", "kept", "limits", "cancel", "box", "events", "volume" }
    local problems = faults.campaign(options)
    assert(#problems == 0, table.concat(problems, "\n"))
  end)
end)
