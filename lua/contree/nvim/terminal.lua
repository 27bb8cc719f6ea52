--- A buffer that is the terminal of a command in a sandbox: Neovim draws what the command writes,
--- and passes keys and the window's size on. It ends with the buffer.

local api = vim.api
local task = require("contree.nvim.task")

local terminal = {}

local CHUNK = 65536
local RETURN = "\r"

---@alias contree.nvim.Attend fun(process: contree.Process): contree.Result

---@class contree.nvim.Terminal
---@field buffer integer
---@field process? contree.Process  once it has started
---@field over boolean              it has ended
local Terminal = {}
Terminal.__index = Terminal

-- Size -----------------------------------------------------------------------

-- The rows and columns of the window that shows the buffer. While no window shows it, those of
-- the current window.
local function size_of(buffer)
  local window = vim.fn.bufwinid(buffer)
  if window == -1 then window = api.nvim_get_current_win() end
  -- Numbers and signs take columns, too.
  local offset = vim.fn.getwininfo(window)[1].textoff or 0
  return api.nvim_win_get_height(window), math.max(1, api.nvim_win_get_width(window) - offset)
end

local function resize(self)
  if not self.process or self.over or vim.fn.bufwinid(self.buffer) == -1 then return end
  local rows, cols = size_of(self.buffer)
  if rows == self.rows and cols == self.cols then return end
  self.rows, self.cols = rows, cols
  -- The command may end at this very moment.
  task.run(pcall, self.process.resize, self.process, rows, cols)
end

-- WinResized is of Neovim 0.9. Before, WinScrolled tells of the current window's size, too,
-- but not in terminal mode.
local function events()
  local resized = vim.fn.exists("##WinResized") == 1 and "WinResized" or "WinScrolled"
  return { "VimResized", "BufWinEnter", "WinEnter", "TermEnter", resized }
end

-- Keys -----------------------------------------------------------------------

-- What is typed goes in its order: the keys of a moment in one request.
local function type_in(self)
  if self.typing or not self.process then return end
  self.typing = true
  task.run(function()
    while self.typed ~= "" and not self.over do
      local keys = self.typed
      self.typed = ""
      if not pcall(self.process.stdin.write, self.process.stdin, keys) then break end
    end
    self.typing = false
  end)
end

local function on_keys(self, keys)
  if self.over then
    if keys == RETURN then
      vim.schedule(function() pcall(api.nvim_buf_delete, self.buffer, { force = true }) end)
    end
    return
  end
  self.typed = self.typed .. keys
  type_in(self)
end

-- Its life -------------------------------------------------------------------

local function put(self, bytes)
  if api.nvim_buf_is_valid(self.buffer) then api.nvim_chan_send(self.screen, bytes) end
end

-- Follow a process that has just started to its end.
local function attend(self, process)
  self.process = process
  if self.closed then process:close() end
  resize(self)
  type_in(self)
  for bytes in function() return process.stdout:read(CHUNK) end do
    put(self, bytes)
    if self.on.output then self.on.output(bytes) end
  end
  process:wait()
  return process.result
end

local function serve(self, start)
  self.begun = true
  self.rows, self.cols = size_of(self.buffer)
  local tty = { rows = self.rows, cols = self.cols }
  local ok, result = pcall(function()
    if self.cancelled then error("it was stopped", 0) end
    return start(tty, function(process) return attend(self, process) end)
  end)
  self.over = true
  pcall(api.nvim_del_augroup_by_id, self.group)
  local told = self.on.ended(ok and result or nil, not ok and result or nil)
  if told then put(self, ("\r\n\27[2m[%s]\27[0m\r\n"):format(told)) end
end

--- Hangs up: the command and what is in its foreground get SIGHUP.
function Terminal:close()
  self.closed = true
  if self.process and not self.over then task.run(pcall, self.process.close, self.process) end
end

--- Ends the command, also one that ignores signals. What it changed is dropped.
function Terminal:cancel()
  if self.over then return end
  self.cancelled = true
  if self.process then
    task.run(pcall, self.process.operation.cancel, self.process.operation)
  elseif self.begun then
    self.task:cancel()
  end
end

--- Makes an empty buffer, which is best in a window already, the terminal of what start()
--- starts in a task. After its end Return wipes the buffer.
---@param buffer integer
---@param start fun(tty: contree.Tty, attend: contree.nvim.Attend): contree.Result starts a
---  process, has it attended to, and returns its result
---@param on { output: fun(bytes: string)?, ended: fun(result: contree.Result?, err: any): string? }
---  ended() returns what is shown as the last line
---@return contree.nvim.Terminal
function terminal.open(buffer, start, on)
  local self = setmetatable({ buffer = buffer, on = on, typed = "", over = false }, Terminal)
  self.screen = api.nvim_open_term(buffer, { on_input = function(_, _, _, keys)
    on_keys(self, keys)
  end })
  self.group = api.nvim_create_augroup("contree" .. buffer, {})
  api.nvim_create_autocmd(events(),
    { group = self.group, callback = function() resize(self) end })
  api.nvim_create_autocmd("BufWipeout",
    { group = self.group, buffer = buffer, callback = function() self:close() end })
  self.task = task.run(serve, self, start)
  return self
end

return terminal
