-- Talking to a running command, in the manner of Python's subprocess.Popen.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")

-- A list is a program and its arguments. It starts at once.
local p = image:popen({ "awk", "{ print $1 * 2; fflush() }" })
for i = 1, 3 do
  p.stdin:write(i .. "\n")
  print(i .. " doubled is " .. p.stdout:read("l"))
end
print("still running: " .. tostring(p:poll() == nil))
p.stdin:close()
print("returned " .. p:wait())

-- shell = true takes a line for the shell; communicate sends all of the input
-- and waits for all of the output.
p = image:popen("sort; echo sorted >&2", { shell = true, env = { LC_ALL = "C" }, cwd = "/tmp" })
local out, err = p:communicate("pear\napple\n")
print(out:gsub("\n", " ") .. "| " .. err:gsub("\n", " ") .. "| " .. p.returncode)

-- Lines as they come.
p = image:popen("for i in 1 2 3; do echo line $i; sleep 0.05; done", { shell = true })
for line in p:lines() do print(line) end

-- Signals. A negative returncode is the signal that ended it.
p = image:popen{ "sleep", "60" }
local ok, why = pcall(p.wait, p, 0.1)
print("in time: " .. tostring(ok) .. " (" .. why.kind .. ")")
p:terminate()
print("returned " .. p:wait())

-- check = true raises when the exit code is not 0.
p = image:popen("echo sorry >&2; exit 4", { shell = true, check = true })
ok, why = pcall(p.wait, p)
print(tostring(ok) .. " " .. why.message)
