-- A sandbox for an agent: execute, upload, download, and undo.

local contree = require("contree")

local session = contree.new().images:use("busybox:latest"):session()

-- The tools of a model. Each answer is a table of plain values. Errors are answers,
-- too: the model can learn from them, and the program goes on.
local tools = {}

function tools.execute(command)
  local ok, result = pcall(session.run, session,
    { shell = command, cwd = "/work", timeout = 30, truncate_output_at = 65536 })
  if not ok then return { error = tostring(result) } end
  return { output = result.stdout .. result.stderr, exit_code = result.exit_code,
    truncated = result.stdout_truncated or result.stderr_truncated }
end

function tools.upload(files)
  local given = {}
  for path, bytes in pairs(files) do given[path] = { data = bytes } end
  session:apply_files(given)
end

function tools.download(path)
  local ok, content = pcall(session.read, session, path)
  if ok then return { content = content } end
  return { error = content.kind }
end

tools.upload{ ["/work/numbers"] = "3\n1\n2\n" }
print("sorted:   " .. tools.execute("sort numbers | tee sorted").output:gsub("\n", " "))
print("download: " .. tools.download("/work/sorted").content:gsub("\n", " "))
print("missing:  " .. tools.download("/work/none").error)

-- Every command that ran is a step that can be undone.
tools.execute("rm numbers")
print("removed:  " .. tostring(not session:exists("/work/numbers")))
session:rollback()
print("back:     " .. tostring(session:exists("/work/numbers")))

-- A command that could not be run says why, and has changed nothing.
local answer = tools.execute("exit 3")
print("exit:     " .. answer.exit_code)
for _, entry in ipairs(session:history()) do print("history:  " .. entry.title) end
