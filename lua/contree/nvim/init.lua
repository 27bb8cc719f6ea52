--- The plugin: :Contree and its subcommands (doc/contree.txt).

local config = require("contree.nvim.config")
local folder = require("contree.nvim.folder")
local history = require("contree.nvim.history")
local options = require("contree.base.options")
local run = require("contree.nvim.run")
local shell = require("contree.nvim.shell")
local task = require("contree.nvim.task")
local tools = require("contree.nvim.tools")

local plugin = {}

--- Changes settings (:help contree-setup).
---@param given? table
function plugin.setup(given) config.set(given or {}) end

local function need(name, what)
  if name and name ~= "" then return name end
  error(what .. " is missing", 0)
end

-- Each gets the words after the subcommand, what the user has typed there, and the rest.
local COMMANDS = {
  run = function(words, _, given) run.buffer(given.line1, given.line2, words[1]) end,
  shell = function(words, _, given)
    shell.open{ image = words[1], of_folder = given.bang, mods = given.mods }
  end,
  on = function(_, text) run.on(need(text, "the command")) end,
  begin = function(words, _, given)
    folder.begin(need(words[1], "the image"), given.bang)
  end,
  stop = function()
    local any = run.stop()
    if tools.stop() > 0 or any then return end
    task.run(function()
      local count = folder.abandon()
      task.tell(count == 0 and "nothing runs" or "stopped what ran on the folder")
    end)
  end,
  changes = function() folder.changes() end,
  review = function(words) task.run(folder.review, need(words[1], "the path"), true) end,
  apply = function(words, _, given) folder.apply(words, given.bang) end,
  undo = function() folder.undo() end,
  log = function(_, _, given) history.log(given.bang) end,
  branch = function(words, _, given)
    history.branch(given.bang, need(words[1], "the branch's name"))
  end,
  checkout = function(words, _, given)
    history.checkout(given.bang, need(words[1], "the branch's name"))
  end,
  rollback = function(words, _, given)
    history.rollback(given.bang, tonumber(words[1] or 1) or need(nil, "the number of runs"))
  end,
}

local function names()
  local list = vim.tbl_keys(COMMANDS)
  table.sort(list)
  return list
end

--- Runs :Contree.
---@param given table what nvim_create_user_command passes
function plugin.command(given)
  local name, text = given.args:match("^(%S*)%s*(.-)%s*$")
  local act = COMMANDS[name]
  if not act then
    local near = options.nearest(name, COMMANDS)
    return task.fail((name == "" and ":Contree takes a subcommand" or
      "there is no :Contree " .. name) .. "; " .. (near and "did you mean " .. near .. "?"
      or "there are " .. table.concat(names(), ", ")))
  end
  if given.range == 0 and name == "run" then
    given.line1, given.line2 = 1, vim.api.nvim_buf_line_count(0)
  end
  local ok, err = pcall(act, vim.split(text, "%s+", { trimempty = true }), text, given)
  if not ok then task.fail(err) end
end

local function branches()
  local session = run.session()
  local ok, list = pcall(function() return session:list_branches() end)
  return ok and list or {}
end

local function images()
  local list = {}
  for i, image in ipairs(config.client().images:list{ tagged = true, limit = 200 }) do
    list[i] = image.tag
  end
  return list
end

local CHOICES = { checkout = branches, run = images, shell = images, begin = images }

--- Completes :Contree.
---@param lead string
---@param line string
---@return string[]
function plugin.complete(lead, line)
  local name = line:match("Contree!?%s+(%S+)%s")
  local list = name and {} or names()
  if name and CHOICES[name] then
    local ok, found = pcall(CHOICES[name])
    list = ok and found or {}
  elseif name == "apply" or name == "review" then
    list = vim.fn.getcompletion(lead, "file")
  end
  return vim.tbl_filter(function(each) return vim.startswith(each, lead) end, list)
end

return plugin
