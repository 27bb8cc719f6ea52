--- Tools that compare images and walk their history.

local errors = require("contree.base.errors")
local json = require("contree.base.json")
local kept = require("contree.workspace.kept")
local shapes = require("contree.mcp.tools.shapes")

local function diff(context, given)
  local from, to = shapes.find(context.client, given.from), shapes.find(context.client, given.to)
  local list, truncated = to:diff(from, { path = given.path, text = given.text or nil,
    limit = given.limit })
  local changes = json.array()
  for i, each in ipairs(list) do
    changes[i] = { path = each.path, change = each.change, type = each.type, size = each.size }
  end
  local patch, cut
  if given.text then patch, cut = shapes.patch(list) end
  return { changes = changes, patch = patch, truncated = truncated or cut or false }
end

local function entry_of(entry)
  return { image = entry.uuid, kind = entry.kind, command = entry.title,
    exit_code = entry.exit_code, created_at = entry.created_at,
    operation_id = entry.operation and entry.operation.uuid }
end

local function bisect(context, given)
  local image = shapes.find(context.client, given.image)
  local entry, tests = image:bisect(given.command, { parallel = given.parallel })
  local tried = json.array()
  for i, each in ipairs(tests) do
    tried[i] = { image = each.entry.uuid, command = each.entry.title, verdict = each.verdict }
  end
  return { first_bad = entry_of(entry), tests = tried }
end

local function blame(context, given)
  local entry, change = shapes.find(context.client, given.image):blame(given.path)
  return { entry = entry_of(entry), change = change and change.change or json.null }
end

local function branch(context, given)
  local id, folder = kept.find(shapes.path(given.path))
  if not id then
    errors.raise("not_found", folder .. ": no command has run on this folder yet",
      { hint = "workspace_run runs the first one" })
  end
  local session = context.client:session{ store = kept.store(), id = id }
  if given.action == "create" then
    session:branch(given.name or errors.raise("invalid_argument", "branch: name is missing"))
  elseif given.action == "checkout" then
    session:checkout(given.name or errors.raise("invalid_argument", "branch: name is missing"))
  elseif given.action == "rollback" then
    session:rollback(given.steps)
  end
  local history = json.array()
  for i, entry in ipairs(session:history()) do history[i] = entry_of(entry) end
  return { branch = session.branch_name, branches = json.array(session:list_branches()),
    history = history }
end

local IMAGE = { "image", "string", "a uuid, or tag:NAME", required = true }

return {
  { name = "diff", title = "Compare two images", reads = true, call = diff,
    about = "Lists what changed from one image to another; with text as a patch, too. Nothing "
      .. "runs.",
    takes = {
      { "from", "string", "the older image", required = true },
      { "to", "string", "the newer image", required = true },
      { "path", "string", "only what is below it" },
      { "text", "boolean", "compare files line by line", default = false },
      { "limit", "integer", "the most changes to list", default = 1000 },
    } },
  { name = "bisect", title = "Find the run that broke something", call = bisect,
    about = "Finds, among the runs that led to an image, the first after which a test fails. The "
      .. "test is a line of shell: exit code 0 is good, 125 cannot tell, any other is bad. It "
      .. "takes the logarithm of the number of runs.",
    takes = { IMAGE, { "command", "string", "the test", required = true },
      { "parallel", "integer", "how many tests at a time", default = 1 } } },
  { name = "blame", title = "Which run changed a path", reads = true, call = blame,
    about = "Says which of the runs that led to an image last changed a path. Nothing runs.",
    takes = { IMAGE, { "path", "string", "in the image", required = true } } },
  { name = "branch", title = "Branches of a folder's sandbox", call = branch,
    about = "Lists the branches and the runs of a folder's sandbox; begins a branch (create), goes "
      .. "to one (checkout), or goes back by runs (rollback). The user's files do not change.",
    takes = {
      { "path", "string", "the folder: absolute, or below ~", required = true },
      { "action", "string", "what to do", default = "list",
        choices = { "list", "create", "checkout", "rollback" } },
      { "name", "string", "the branch" },
      { "steps", "integer", "how many runs to go back", default = 1 },
    } },
}
