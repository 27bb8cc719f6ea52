-- Files: into the sandbox, and out of an image.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

local here = os.tmpname()
local file = assert(io.open(here, "w"))
file:write("a local file\n")
file:close()

-- A map says what goes where: a local path, bytes, or more about either.
local result = image:run{
  shell = "cat /in.txt /made.txt; /bin/tool",
  files = {
    ["/in.txt"] = here,
    ["/made.txt"] = { data = "made on the spot\n" },
    ["/bin/tool"] = { data = "#!/bin/sh\necho I run\n", mode = "0755" },
  },
}
io.write(result.stdout)

-- A list puts local files at the root, under their own names.
local name = here:match("[^/]+$")
print(image:run{ shell = "ls /" .. name, files = { here } }.stdout == "/" .. name .. "\n")

-- Upload a file once, and use it as often as you want.
local uploaded = client.files:upload(here)
io.write(image:run{ shell = "cat /data", files = { ["/data"] = uploaded } }.stdout)

-- Reading an image runs nothing.
local kept = image:apply_files{
  ["/srv/app/conf.ini"] = { data = "level=3\n" },
  ["/srv/app/words"] = { data = "one\ntwo\nthree\n" },
}
for _, entry in ipairs(kept:ls("/srv/app")) do print(entry.name, entry.type, entry.size) end
io.write(kept:read("/srv/app/conf.ini"))
for line in kept:lines("/srv/app/words") do io.write(line, " ") end
print(kept:exists("/srv/app/gone"), kept:stat("/srv/app/words").size)

-- Files go out again: one file, or a tree as a tar file.
kept:download("/srv/app/words", here)
file = assert(io.open(here))
print(file:read("l"))
file:close()
kept:archive("/srv/app", here)
os.remove(here)
