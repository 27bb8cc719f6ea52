-- Branches: an image never changes; a kept run is a new one beside it.

local contree = require("contree")

local client = contree.new()
local base = client.images:use("busybox:latest")

-- disposable = false keeps what the command changed.
local one = base:run{ shell = "echo 1 > /number", disposable = false }
local two = one:run{ shell = "echo 2 > /number", disposable = false }
io.write("one: ", one:run("cat /number").stdout)
io.write("two: ", two:read("/number"))

-- If nothing has changed, there is no new image.
local same = two:run{ shell = "cat /number", disposable = false }
print("changed: " .. tostring(same.changed) .. ", same image: " .. tostring(same.uuid == two.uuid))

-- Many futures of one image, at the same time.
local attempts = {}
for i = 1, 4 do
  attempts[i] = function()
    return one:run{ shell = ("echo $(( $(cat /number) + %d )) > /number"):format(i * 10),
      disposable = false }
  end
end
for i, result in ipairs(contree.gather(attempts, { concurrency = 2 })) do
  io.write("branch ", i, ": ", result:read("/number"))
end

-- A tag is a name that can move.
two:tag_as("demo/number:latest")
io.write("tag: ", client.images:use("demo/number:latest"):read("/number"))
one:tag_as("demo/number:latest")
io.write("moved: ", client.images:use("demo/number:latest"):read("/number"))
one:untag()
print("there: " .. #client.images:list{ tag = "demo/number" })
