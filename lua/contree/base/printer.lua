--- A line on the terminal that shows how far something is: contree.progress(), and the
--- progress of the command line. Never in a pipe or a file.

local class = require("contree.base.class")
local core = require("contree.core")
local progress = require("contree.base.progress")
local text = require("contree.base.text")

local printer = {}

local STDERR = 2
local PAUSE, WIDTH = 0.1, 24 -- seconds between two lines; columns of the bar
local CLEAR = "\r\27[K"

---@class contree.ProgressPrinter prints how far something is; it is called as `progress =`
---@operator call(contree.Progress): nil
local Printer = {}

local function bar(far)
  if not far.total or far.total <= 0 then return "" end
  local full = math.floor(WIDTH * math.min(1, far.done / far.total))
  return ("[%s%s] "):format(("="):rep(full), (" "):rep(WIDTH - full))
end

local function describe(self, far)
  local title = self.title and text.line(self.title) .. " " or ""
  return bar(far) .. title .. progress.words(far)
end

-- Neovim draws the terminal itself.
local function echo(vim, words)
  vim.schedule(function()
    if #vim.api.nvim_list_uis() > 0 then vim.api.nvim_echo({ { words } }, false, {}) end
  end)
end

local function write(words)
  io.stderr:write(words)
  io.stderr:flush()
end

-- End the line: it stays, or it is taken away.
local function finish(self)
  if self.drawn then write(self.fleeting and CLEAR or "\n") end
  self.drawn, self.phase = false, nil
end

local function is_over(far) return far.total ~= nil and far.done >= far.total end

local function draw(self, far)
  local words, vim = describe(self, far), rawget(_G, "vim")
  if vim and vim.schedule then return echo(vim, words) end
  local width = core.columns(STDERR)
  if not width then return end
  -- A phase that is told to be over more than once has one line.
  if is_over(far) and words == self.last then return end
  if self.phase and self.phase ~= far.phase and not self.fleeting then finish(self) end
  write(CLEAR .. text.cut(words, width - 1))
  self.drawn, self.phase, self.last = true, far.phase, words
  if is_over(far) and not self.fleeting then finish(self) end
end

local function call(self, far)
  local now = core.now()
  local is_next = far.phase ~= self.seen or is_over(far)
  if now - self.begun < self.patience or not is_next and now - self.drawn_at < PAUSE then return end
  self.seen, self.drawn_at = far.phase, now
  draw(self, far)
end

local make = class.define("contree.ProgressPrinter", Printer, { __call = call }, {})

--- A printer. Its line goes to standard error, if that is a terminal.
---@param title? string what it is that goes on
---@param given? { patience: number?, fleeting: boolean? } patience: seconds that pass before
---  anything is shown, default 0; fleeting: nothing is left of the line at the end
---@return contree.ProgressPrinter
function printer.new(title, given)
  given = given or {}
  return make({ title = title, patience = given.patience or 0, fleeting = given.fleeting or false,
    begun = core.now(), drawn_at = 0, drawn = false })
end

--- Ends the line. That is only needed when what it was for has failed: a phase that is over
--- ends its line itself.
---     printer:finish()
--- Raises: nothing.
function Printer:finish() finish(self) end

return printer
