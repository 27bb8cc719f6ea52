-- A thousand branches of one image: each a run that keeps a file of its own, 32 in flight; and
-- as many sessions that only begin there. Usage: lua bench/parts/branches.lua COUNT
local contree = require("contree")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local timed = require("bench.lib.timed")

local IN_FLIGHT = 32
local count = tonumber(arg[1])
local client, _, stop = home.client()
local image = client.images:use("busybox:latest")
image:run("true")

local tasks, uuids, different = {}, {}, 0
for i = 1, count do
  tasks[i] = function()
    local kept = image:run{ command = "/bin/touch", args = { "/branch" .. i }, disposable = false }
    assert(kept.exit_code == 0)
    if not uuids[kept.uuid] then different = different + 1 end
    uuids[kept.uuid] = true
  end
end
local kept = timed.call(contree.gather, tasks, { concurrency = IN_FLIGHT })
assert(different == count)
local begun = timed.call(function()
  for _ = 1, count do image:session() end
end)
stop()
judge.line{ line = ("%d branches of one image, a file kept in each"):format(count), ours = kept,
  unit = "s", most = count / 1000 }
judge.line{ line = ("%d sessions that begin at one image"):format(count), ours = begun,
  unit = "s", most = count / 1000 }
