--- Tools for avante.nvim: setup{ custom_tools = require("contree.nvim.avante").tools }. Stopping
--- avante stops the command.

local contree = require("contree")
local tools = require("contree.nvim.tools")

local avante = {}

-- Seconds between two looks. avante itself looks every 100 ms, and forgets then.
local LOOK = 0.02

local TYPES = { list = "array" }

local function fields(tool)
  local list = {}
  for i, argument in ipairs(tool.takes) do
    local name, kind, about = argument[1], argument[2], argument[3]
    list[i] = { name = name, type = TYPES[kind] or kind, description = about,
      optional = not argument.required, choices = argument.choices,
      items = kind == "list" and { name = "path", type = "string", description = "one" } or nil }
  end
  return list
end

local function helpers()
  local ok, found = pcall(require, "avante.llm_tools.helpers")
  return ok and found or {}
end

-- avante does not tell a tool that it is stopped, and answers the model itself then.
local function kill_when_stopped(call)
  local flag = helpers()
  contree.spawn(function()
    while not call.over do
      if flag.is_cancelled then return call:kill() end
      contree.sleep(LOOK)
    end
  end)
end

-- Ask the user, as avante's own tools do.
local function ask(tool, given, options, go)
  local confirm = helpers().confirm
  if not tool.writes or not confirm then return go() end
  confirm(tool.question(given), function(yes, reason)
    if yes then return go() end
    options.on_complete(nil, "the user did not allow it" .. (reason and ": " .. reason or ""))
  end, nil, options.session_ctx, tool.name)
end

local function func(tool)
  return function(given, options)
    if options.streaming then return nil, nil end -- the arguments are not whole yet
    ask(tool, given, options, function()
      kill_when_stopped(tools.start(tool, given, {
        done = function(words) options.on_complete(words, nil) end,
        failed = function(words) options.on_complete(nil, words) end,
      }))
    end)
    return nil, nil
  end
end

--- The tools, as avante wants them.
---@return table[]
function avante.tools()
  local list = {}
  for i, tool in ipairs(tools.list) do
    list[i] = { name = tool.name, description = tool.about,
      param = { type = "table", fields = fields(tool) },
      returns = {
        { name = "result", type = "string", description = "what it tells" },
        { name = "error", type = "string", description = "why it failed", optional = true },
      },
      func = func(tool) }
  end
  return list
end

return avante
