-- Building: an image from a Dockerfile, step by step, and only what changed.

local contree = require("contree")

local client = contree.new()
local here = arg[0]:match("^(.*)/") or "."

-- What is told of each step that is done.
local function on_step(event)
  print(event.type, event.line, event.text)
end

local image = client.images:build{
  context = here .. "/build",            -- its Dockerfile, unless dockerfile = says another
  args = { TITLE = "Two words" },
  tag = "site:1",
  no_cache = true,                       -- so that this prints the same each time
  on_step = on_step,
}
io.write(image:read("/srv/site/index.html"))

-- ENV is kept in the image; what it cannot keep is in its config.
io.write(image:run("echo $SITE has $(cat /srv/lines) lines").stdout)
print(table.concat(image.config.cmd, " "))
print(image.stages.site:exists("/site/words.txt"), image:exists("/site"))

-- A second build runs nothing: each step is what it was.
local again = client.images:build{ context = here .. "/build", args = { TITLE = "Two words" } }
print(again.uuid == image.uuid)

-- A Dockerfile may be a text; what fails says where.
local ok, err = pcall(client.images.build, client.images, { dockerfile = { data = [[
FROM busybox:latest
RUN echo no such luck >&2; exit 7
]] } })
print(ok, err.kind, err.line, err.result.exit_code)
print(err.message)
