-- Images: finding, naming, listing, comparing and reading them.

local contree = require("contree")

local client = contree.new()

-- By tag or uuid. Nothing is sent, unless strict asks whether the image exists.
local base = client.images:use("busybox:latest", { strict = true })
local ok, err = pcall(client.images.use, client.images, "no/such:1", { strict = true })
print("strict:    " .. tostring(ok) .. ", " .. err.kind)

-- oci takes the image of that name, or imports it from its registry.
print("oci:       " .. tostring(client.images:oci("busybox").uuid == base.uuid))
print("reference: " .. client.images:reference("ghcr.io/me/app:v1").url)

-- Runs and files make new images.
local one = base:apply_files{ ["/app/version"] = { data = "1\n" } }
local two = one:run{ shell = "echo 2 > /app/version; echo new > /app/notes", disposable = false }

-- A tag is a name; setting it moves it.
one:tag_as("demo/app:v1")
two:tag_as("demo/app:v2")
local names = {}
for image in client.images:each{ tag = "demo/app", tagged = true } do
  names[#names + 1] = image.tag
end
table.sort(names)
print("list:      " .. table.concat(names, " "))

-- Read an image without running anything.
for _, entry in ipairs(two:ls("/app")) do print("ls:        " .. entry.name, entry.size) end
io.write("read:      ", two:read("/app/version"))
print("stat:      " .. two:stat("/app").type .. ", exists: " .. tostring(one:exists("/app/notes")))
print("grep:      " .. two:grep{ pattern = "n.w", path = "/app" }.matches[1].path)

-- Compare two images.
for _, change in ipairs(two:diff(one)) do
  if change.type == "file" then print("diff:      " .. change.change .. " " .. change.path) end
end
one:untag()
two:untag()
