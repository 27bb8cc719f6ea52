--- Tools that agents in Neovim have for the folder: what each takes, and what it tells the model.
--- The other plugins' interfaces are around it (codecompanion.lua, avante.lua, mcphub.lua).
--- `contree mcp` has tools of these names, too.

local apply = require("contree.workspace.apply")
local contree = require("contree")
local folder = require("contree.nvim.folder")
local run = require("contree.nvim.run")
local task = require("contree.nvim.task")
local text = require("contree.base.text")
local written = require("contree.nvim.text")

local tools = {}

local OUTPUT_MAX = 30000 -- bytes of each stream
local PATCH_MAX = 60000

---@class contree.nvim.Tool
---@field name string
---@field about string            for the model
---@field takes contree.nvim.Argument[]
---@field writes? boolean         it changes the user's files, so the user is to be asked
---@field question? fun(given: table): string what the user is asked
---@field call fun(given: table): string

---@class contree.nvim.Argument
---@field [1] string                              its name
---@field [2] "string"|"integer"|"boolean"|"list" list: of texts
---@field [3] string                              what it means
---@field required? boolean
---@field choices? string[]

local function is_list(value)
  if type(value) ~= "table" then return false end
  for key, each in pairs(value) do
    if type(key) ~= "number" or type(each) ~= "string" then return false end
  end
  return true
end

local function clipped(bytes, limit)
  local whole = text.utf8(written.plain(bytes))
  if #whole <= limit then return whole end
  return text.utf8(whole:sub(1, limit)) .. "\n[cut off]"
end

local function section(name, bytes)
  if bytes == "" then return "" end
  return ("\n%s:\n%s"):format(name, (clipped(bytes, OUTPUT_MAX):gsub("\n$", "")))
end

local function workspace_run(given)
  local result = folder.in_turn(function(workspace)
    return workspace:run{ shell = given.command, timeout = given.timeout or 300,
      truncate_output_at = OUTPUT_MAX }
  end, { image = given.image, prefer = given.prefer })
  return run.ending(result) .. section("stdout", result.stdout or "")
    .. section("stderr", result.stderr or "")
end

local function workspace_changes()
  local list = folder.workspace():changes()
  local patch = tostring(list)
  if patch == "" then return "the runs changed nothing" end
  return folder.warnings(list) .. clipped(patch, PATCH_MAX)
end

local function said(applied)
  vim.cmd("checktime") -- buffers follow their files
  local words = apply.words(applied, "agent")
  return words ~= "" and text.utf8(words) or "nothing to do"
end

local function workspace_apply(given)
  return said(folder.workspace():apply{ only = given.only, risky = given.risky or nil })
end

local function workspace_undo() return said(folder.workspace():undo()) end

local function workspace_rollback(given)
  local count = given.runs or 1
  folder.workspace():rollback(count)
  return ("the sandbox is as it was before the last %s"):format(
    count == 1 and "run" or count .. " runs")
end

---@type contree.nvim.Tool[]
tools.list = {
  { name = "workspace_run", call = workspace_run,
    about = "Runs a line of shell on the user's project as it is now, in a sandbox whose working "
      .. "directory /work is the project. Nothing on the user's machine changes: what commands "
      .. "do stays in the sandbox for the next one, is shown by workspace_changes, and comes "
      .. "home by workspace_apply. Files that git ignores are not there.",
    takes = {
      { "command", "string", "a line for the shell", required = true },
      { "timeout", "integer", "seconds until it is killed; default 300" },
      { "image", "string", "the image to begin with, such as python:3.12; it counts only for the "
        .. "first command on a project" },
      { "prefer", "string", "whose version it is where the user and a command changed the same "
        .. "file", choices = { "host", "sandbox" } },
    } },
  { name = "workspace_changes", call = workspace_changes,
    about = "Shows what commands have changed in the sandbox's copy of the project, as a patch.",
    takes = {} },
  { name = "workspace_apply", call = workspace_apply, writes = true,
    question = function(given)
      return ("Bring %s home from the sandbox%s?"):format(
        is_list(given.only) and table.concat(given.only, ", ") or "all changes",
        given.risky == true and ", also what is risky" or "")
    end,
    about = "Writes what commands have changed into the user's project. A file that the user has "
      .. "edited since is left alone, and so are risky changes (git hooks, new programs).",
    takes = {
      { "only", "list", "only these paths and patterns, below the project" },
      { "risky", "boolean", "also what may run by itself" },
    } },
  { name = "workspace_undo", call = workspace_undo, writes = true,
    question = function() return "Take the last apply back?" end,
    about = "Takes the last workspace_apply back. Files that have changed since stay.",
    takes = {} },
  { name = "workspace_rollback", call = workspace_rollback,
    about = "Goes back to what the sandbox was before the last commands. The user's files do not "
      .. "change.",
    takes = { { "runs", "integer", "how many commands to go back; default 1" } } },
}

-- Arguments ------------------------------------------------------------------

local IS = {
  string = function(value) return type(value) == "string" and value ~= "" end,
  integer = function(value) return type(value) == "number" and value % 1 == 0 and value > 0 end,
  boolean = function(value) return type(value) == "boolean" end,
  list = is_list,
}
local WORDS = { string = "a text", integer = "a whole number above 0", boolean = "true or false",
  list = "a list of texts" }

-- What a model has given, checked; it leaves out what it has null for.
local function check(tool, given)
  local checked = {}
  for _, argument in ipairs(tool.takes) do
    local name, kind = argument[1], argument[2]
    local value = type(given) == "table" and given[name] or nil
    if value == vim.NIL or kind == "list" and type(value) == "table" and #value == 0 then
      value = nil
    end
    if value == nil and argument.required then
      error(("%s: %s is missing (%s)"):format(tool.name, name, argument[3]), 0)
    elseif value ~= nil and not IS[kind](value) then
      error(("%s: %s must be %s"):format(tool.name, name, WORDS[kind]), 0)
    elseif value and argument.choices and not vim.tbl_contains(argument.choices, value) then
      error(("%s: %s must be one of %s"):format(tool.name, name,
        table.concat(argument.choices, ", ")), 0)
    end
    checked[name] = value
  end
  return checked
end

--- The JSON schema of a tool's arguments.
---@param tool contree.nvim.Tool
---@return table
function tools.schema(tool)
  local properties, required = vim.empty_dict(), {}
  for _, argument in ipairs(tool.takes) do
    local name, kind = argument[1], argument[2]
    properties[name] = { type = kind == "list" and "array" or kind, description = argument[3],
      items = kind == "list" and { type = "string" } or nil, enum = argument.choices }
    if argument.required then required[#required + 1] = name end
  end
  return { type = "object", properties = properties, additionalProperties = false,
    required = #required > 0 and required or nil }
end

-- Calling --------------------------------------------------------------------

local running = {}

---@class contree.nvim.Call
---@field task contree.Task
---@field over boolean
local Call = {}
Call.__index = Call

--- Cancels it, and the command that it runs. Nothing is told of it any more.
function Call:kill()
  self.silent = true
  self.task:cancel()
end

--- Begins a call. Tells its end once: on.done(words), or on.failed(words).
---@param tool contree.nvim.Tool
---@param given table  what the model has given
---@param on { done: fun(words: string), failed: fun(words: string) }
---@return contree.nvim.Call
function tools.start(tool, given, on)
  local call = setmetatable({ over = false }, Call)
  local function finish(ok, words)
    running[call], call.over = nil, true
    if call.silent then return end
    -- Out of our task, so that what is done then is no part of it.
    vim.schedule(function() (ok and on.done or on.failed)(words) end)
  end
  call.task = contree.spawn(function()
    running[call] = true
    local ok, words = pcall(function() return tool.call(check(tool, given)) end)
    if not ok then
      words = contree.is_error(words, "cancelled") and "the user has stopped it"
        or text.utf8(task.words(words, "agent"))
    end
    finish(ok, words)
  end)
  return call
end

--- Ends all calls that are under way; what runs fails. Returns how many there were.
function tools.stop()
  local count = 0
  for call in pairs(running) do
    count = count + 1
    call.task:cancel()
  end
  return count
end

return tools
