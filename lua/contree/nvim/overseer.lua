--- A strategy for overseer.nvim, `strategy = "contree"`: a task's command runs on the folder, in
--- its sandbox, at a terminal.

local api = vim.api
local folder = require("contree.nvim.folder")
local run = require("contree.nvim.run")
local terminal = require("contree.nvim.terminal")
local text = require("contree.nvim.text")

---@class contree.nvim.Strategy
local Strategy = {}
Strategy.__index = Strategy

--- What overseer calls for a task with this strategy.
---@param options? { image: string?, keep: boolean?, networking: boolean?, timeout: number? }
---  image: that a new workspace begins at; keep: default true, false runs it beside the
---  workspace, as is meant for servers
---@return contree.nvim.Strategy
function Strategy.new(options) return setmetatable({ options = options or {} }, Strategy) end

-- What is called ----------------------------------------------------------------

-- A path of this machine, or a word with one, as it is in the sandbox.
local function translated(word, workspace)
  local at, path = 1, workspace.path
  local parts = {}
  while true do
    local first, last = word:find(path, at, true)
    if not first then break end
    local whole = word:sub(last + 1, last + 1):find("^[^%w._-]?$") ~= nil
    parts[#parts + 1] = word:sub(at, first - 1) .. (whole and workspace.at or path)
    at = last + 1
  end
  return table.concat(parts) .. word:sub(at)
end

local function words_of(command, workspace)
  if type(command) == "string" then
    return { "/bin/sh", "-c", translated(command, workspace) }
  end
  local words = {}
  for i, word in ipairs(command) do words[i] = translated(word, workspace) end
  return words
end

local function popen_options(self, given, tty, workspace)
  local env = {}
  for name, value in pairs(given.env or {}) do
    env[name] = translated(tostring(value), workspace)
  end
  return { tty = tty, env = env, disposable = self.options.keep == false,
    cwd = given.cwd and translated(vim.fn.resolve(given.cwd), workspace) or workspace.at,
    networking = self.options.networking, timeout = self.options.timeout }
end

local function starter(self, given)
  local place = { path = given.cwd, image = self.options.image }
  local function start(at, tty, workspace)
    return at:popen(words_of(given.cmd, workspace), popen_options(self, given, tty, workspace))
  end
  return function(tty, attend)
    if self.options.keep ~= false then
      return folder.in_turn(function(workspace)
        return attend(start(workspace, tty, workspace))
      end, place)
    end
    local workspace = folder.in_turn(function(found)
      found:sync()
      return found
    end, place)
    return attend(start(workspace.image, tty, workspace))
  end
end

-- What is told --------------------------------------------------------------------

-- Tells a task what the terminal shows: bytes as jobs have them, and whole lines.
local function teller(given)
  local rest = ""
  local function lines(list)
    if #list > 0 then given:dispatch("on_output_lines", list) end
  end
  local function output(bytes)
    given:dispatch("on_output", vim.split(bytes, "\n", { plain = true }))
    local list = vim.split(rest .. bytes, "\n", { plain = true })
    rest = table.remove(list)
    for i, line in ipairs(list) do list[i] = text.plain((line:gsub("\r+$", ""))) end
    lines(list)
  end
  local function flush()
    if rest ~= "" then lines{ text.plain((rest:gsub("\r+$", ""))) } end
    rest = ""
  end
  return output, flush
end

local function code_of(result)
  if not result then return 1 end
  return result.exit_code or 128 + (result.signal or 0)
end

-- What overseer calls -------------------------------------------------------------

--- Begins.
function Strategy:start(given)
  self.buffer = self.buffer or api.nvim_create_buf(false, true)
  local output, flush = teller(given)
  local mine
  mine = terminal.open(self.buffer, starter(self, given), {
    output = output,
    ended = function(result, err)
      flush()
      -- A task that was stopped, or is no more, is told nothing.
      if self.terminal == mine and vim.v.exiting == vim.NIL then
        self.terminal = nil
        vim.schedule(function() given:on_exit(code_of(result)) end)
      end
      return run.ending(result, err)
    end,
  })
  self.terminal = mine
end

--- The buffer that shows it.
function Strategy:get_bufnr() return self.buffer end

--- Ends the command; what it changed is dropped.
function Strategy:stop()
  local last = self.terminal
  self.terminal = nil
  if last then last:cancel() end
end

--- Makes it ready to start again.
function Strategy:reset()
  self:stop()
  local buffer = self.buffer
  self.buffer = nil
  if buffer and api.nvim_buf_is_valid(buffer) then
    pcall(api.nvim_buf_delete, buffer, { force = true })
  end
end

Strategy.dispose = Strategy.reset

return Strategy
