-- What changed between two images, and the change as a patch.

local contree = require("contree")

local base = contree.new().images:use("busybox:latest"):run{ disposable = false,
  shell = "mkdir /src; seq 1 30 > /src/numbers; echo old > /src/old; echo tool > /src/tool" }
local image = base:run{ disposable = false,
  shell = "cd /src; sed -i 's/^15$/fifteen/' numbers; rm old; echo new > new; chmod +x tool" }

for _, change in ipairs(image:diff(base)) do
  print(change.change, change.type, change.path)
end

-- With text = true each file has its hunks, and all of it is a patch.
local changes = image:diff(base, { text = true, context = 1, path = "/src" })
for _, change in ipairs(changes) do
  if change.path == "/src/numbers" then
    local hunk = change.hunks[1]
    print(("from line %d on:\n%s"):format(hunk.new_start, hunk.text))
  end
end
io.write(tostring(changes))

-- patch(1) and git apply take it.
local again = base:run{ shell = "patch -p1", stdin = tostring(changes), disposable = false }
print("applied: exit " .. again.exit_code .. ", differences left: "
  .. #again:diff(image, { path = "/src/numbers" }))
