-- The parameters of a run: core, I/O and execution.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

-- Core: shell, or command and args; stdin; env.
io.write("core:       ", image:run{
  command = "/bin/sh",
  args = { "-c", 'read line; echo "$line, $WHO"' },
  stdin = "hello\n",
  env = { WHO = "world" },
}.stdout)

-- I/O: stdout, stderr, files, truncate_output_at.
local log = contree.buffer()
local result = image:run{
  shell = "cat /in.txt; echo aside >&2",
  files = { ["/in.txt"] = { data = "from a file\n" } },
  stdout = contree.PIPE,
  stderr = log,
  truncate_output_at = 1000,
}
print("I/O:        " .. result.stdout:read("l") .. ", " .. log:read("l"))

-- Execution: cwd, hostname, uid and gid, timeout, disposable, tag.
io.write("execution:  ", image:run{
  shell = 'echo "$(id -u):$(id -g) on $(hostname) in $PWD"',
  cwd = "/tmp",
  hostname = "box",
  uid = 0,
  gid = 0,
  timeout = 10,
}.stdout)
result = image:run{ shell = "echo v2 > /version", tag = "demo/params:v2" }
io.write("tag:        ", client.images:use("demo/params:v2"):read("/version"))
print("kept:       " .. tostring(result.changed) .. ", " .. result.tag)
result:untag()

-- check makes an error of a command that fails, and carries its result.
local ok, err = pcall(image.run, image, { shell = "exit 9", check = true })
print("check:      " .. tostring(ok) .. ", " .. err.result.exit_code)

-- Parameters for all runs of a client are given once.
local quick = contree.new{ operation_timeout = 1, default_truncate_output_at = 3 }
result = quick.images:use("busybox:latest"):run("echo 123456; sleep 60")
print("defaults:   " .. result.stdout .. ", " .. tostring(result.timed_out))
