-- Basic command execution.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

-- A shell line, and what it wrote.
local result = image:run("echo hello from $(uname -s)")
io.write(result.stdout)

-- A program and its arguments.
result = image:run{ command = "/bin/echo", args = { "hello", "again" } }
io.write(result.stdout)

-- A failing command is a result, too.
result = image:run("ls /no/such/directory")
print("exit code " .. result.exit_code .. ", stderr: " .. result.stderr:match("[^\n]*"))
