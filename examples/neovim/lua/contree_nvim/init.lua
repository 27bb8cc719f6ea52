--- Runs the buffer in a sandbox that remembers: one session for this Neovim,
--- in which each :ContreeRun finds the files that the last one left.

local contree = require("contree")
local output = require("contree_nvim.output")

local M = {}

local config = {
  client = nil,               -- what contree.new() takes
  image = "busybox:latest",
  timeout = 60,               -- seconds
  -- Commands that run a text from standard input, by file type.
  interpreters = {
    sh = { "/bin/sh", "-s" },
    lua = { "lua", "-" },
    python = { "python3", "-" },
    javascript = { "node", "-" },
  },
}

local session, running

--- Changes the configuration; a new image or client begins a new session.
function M.setup(options)
  config = vim.tbl_deep_extend("force", config, options or {})
  session = nil
end

--- The options for contree.new().
function M.client_options() return config.client end

local function notify(message, level)
  vim.notify("contree: " .. tostring(message):gsub("^contree: ", ""), level or vim.log.levels.INFO)
end

-- The command that reads this text from standard input: "#!" decides, else the
-- file type.
local function interpreter(text, filetype)
  local line = text:match("^#!%s*([^\n]+)")
  if line then return vim.split(line, "%s+", { trimempty = true }) end
  return config.interpreters[filetype]
end

local function summary(result)
  local ending = result.timed_out and "out of time"
    or result.signal and "killed by signal " .. result.signal
    or "exit code " .. result.exit_code
  local changed = result.changed and ", changed" or ""
  return ("[%s, %.3f s%s]"):format(ending, result.duration or 0, changed)
end

local function work(command, text, image)
  if not session or image then
    session = contree.new(config.client).images:use(image or config.image):session()
  end
  local pane = output.open(table.concat(command, " "))
  local ok, result = pcall(session.run, session, {
    command = command[1],
    args = { unpack(command, 2) },
    stdin = text,
    timeout = config.timeout,
    stdout = function(chunk) pane:write(chunk) end,
    stderr = function(chunk) pane:write(chunk, "ContreeStderr") end,
  })
  if ok then
    pane:finish(summary(result), "ContreeSummary")
  else
    pane:finish("[contree: " .. (result.message or result) .. "]", "ErrorMsg")
  end
end

--- Runs lines of the current buffer. An image's name begins a new session.
function M.run(first, last, image)
  local text = table.concat(vim.api.nvim_buf_get_lines(0, first - 1, last, false), "\n") .. "\n"
  local command = interpreter(text, vim.bo.filetype)
  if not command then
    return notify(("how is %q run? Begin the text with #!, or see :help contree-setup")
      :format(vim.bo.filetype), vim.log.levels.ERROR)
  end
  if running then return notify("a run is under way; :ContreeStop ends it", vim.log.levels.WARN) end
  if image == "" then image = nil end
  running = contree.spawn(function()
    local ok, err = pcall(work, command, text, image)
    running = nil
    if not ok then notify(err, vim.log.levels.ERROR) end
  end)
end

--- Ends the run that is under way; its changes are dropped.
function M.stop()
  if running then running:cancel() end
end

--- Undoes the changes of the last runs.
function M.rollback(count)
  local ok, err = pcall(function()
    if not session then error("nothing has run yet", 0) end
    session:rollback(count)
  end)
  if not ok then return notify(err, vim.log.levels.ERROR) end
  notify(("back to before the last %s"):format(count == 1 and "run" or count .. " runs"))
end

-- Neovim does not wait for tasks, so cancel the run before it exits.
vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    local task = running
    M.stop()
    if task then pcall(task.wait, task, 1) end
  end,
})

return M
