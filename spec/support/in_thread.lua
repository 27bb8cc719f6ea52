-- What a Lua state in a thread of a host in C does with the module (spec/support/threads.c):
-- plain code, tasks, streams, files, a store of sessions that all share, a folder. Leaves a command
-- running for the end of the state.
local contree = require("contree")
local disk = require("spec.support.disk")

local directory = os.getenv("CONTREE_TEST_THREADS")
local image = contree.new().images:use("busybox:latest")
local number = _G.thread
local mine = directory .. "/thread" .. number

local function streams()
  local bytes = 0
  image:run{ shell = "head -c 300000 /dev/zero", stdout = function(text) bytes = bytes + #text end }
  assert(bytes == 300000)
end

local function files()
  local text = ("%d "):format(number):rep(50000)
  disk.write(mine .. ".in", text)
  local made = image:run{ shell = "cat /f > /g", files = { ["/f"] = mine .. ".in" },
    disposable = false }
  os.remove(mine .. ".out")
  made:download("/g", mine .. ".out")
  assert(disk.read(mine .. ".out") == text)
  assert(#made:diff(image) > 0)
end

local function sessions()
  local session = image:session{ store = directory .. "/sessions.db", id = "thread" .. number }
  session:run("echo x >> /log")
end

local function processes()
  local process = image:popen{ "cat" }
  process.stdin:write("hello\n")
  process.stdin:close()
  assert(process.stdout:read("a") == "hello\n")
  process:wait()
end

local function folders()
  local folder = mine .. ".folder"
  assert(os.execute(("mkdir -p %s && cd %s && rm -f new && echo x > f"):format(folder, folder)))
  local ws = image:workspace{ path = folder }
  ws:run("echo " .. number .. " > new")
  ws:apply()
  assert(disk.read(folder .. "/new") == number .. "\n")
end

local function failures()
  local ok, err = pcall(image.run, image, { shell = "exit 3", check = true })
  assert(not ok and err.kind == "command_failed")
end

assert(image:run("echo " .. number).stdout == number .. "\n")
contree.gather(streams, files, sessions, processes, folders, failures)
image:start("sleep 60")
