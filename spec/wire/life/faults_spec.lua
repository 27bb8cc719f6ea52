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
end)
