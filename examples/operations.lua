-- Operations: what can be done with a run that was started.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

-- start returns at once; input stays open.
local op = image:start{
  shell = "echo up > /state; while read line; do echo \"got $line\"; done; echo down > /state",
  stdin = contree.PIPE,
  disposable = false,
}
op:write("one\n"):write("two\n")

-- Other commands can run beside it, in the same sandbox.
local sub = op:spawn("until cat /state 2>/dev/null; do sleep 0.01; done")
io.write("beside it: ", sub:wait().stdout)

sub = op:spawn{ command = "tr", args = { "a-z", "A-Z" }, stdin = contree.PIPE }
sub:write("shouted\n"):close_stdin()
local result = sub:wait()
print("process " .. sub.spid .. ": " .. result.stdout:gsub("\n", "") .. ", exit "
  .. result.exit_code)

-- The end of its input is the end of this command.
op:close_stdin()
result = op:wait()
io.write(result.stdout)
io.write("state: ", result:read("/state"))

-- Everything that happened, from the beginning or from any event on.
local seen = {}
for event in op:events() do
  if event.type == "stdin" or event.type == "exit" then
    seen[#seen + 1] = event.type .. " of " .. event.spid
  end
end
print(#seen .. " events, the last: " .. seen[#seen])

-- A signal ends it normally, and keeps the file system; cancel drops it.
op = image:start{ shell = "echo saved > /f; echo ready; sleep 60", disposable = false }
for event in op:events() do
  if event.bytes == "ready\n" then break end
end
op:kill("TERM")
result = op:wait()
io.write("signal " .. result.signal .. ", ", result:read("/f"))

op = image:start("sleep 60")
print("cancelled: " .. tostring(op:cancel()))
local ok, err = pcall(op.wait, op)
print(tostring(ok) .. " " .. err.kind .. " " .. op:status())
print("known to the server: " .. #client.operations:list{ limit = 3 })
