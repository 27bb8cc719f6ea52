--- Tools for the user's folders (docs/use/workspace.md). The command `contree on` has the same
--- ones.

local errors = require("contree.base.errors")
local json = require("contree.base.json")
local kept = require("contree.workspace.kept")
local networking = require("contree.wire.networking")
local shapes = require("contree.mcp.tools.shapes")

local function open(context, given)
  local id, folder = kept.find(shapes.path(given.path))
  if id then return kept.open(context.client, id, { prefer = given.prefer }) end
  if given.image then
    return kept.begin(context.client, folder, given.image, { prefer = given.prefer })
  end
  errors.raise("not_found", folder .. ": no command has run on this folder yet",
    { hint = "workspace_run with an image runs the first one; list_images shows what there is" })
end

local function workspace_run(context, given)
  local workspace = open(context, given)
  local result = workspace:run{ shell = given.command, env = given.env, cwd = given.cwd,
    timeout = given.timeout, stdin = given.stdin, networking = shapes.networking(given),
    truncate_output_at = given.truncate_output_at, trace = networking.tracing(given.trace) }
  local skipped = json.array()
  for i, each in ipairs(workspace.skipped) do skipped[i] = { path = each.path, why = each.why } end
  return { exit_code = result.exit_code or json.null, signal = result.signal,
    timed_out = result.timed_out or false, stdout = shapes.text(result.stdout),
    stderr = shapes.text(result.stderr), truncated = result.stdout_truncated
      or result.stderr_truncated or false, image = result.uuid,
    denied = result.denied and #result.denied > 0 and tostring(result.denied) or nil,
    tried = result.tried and tostring(result.tried) or nil,
    left_out = #skipped > 0 and skipped or nil }
end

local function workspace_changes(context, given)
  local list, truncated = open(context, given):changes{ ignored = given.ignored or nil }
  local changes = json.array()
  for i, each in ipairs(list) do
    changes[i] = { path = each.path, change = each.change, type = each.type, size = each.size,
      risky = each.risky, hunks = each.hunks and #each.hunks or nil }
  end
  local patch, cut = shapes.patch(list)
  return { changes = changes, patch = patch, truncated = truncated or cut }
end

local function applied(made)
  local skipped = json.array()
  for i, each in ipairs(made.skipped or {}) do
    skipped[i] = { path = each.path, why = each.why or each.reason }
  end
  local written = json.array()
  for i, each in ipairs(made.written or {}) do
    written[i] = type(each) == "table" and each.path or each
  end
  return { written = written, skipped = skipped }
end

local function workspace_apply(context, given)
  return applied(open(context, given):apply{ only = given.only, risky = given.risky or nil,
    dry_run = given.dry_run or nil })
end

local function workspace_undo(context, given) return applied(open(context, given):undo()) end

local PATH = { "path", "string", "the folder: absolute, or below ~", required = true }

return {
  { name = "workspace_run", title = "Run on the user's folder", world = true, call = workspace_run,
    about = "Runs a line of shell on the user's folder as it is now, in a sandbox where it is "
      .. "/work. The user's files do not change: what the command did is kept in the sandbox for "
      .. "the next one, shown by workspace_changes, and brought home by workspace_apply. Files "
      .. "that git ignores stay out.",
    takes = {
      PATH,
      { "command", "string", "a line for the shell", required = true },
      { "image", "string", "the image; needed the first time on a folder" },
      { "env", "map", "variables" },
      { "cwd", "string", "where it runs; by default the folder, /work" },
      { "timeout", "integer", "seconds until it is killed", default = 300 },
      { "stdin", "string", "its input" },
      shapes.NETWORKING,
      shapes.ALLOW,
      shapes.TRACE,
      { "prefer", "string", "whose version it is where the user and a run changed the same file",
        choices = { "host", "sandbox" } },
      { "truncate_output_at", "integer", "bytes kept of each stream", default = 30000 },
    } },
  { name = "workspace_changes", title = "What runs changed in the folder", reads = true,
    call = workspace_changes,
    about = "Shows what runs changed in the folder, as a list and as a patch. Nothing runs.",
    takes = { PATH, { "ignored", "boolean", "also what git ignores", default = false } } },
  { name = "workspace_apply", title = "Bring changes home", destroys = true, call = workspace_apply,
    about = "Writes what runs changed into the user's folder. A file that the user has edited "
      .. "since is left alone, and so are risky changes (git hooks, new programs) unless asked "
      .. "for; both are in skipped. workspace_undo takes it back.",
    takes = {
      PATH,
      { "only", "list", "only these paths and patterns" },
      { "risky", "boolean", "also what may run by itself; ask the user first", default = false },
      { "dry_run", "boolean", "only say what would be done", default = false },
    } },
  { name = "workspace_undo", title = "Take the last apply back", destroys = true,
    call = workspace_undo,
    about = "Takes the last workspace_apply of a folder back. Files that changed since stay.",
    takes = { PATH } },
}
