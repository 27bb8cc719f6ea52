--- Buffers of the plugin: text that cannot be edited, and keys in it.

local api = vim.api

local view = {}

local function go_to(buffer)
  local window = vim.fn.bufwinid(buffer)
  if window == -1 then
    vim.cmd("botright split")
    api.nvim_win_set_buf(0, buffer)
  else
    api.nvim_set_current_win(window)
  end
end

--- Shows lines in a buffer of that name, in a window of their own.
---@param name string such as "changes"
---@param filetype string
---@param text string
---@param keys? table<string, function> what keys do in it
---@param quietly? boolean it is brought up to date where it is shown; the user may be elsewhere
---  by now, and stays there
---@return integer buffer
function view.show(name, filetype, text, keys, quietly)
  local full = "contree://" .. name
  local buffer = vim.fn.bufnr(full)
  if buffer == -1 then
    buffer = api.nvim_create_buf(false, true)
    api.nvim_buf_set_name(buffer, full)
  end
  vim.bo[buffer].modifiable = true
  local lines = vim.split(text:gsub("\n$", ""), "\n", { plain = true })
  api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].filetype = filetype
  if not quietly then go_to(buffer) end
  for key, act in pairs(keys or {}) do
    vim.keymap.set("n", key, act, { buffer = buffer, nowait = true })
  end
  return buffer
end

return view
