-- Running commands: shell lines and programs, their input, and their results.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")

-- A lone string, or shell =, is a line for the sandbox's shell: pipes,
-- redirects, wildcards, variables.
local result = image:run("printf 'b\\na\\n' | sort")
print("shell:   " .. result.stdout:gsub("\n", " "))

-- command = and args = start a program as it is; nothing needs quoting.
result = image:run{ command = "/bin/echo", args = { "$HOME", "*", "two  spaces" } }
io.write("command: ", result.stdout)

-- A directory and variables. (uid = and gid = choose the user, by default root.)
result = image:run{
  shell = 'echo "$GREETING from $(hostname):$PWD"',
  env = { GREETING = "hi" },
  cwd = "/tmp",
  hostname = "box",
}
io.write("options: ", result.stdout)

-- A command that fails is a result. With check = true it would be an error.
result = image:run("echo 'no such thing' >&2; exit 3")
io.write("failure: ", result.exit_code, " ", result.stderr)

-- So is one that takes too long: it and all its children are killed.
result = image:run{ shell = "sleep 100 & sleep 100", timeout = 1 }
print("timeout: " .. tostring(result.timed_out) .. ", limit " .. result.limit)

-- The same run can be repeated.
local date = image:prepare{ shell = "echo again" }
io.write("prepare: ", date().stdout, "         ", date().stdout)
