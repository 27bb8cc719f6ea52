--- The prompts: a text for the model each, with the user's words in it.

local json = require("contree.base.json")
local shapes = require("contree.mcp.tools.shapes")

local prompts = {}

-- { name, what it is for, arguments { name, required or its default }, text with {name} in it }
local ALL = {
  { "prepare-environment", "Prepare an image for a task",
    { { "task", true }, { "base", "python:3.11-slim" }, { "project", "" }, { "packages", "" } },
    "Prepare an image for this task: {task}\nLook with list_images for one that fits; else begin "
      .. "at {base} (import_image). Install what is needed ({packages}) with run and disposable = "
      .. "false, try it, and name it with set_tag, for the project: {project}" },
  { "run-python", "Run Python code", { { "code", true } },
    "Run this Python code in a sandbox, with run, from an image that has Python, and explain the "
      .. "output:\n\n{code}" },
  { "run-shell", "Run a shell command", { { "command", true }, { "image", "ubuntu:noble" } },
    "Run this in a sandbox of the image {image}, with run, and explain the output:\n\n{command}" },
  { "sync-and-run", "Run a command on a folder",
    { { "source", true }, { "command", true }, { "image", "alpine:latest" } },
    "Run `{command}` on the folder {source} with workspace_run, from the image {image}. Show "
      .. "workspace_changes; bring them home only if I agree." },
  { "install-packages", "Install packages into an image",
    { { "packages", true }, { "image", "ubuntu:noble" } },
    "Install {packages} into the image {image}, with run, networking and disposable = false. Try "
      .. "them, and name the new image with set_tag." },
  { "parallel-tasks", "Run several things at once",
    { { "tasks", true }, { "image", "ubuntu:noble" } },
    "Do these at the same time, each in a sandbox of its own from {image}: run with wait = false, "
      .. "then wait_operations. Compare the results.\n\n{tasks}" },
  { "build-project", "Build and test a project",
    { { "source", true }, { "install_cmd", "pip install -e ." }, { "test_cmd", "pytest" } },
    "Build the project {source} with workspace_run: first `{install_cmd}`, then `{test_cmd}`. Say "
      .. "what failed, and why." },
  { "debug-failure", "Find out why a run failed", { { "operation_id", true } },
    "Find out why the operation {operation_id} failed: get_operation has its output; run again "
      .. "from its image what helps." },
  { "inspect-image", "Describe an image", { { "image", true } },
    "Describe the image {image} with list_files and read_file: the system, its versions, what is "
      .. "installed. Nothing needs to run." },
  { "multi-stage-build", "Build a project in steps",
    { { "source", true }, { "install_cmd", "pip install -e ." }, { "build_cmd", "python -m build" },
      { "test_cmd", "pytest" } },
    "Build the project {source} with workspace_run in three steps: `{install_cmd}`, `{build_cmd}`, "
      .. "`{test_cmd}`. When a step fails, go back with branch (rollback), and try another way." },
}

---@return table[]
function prompts.list()
  local listed = {}
  for i, each in ipairs(ALL) do
    local arguments = json.array()
    for k, argument in ipairs(each[3]) do
      arguments[k] = { name = argument[1], required = argument[2] == true }
    end
    listed[i] = { name = each[1], description = each[2], arguments = arguments }
  end
  return listed
end

--- A prompt with the user's words, or nil and what is wrong.
---@param name any
---@param given any
---@return table? prompt, string? problem
function prompts.get(name, given)
  given = type(given) == "table" and given or {}
  for _, each in ipairs(ALL) do
    if each[1] == name then
      local values = {}
      for _, argument in ipairs(each[3]) do
        local value = given[argument[1]]
        if value == nil and argument[2] == true then
          return nil, ("%s: %s is missing"):format(name, argument[1])
        end
        if value ~= nil and type(value) ~= "string" then
          return nil, ("%s: %s must be a text"):format(name, argument[1])
        end
        values[argument[1]] = value or argument[2]
      end
      local text = each[4]:gsub("{([%w_]+)}", values)
      return { description = each[2], messages = json.array{
        { role = "user", content = { type = "text", text = text } } } }
    end
  end
  return nil, ("there is no prompt %s"):format(shapes.word(name))
end

return prompts
