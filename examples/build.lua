-- Building an image from a Dockerfile, step by step; unchanged steps are cached.

local contree = require("contree")

local client = contree.new()
local here = arg[0]:match("^(.*)/") or "."

-- Called after each step.
local function on_step(event)
  print(event.type, event.line, event.text)
end

local image = client.images:build{
  context = here .. "/build",            -- its Dockerfile is used, or dockerfile =
  args = { TITLE = "Two words" },
  tag = "site:1",
  no_cache = true,                       -- so that this prints the same each time
  on_step = on_step,
}
io.write(image:read("/srv/site/index.html"))

-- The image keeps ENV; instructions like CMD are in its config.
io.write(image:run("echo $SITE has $(cat /srv/lines) lines").stdout)
print(table.concat(image.config.cmd, " "))
print(image.stages.site:exists("/site/words.txt"), image:exists("/site"))

-- A second build runs nothing, because no step has changed.
local again = client.images:build{ context = here .. "/build", args = { TITLE = "Two words" } }
print(again.uuid == image.uuid)

-- A Dockerfile may be a text. An error names its line.
local ok, err = pcall(client.images.build, client.images, { dockerfile = { data = [[
FROM busybox:latest
RUN echo no such luck >&2; exit 7
]] } })
print(ok, err.kind, err.line, err.result.exit_code)
print(err.message)
