-- Power cuts (spec/support/power_cuts.lua). CONTREE_POWER_CUTS is how many (5); CONTREE_SEED
-- repeats them.
local wire = require("spec.support.wire")

local CUTS = tonumber(os.getenv("CONTREE_POWER_CUTS")) or 5
local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()

describe(("%d power cuts, seed %d,"):format(CUTS, SEED), function()
  it("lose nothing that was told", function()
    if wire.run("unshare --mount true 2>&1 && test -w /dev/fuse -a -w /dev/loop-control && echo ok")
      ~= "ok" then
      return pending("needs root, FUSE and loop devices")
    end
    local said = wire.run(("unshare --mount --propagation private lua5.4 "
      .. "spec/support/power_cuts.lua %d %d 2>&1"):format(CUTS, SEED))
    print(said)
    assert(said:match("^%d+ power cuts[^\n]+$"), ("CONTREE_SEED=%d: %s"):format(SEED, said))
  end)
end)
