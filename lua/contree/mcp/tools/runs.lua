--- The tool that runs commands.

local errors = require("contree.base.errors")
local files = require("contree.image.files")
local networking = require("contree.wire.networking")
local shapes = require("contree.mcp.tools.shapes")

-- The files of a run: uploads, and the directory of rsync.
local function files_of(context, given)
  local map
  if given.directory_state_id then
    local state = (context.handles.directories or {})[given.directory_state_id]
    if not state then
      errors.raise("not_found", ("there is no directory state %d"):format(given.directory_state_id),
        { hint = "rsync returns one; it lasts as long as this server" })
    end
    map = { [state.destination] = { source = state.source, ignore = state.exclude } }
  end
  for path, uuid in pairs(given.files or {}) do
    map = map or {}
    map[path] = { source = files.uploaded(uuid), mode = "0644" }
  end
  return map
end

local function run(context, given)
  local options = { env = given.env, cwd = given.cwd, timeout = given.timeout, stdin = given.stdin,
    disposable = given.disposable, truncate_output_at = given.truncate_output_at,
    files = files_of(context, given), networking = shapes.networking(given),
    trace = networking.tracing(given.trace) }
  if given.shell then
    options.shell = given.command
  else
    options.command = given.command
  end
  local image = shapes.find(context.client, given.image)
  if not given.wait then
    options.detach = true
    return { operation_id = image:start(options).uuid }
  end
  local operation = image:start(options)
  shapes.wait(operation)
  return shapes.operation(context.client, operation.uuid)
end

return {
  { name = "run", title = "Run a command", world = true, call = run,
    about = "Runs a command in a sandbox of an image, and returns the operation: "
      .. "metadata.result.state.exit_code, metadata.result.stdout.value (base64 when its encoding "
      .. "says so), and result.image, the image to go on from when disposable is false. Each run "
      .. "begins at `image`; nothing else is remembered. For the user's project use "
      .. "workspace_run.",
    takes = {
      { "command", "string", "a line for the shell; with shell = false a program",
        required = true },
      { "image", "string", "a uuid, or tag:NAME", required = true },
      { "shell", "boolean", "run it with sh", default = true },
      { "env", "map", "variables" },
      { "cwd", "string", "where it runs", default = "/root" },
      { "timeout", "integer", "seconds until it is killed", default = 30 },
      { "disposable", "boolean", "drop what it changes; false keeps it as a new image",
        default = true },
      { "stdin", "string", "its input" },
      { "directory_state_id", "integer", "a directory to have in the sandbox, from rsync" },
      { "files", "map", "uploads to have in the sandbox: path to uuid" },
      shapes.NETWORKING,
      shapes.ALLOW,
      shapes.TRACE,
      { "wait", "boolean", "false returns operation_id at once", default = true },
      { "truncate_output_at", "integer", "bytes kept of each stream", default = 8000 },
    } },
}
