--- Runs of the buffer, and of command lines: one session for this Neovim, in which each run finds
--- the files that the last one left. `on` runs on the folder instead.

local config = require("contree.nvim.config")
local contree = require("contree")
local folder = require("contree.nvim.folder")
local output = require("contree.nvim.output")
local task = require("contree.nvim.task")

local run = {}

local NOT_FOUND = 127 -- what shells exit with when there is no such command

local session, running

-- The command that reads this text from standard input: "#!" decides, else the file type.
local function interpreter(text, filetype)
  local line = text:match("^#!%s*([^\n]+)")
  if line then return vim.split(line, "%s+", { trimempty = true }) end
  return config.get().interpreters[filetype]
end

--- How a run ended, in one line.
---@param result? contree.Result
---@param err? any       why there is no result
---@return string
function run.ending(result, err)
  if not result then
    return contree.is_error(err, "cancelled") and "stopped" or "contree: " .. task.words(err)
  end
  local ending = result.timed_out and "out of time"
    or result.signal and "killed by signal " .. result.signal
    or "exit code " .. result.exit_code
  local changed = result.changed and ", changed" or ""
  return ("%s, %.3f s%s"):format(ending, result.duration or 0, changed)
end

--- The session of this Neovim, from an image if one is named. One that cannot be had leaves the
--- session as it is.
---@async
---@param image? string
---@return contree.Session
function run.current(image)
  if session and not image then return session end
  session = config.client().images:oci(image or config.get().image):session()
  return session
end

--- The session, or nil before the first run.
function run.session() return session end

-- advice: what to do when the image lacks the command.
local function show(start, title, options, advice)
  local pane = output.open(title)
  options.stdout = function(chunk) pane:write(chunk) end
  options.stderr = function(chunk) pane:write(chunk, "ContreeStderr") end
  local ok, result = pcall(start, options)
  local words = run.ending(ok and result or nil, not ok and result or nil)
  if ok and result.exit_code == NOT_FOUND then words = words .. "; " .. advice end
  pane:finish("[" .. words .. "]", ok and "ContreeSummary" or "ErrorMsg")
end

-- One run at a time: they share the session and the window.
local function begin(start, title, options, advice)
  if running then
    return task.tell("a run is under way; :Contree stop ends it", vim.log.levels.WARN)
  end
  running = task.run(function()
    local ok, err = pcall(show, start, title, options, advice)
    running = nil
    if not ok then error(err, 0) end
  end)
end

--- Runs lines of the current buffer. An image's name begins a new session.
---@param first integer
---@param last integer
---@param image? string
function run.buffer(first, last, image)
  local text = table.concat(vim.api.nvim_buf_get_lines(0, first - 1, last, false), "\n") .. "\n"
  local command = interpreter(text, vim.bo.filetype)
  if not command then
    return task.tell(("how is %q run? Begin the text with #!, or see :help contree-setup")
      :format(vim.bo.filetype), vim.log.levels.ERROR)
  end
  begin(function(options) return run.current(image):run(options) end, table.concat(command, " "), {
    command = command[1], args = { unpack(command, 2) }, stdin = text,
    timeout = config.get().timeout }, ":Contree run IMAGE runs it in another image")
end

--- Runs a line of shell on the folder.
---@param line string
function run.on(line)
  begin(function(options)
    return folder.in_turn(function(workspace) return workspace:run(options) end)
  end, line, { shell = line, timeout = 3600 }, ":Contree begin IMAGE takes another image")
end

--- Ends the run that is under way; its changes are dropped.
---@return boolean was_one
function run.stop()
  local was_one = running ~= nil
  if was_one then running:cancel() end
  return was_one
end

-- Neovim does not wait for tasks, so the run is cancelled before it exits.
vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    local last = running
    if not last then return end
    last:cancel()
    pcall(last.wait, last, 1)
  end,
})

return run
