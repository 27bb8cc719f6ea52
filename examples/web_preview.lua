-- A web server in a sandbox, seen from outside; and what it uses.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")

local op = image:start{ shell = [[
  mkdir /site && echo '<h1>Built in a sandbox</h1>' > /site/index.html
  exec httpd -f -p 127.0.0.1:8000 -h /site]] }

-- The sandbox has no network. Its port is one of this machine all the same.
local address = op:forward(8000)
print("open http://" .. address:gsub("%d+$", "PORT"))

local function fetch()
  local pipe = io.popen(("curl -s --max-time 20 http://%s/"):format(address))
  local page = pipe:read("*a")
  pipe:close()
  return page
end

-- Until the server listens, connections are refused.
local page
repeat page = fetch() until page ~= ""
io.write(page)

local used = op:usage()
print(("uses memory: %s, has processes: %s"):format(used.memory_bytes > 0, used.processes > 0))

-- While it is paused, whoever asks waits.
op:pause()
local _, details = op:status()
print("paused: " .. tostring(details.paused))
op:resume()
io.write(fetch())

op:cancel()
print("after its end: " .. (fetch() == "" and "nobody there" or "still there"))
