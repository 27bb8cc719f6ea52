-- Find the run that broke something, and the one that wrote a file last.

local contree = require("contree")

local session = contree.new().images:use("busybox:latest"):session()
session:run("mkdir /etc/app; echo level=1 > /etc/app/conf")
for i = 1, 5 do session:run("echo " .. i .. " >> /log") end
session:run("sed -i s/level/lvl/ /etc/app/conf")
for i = 6, 10 do session:run("echo " .. i .. " >> /log") end

-- Exit code 0: good, 125: cannot be tested, anything else: bad.
local entry, tests = session:bisect("[ ! -e /etc/app/conf ] || grep -q level= /etc/app/conf")
print("broken by:  " .. entry.title)
print(("found in %d runs, the session has %d"):format(#tests, #session:history() - 1))

-- The test can be a function, and many can run at a time.
entry = session:bisect(function(image)
  return not image:exists("/log") or not image:read("/log"):find("3")
end, { parallel = 3 })
print("the 3 is of: " .. entry.title)

-- Who wrote it? This runs nothing: it compares the changes of every step.
local change
entry, change = session:blame("/etc/app/conf")
print(("%s %s by: %s"):format(change.path, change.change, entry.title))
entry = session:blame("/bin/sh")
print("/bin/sh came with " .. entry.title)

-- Where an image comes from, the newest first.
for _, each in ipairs(session:lineage(3)) do print(each.kind, each.title) end
