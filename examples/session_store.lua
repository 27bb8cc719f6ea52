-- A session that outlives its script: it is in a file, and any script can resume it.

local contree = require("contree")

local client = contree.new()
local store = os.tmpname()
os.remove(store) -- only its name is needed

do -- one program begins it
  local image = client.images:use("busybox:latest")
  local session = image:session{ store = store, id = "cooking" }
  session:run("echo flour >> /list")
  session:run("echo sugar >> /list")
  session:start("sleep 0.2; echo butter >> /list") -- and does not wait for the end
end

-- Another one goes on, a minute or a month later.
local session = client:session{ store = store, id = "cooking" }
print("pending: " .. #session:pending())
session:wait()
print("list:    " .. session:read("/list"):gsub("\n", " "))
session:branch("salty"):rollback(2)
session:run("echo salt >> /list")

-- Two at the same time: a branch that has moved meanwhile is never overwritten.
local other = client:session{ store = store, id = "cooking" }
local ok, err
contree.gather(function()
  ok, err = pcall(session.run, session, "sleep 1; echo pepper >> /list")
end, function()
  contree.sleep(0.1)
  other:run("echo chili >> /list")
end)
print("second:  " .. tostring(ok) .. " " .. err.kind)
session:commit(err.result, "peppery") -- its result was kept
print("salty:   " .. other:read("/list"):gsub("\n", " "))
print("peppery: " .. session:read("/list"):gsub("\n", " "))
print("all:     " .. table.concat(session:list_branches(), " "))

-- What the file holds.
local sessions = contree.sessions(store)
for _, each in ipairs(sessions:list()) do print(each.id, each.branch, each.title) end
print("deleted: " .. tostring(sessions:delete("cooking")))
sessions:close()
for _, suffix in ipairs{ "", "-wal", "-shm" } do os.remove(store .. suffix) end
