-- Small requests with contree: lua requests.lua N SOCKET IN_FLIGHT prints the seconds that
-- passed, and those of processor time.
local contree = require("contree")
local core = require("contree.core")

local n, socket, in_flight = tonumber(arg[1]), arg[2], tonumber(arg[3])
local client = contree.new{ engine = { socket = socket } }
local function ask() client:whoami() end
ask()

local list = {}
for i = 1, n do list[i] = ask end
local begun, used = core.now(), os.clock()
if in_flight > 1 then
  contree.gather(list, { concurrency = in_flight })
else
  for _ = 1, n do ask() end
end
print(core.now() - begun, os.clock() - used)
client:close()
