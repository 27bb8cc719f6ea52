--- How a session came to where it is: its branches as a tree, and going to another place.
--- It is the session of the runs, or with a bang that of the folder.

local folder = require("contree.nvim.folder")
local run = require("contree.nvim.run")
local task = require("contree.nvim.task")
local view = require("contree.nvim.view")

local history = {}

-- The session that a command means.
local function find(of_folder, command)
  local found = of_folder and folder.workspace() or run.session()
  return found or error(("nothing has run yet with :Contree run (:Contree! %s is for what ran on "
    .. "the folder)"):format(command), 0)
end

local function show(of_folder)
  local session = find(of_folder, "log")
  -- The titles in the lines are anybody's words: an entry is known by its number.
  local function go()
    local id = tonumber(vim.api.nvim_get_current_line():match("^[^%d]*(%d+)"))
    task.run(function()
      for _, entry in ipairs(session:tree()) do
        if entry.id == id and entry.branches[1] then
          session:checkout(entry.branches[1])
        elseif entry.id == id then
          local name = vim.fn.input("Name of the new branch: ")
          if name == "" then return end
          session:commit(entry.image, name)
        end
      end
      show(of_folder)
    end)
  end
  view.show("log", "contree", tostring(session:tree()), { ["<CR>"] = go })
  vim.fn.search([[^[| ]*@]], "cw") -- where it is
end

--- Shows the tree of a session's runs. Return on a line goes there: to its branch, or on a new
--- one.
function history.log(of_folder) task.run(show, of_folder) end

--- Begins a branch.
function history.branch(of_folder, name)
  task.run(function()
    find(of_folder, "branch"):branch(name)
    task.tell("on branch " .. name)
  end)
end

--- Goes to a branch.
function history.checkout(of_folder, name)
  task.run(function()
    find(of_folder, "checkout"):checkout(name)
    task.tell("on branch " .. name)
  end)
end

--- Goes back by runs.
function history.rollback(of_folder, count)
  task.run(function()
    find(of_folder, "rollback"):rollback(count)
    task.tell(("back to before the last %s"):format(count == 1 and "run" or count .. " runs"))
  end)
end

return history
