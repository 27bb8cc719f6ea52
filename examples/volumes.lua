-- Volumes: directories that outlive runs. Mounts: directories of this machine, read-only.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

-- The first run fills the cache, others find it.
local fetch = [[
  if test -e /cache/data; then echo "from the cache"
  else echo "fetched"; echo 42 > /cache/data; fi]]
for _ = 1, 2 do
  io.write(image:run{ shell = fetch, volumes = { ["/cache"] = "demo/cache" } }.stdout)
end

-- It is in no image, and shared by runs at the same time.
local attempts = {}
for i = 1, 3 do
  attempts[i] = function()
    return image:run{ shell = "cat /c/data", volumes = { ["/c"] = "demo/cache" } }
  end
end
for _, result in ipairs(contree.gather(attempts)) do io.write("shared: ", result.stdout) end

local volume = client.volumes:get("demo/cache")
print(("%s: %d bytes, used by %d runs"):format(volume.name, volume.size, volume.runs))
client.volumes:remove("demo/cache")
print("left: " .. #client.volumes:list())

-- This directory, as it is: nothing is copied, and nothing in it can change.
local result = image:run{ shell = "head -n 1 /src/volumes.lua; touch /src/new",
  mounts = { ["/src"] = "examples" } }
io.write(result.stdout, result.stderr)
