-- File upload methods.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

local path = os.tmpname()
local file = assert(io.open(path, "w"))
file:write("#!/bin/sh\necho \"I am $(basename $0)\"\n")
file:close()
local name = path:match("[^/]+$")

-- A list of local paths: each goes to the root under its own name.
print(image:run{ shell = "test -f /" .. name, files = { path } }.exit_code)

-- A map of destinations; one without a slash is below the root, too.
io.write(image:run{ shell = "sh /dest.sh", files = { ["dest.sh"] = path } }.stdout)

-- With mode and owner, from a file or from bytes.
io.write(image:run{
  shell = "/bin/tool; stat -c '%a' /etc/secret",
  files = {
    { source = path, path = "/bin/tool", mode = "0755" },
    ["/etc/secret"] = { data = "s3cret\n", mode = "0600" },
  },
}.stdout)

-- Upload a file first, and use it in many runs.
local uploaded = client.files:upload(path)
io.write(image:run{ shell = "sh /a.sh", files = { ["/a.sh"] = uploaded } }.stdout)
io.write(image:run{ shell = "sh /b.sh", files = { ["/b.sh"] = uploaded } }.stdout)

-- A content is sent only once, under any name: it is known by its hash.
print(client.files:upload(path).uuid == uploaded.uuid, client.files:find(uploaded.sha256).size)

-- apply_files makes an image with the files.
local kept = image:apply_files{ ["/opt/run.sh"] = path }
io.write(kept:run("sh /opt/run.sh").stdout)
os.remove(path)
