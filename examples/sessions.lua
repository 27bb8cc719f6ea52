-- Sessions: an image that moves with every run, and can go back.

local contree = require("contree")

local session = contree.new().images:use("busybox:latest"):session()

session:run("echo bread >> /list")
session:run("echo butter >> /list")
session:run("echo poison >> /list")
print("before: " .. session:read("/list"):gsub("\n", " "))
session:rollback()
print("after:  " .. session:read("/list"):gsub("\n", " "))

-- A branch is a name for a line of history.
session:branch("sweet")
session:run("echo jam >> /list")
session:checkout("main")
session:run("echo cheese >> /list")
print("main:   " .. session:read("/list"):gsub("\n", " "))
session:checkout("sweet")
print("sweet:  " .. session:read("/list"):gsub("\n", " "))

-- A fork is a session of its own.
local other = session:fork()
other:run("rm /list")
print("fork:   " .. tostring(other:exists("/list")) .. ", here: "
  .. tostring(session:exists("/list")))

-- A failing command moves the session like any other; one that cannot be run does not.
session:run("echo half >> /list; exit 1")
local ok, err = pcall(session.run, session, { shell = "true", cwd = "/no/such" })
print("failed: " .. tostring(ok) .. " " .. err.kind)

for i, entry in ipairs(session:history()) do
  print(i, entry.title, entry.exit_code)
end
