-- One sandbox for many commands: a server that goes on, commands beside it, images in between.
local contree = require("contree")

local image = contree.new().images:use("busybox:latest")
local box = image:open{ cwd = "/www", files = { ["/www/index.html"] = { data = "one\n" } },
  idle_timeout = 60 }

-- It goes on while other commands run.
box:spawn("exec httpd -f -p 8000")
local fetch = "until wget -q -O - http://127.0.0.1:8000/; do usleep 10000; done 2>/dev/null"
print("the server says " .. box:run{ shell = fetch, timeout = 20 }.stdout)

-- An image of this moment; the box goes on.
local before = box:snapshot()
box:run("echo two > index.html")
print("now it says " .. box:run{ shell = fetch, timeout = 20 }.stdout)
print("the snapshot has " .. before:read("/www/index.html"))

-- A time limit ends one command, with all that it has started.
local late = box:run{ shell = "(setsid sleep 60 &); sleep 60", timeout = 1 }
print("too late", late.timed_out)

-- What the box holds becomes an image; box:close() would drop it.
local built = box:close{ keep = true }
print("the image has " .. built:read("/www/index.html"))

-- An ended box says why.
local ok, err = pcall(box.run, box, "true")
print(ok, err.kind, err.reason)
