--- The window that shows the output of runs.

local api = vim.api

local output = {}
output.__index = output

local namespace = api.nvim_create_namespace("contree")
local buffer

api.nvim_set_hl(0, "ContreeStderr", { link = "WarningMsg", default = true })
api.nvim_set_hl(0, "ContreeSummary", { link = "Comment", default = true })

local function make_buffer()
  local made = api.nvim_create_buf(false, true)
  api.nvim_buf_set_name(made, "contree://output")
  vim.bo[made].filetype = "contree"
  return made
end

local function show()
  local height = require("contree.nvim.config").get().height
  if vim.fn.bufwinid(buffer) ~= -1 then return end
  local here = api.nvim_get_current_win()
  vim.cmd(("botright %dsplit"):format(height))
  api.nvim_win_set_buf(0, buffer)
  api.nvim_set_current_win(here)
end

--- Empties the window, and opens it if it is closed.
function output.open(title)
  if not buffer or not api.nvim_buf_is_valid(buffer) then buffer = make_buffer() end
  api.nvim_buf_set_lines(buffer, 0, -1, false, {})
  show()
  local self = setmetatable({ buffer = buffer }, output)
  self:write("$ " .. title .. "\n", "ContreeSummary")
  return self
end

-- Where a cursor was at the end, it stays there. Elsewhere somebody is reading.
local function follow(buf, before, last)
  for _, window in ipairs(vim.fn.win_findbuf(buf)) do
    if api.nvim_win_get_cursor(window)[1] == before then
      api.nvim_win_set_cursor(window, { last, 0 })
    end
  end
end

--- Adds text at the end; a chunk may end anywhere in a line.
function output:write(text, highlight)
  if not api.nvim_buf_is_valid(self.buffer) then return end
  local row = api.nvim_buf_line_count(self.buffer) - 1
  local column = #api.nvim_buf_get_lines(self.buffer, row, row + 1, false)[1]
  local lines = vim.split(text, "\n", { plain = true })
  api.nvim_buf_set_text(self.buffer, row, column, row, column, lines)
  local last = row + #lines - 1
  if highlight then
    api.nvim_buf_set_extmark(self.buffer, namespace, row, column, {
      end_row = last,
      end_col = (#lines == 1 and column or 0) + #lines[#lines],
      hl_group = highlight,
    })
  end
  follow(self.buffer, row + 1, last + 1)
end

--- Adds a last line.
function output:finish(text, highlight)
  if not api.nvim_buf_is_valid(self.buffer) then return end
  local row = api.nvim_buf_line_count(self.buffer) - 1
  local tail = api.nvim_buf_get_lines(self.buffer, row, row + 1, false)[1]
  self:write((tail == "" and "" or "\n") .. text, highlight)
end

return output
