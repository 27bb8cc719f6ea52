-- One action of a program that uses the module, so that its system calls can fail:
-- fault_client.lua ACTION PLACE [URL]. It prints "did", or "error KIND: MESSAGE" for an error
-- object, or "bad: ..." for anything else, and waits for a line. The action "contree ARGUMENT..."
-- is that of the program contree, which says by itself what fails.
local action, place, url = arg[1], arg[2], arg[3]
local words = {}
for word in action:gmatch("%S+") do words[#words + 1] = word end
-- The program has libuv's loop, which is found when it is loaded.
if words[1] == "contree" then require("luv") end
local contree = require("contree")

-- To count, the program waits when it is loaded, and at its end.
local function wait()
  io.flush()
  if os.getenv("CONTREE_FAULTY_COUNT") then io.read() end
end

local actions = {}

local function client() return contree.new{ url = url } end
local function image() return client().images:use("tag:faults") end

-- What is skipped is told.
local function check(out)
  if #out.skipped > 0 then
    io.write("error skipped: ", out.skipped[1].path, " ", out.skipped[1].why, "\n")
    error("skipped", 0)
  end
end

function actions.apply() check(require("spec.support.carrier").apply(place .. "/folder", place)) end

function actions.undo() check((require("spec.support.carrier").undo(place .. "/folder"))) end

function actions.download() image():download("/w/long", place .. "/long") end

function actions.tree() image():download("/w", place .. "/tree") end

function actions.upload()
  local file = client().files:upload(place .. "/local")
  io.write("file ", file.uuid, "\n")
end

function actions.run()
  local result = image():run("cat /w/text")
  assert(result.stdout == "1\n2\n3\n", "wrong output")
end

function actions.session()
  local session = image():session{ store = place .. "/store.db", id = "s" }
  io.write("before ", session.image.uuid, "\n")
  session:run("echo x >> /log")
  io.write("after ", session.image.uuid, "\n")
end

function actions.workspace()
  local ws = image():workspace{ path = place .. "/folder", store = place .. "/store.db", id = "w" }
  local result = ws:run("cat a; echo x >> a")
  io.write("saw ", (result.stdout:gsub("\n", " ")), "\n")
  check(ws:apply())
end

-- The program ends its process; here it tells its exit code.
local exit = os.exit

local function program()
  table.remove(words, 1)
  rawset(os, "exit", function(code) error({ code = code }, 0) end)
  require("contree.command").main(words)
end

-- Libraries are loaded at their first use; without them the module cannot begin.
require("contree.core").sha256("")
require("spec.support.carrier")
require("contree.workspace.carry")
if words[1] ~= "contree" then
  require("contree.loop").sleep(0)
else
  for _, file in ipairs{ "run", "folder", "images", "program", "sessions" } do
    require("contree.command." .. file)
  end
end
io.write("loaded\n")
wait()

local ok, err = xpcall(words[1] == "contree" and program or actions[action], function(e)
  return (contree.is_error(e) or type(e) == "table") and e or debug.traceback(tostring(e))
end)
rawset(os, "exit", exit)
if not ok and not contree.is_error(err) and type(err) == "table" and err.code then
  io.write(err.code == 0 and "did\n" or ("error exit: %d\n"):format(err.code))
elseif ok then
  io.write("did\n")
elseif tostring(err):find("^skipped") then
  io.write("\n")
elseif contree.is_error(err) and err.message and #err.message > 0 then
  io.write("error ", err.kind, ": ", (err.message:gsub("\n", " ")), "\n")
else
  io.write("bad: ", (tostring(err):gsub("\n", " ")), "\n")
end
wait()
