--- :Contree shell: a person at a terminal of a sandbox. It is a run of the session: what is
--- changed in it is there for the next run.

local api = vim.api
local folder = require("contree.nvim.folder")
local run = require("contree.nvim.run")
local terminal = require("contree.nvim.terminal")

local shell = {}

local ANY_SHELL = { "/bin/sh", "-c", "exec $(command -v bash || echo sh)" }
local opened = 0

local function window(mods, title)
  vim.cmd((mods ~= "" and mods or "botright") .. " split")
  local buffer = api.nvim_create_buf(true, false)
  api.nvim_win_set_buf(0, buffer)
  opened = opened + 1
  api.nvim_buf_set_name(buffer, ("contree://shell/%d/%s"):format(opened, title))
  return buffer
end

--- Opens a shell: in the session of :Contree run, in a new session from an image, or on the
--- folder.
---@param options { image: string?, of_folder: boolean?, mods: string? }
---@return contree.nvim.Terminal
function shell.open(options)
  local buffer = window(options.mods or "", options.of_folder and "folder"
    or options.image or "session")
  local made = terminal.open(buffer, function(tty, attend)
    local at = options.of_folder and folder.workspace() or run.current(options.image)
    return attend(at:popen(ANY_SHELL, { tty = tty, disposable = false }))
  end, { ended = run.ending })
  vim.cmd("startinsert")
  return made
end

return shell
