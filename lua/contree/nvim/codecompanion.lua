--- An extension of codecompanion.nvim: its agents get the tools for the folder. Stopping an agent
--- stops its command.

local tools = require("contree.nvim.tools")

local codecompanion = {}

-- codecompanion has passed the callback as a fourth argument before it had a table of options.
local function callbacks(options, callback)
  if callback then return callback, nil end
  return options.output_cb, options.register_job
end

local function command(tool, rename)
  return function(_, given, options, callback)
    local tell, register = callbacks(options, callback)
    local call = tools.start(tool, rename and rename(given) or given, {
      done = function(words) tell({ status = "success", data = words }) end,
      failed = function(words) tell({ status = "error", data = words }) end,
    })
    if register then register(call) end
  end
end

local function join(parts)
  local words = {}
  for i, part in ipairs(parts or {}) do
    words[i] = type(part) == "table" and table.concat(part, "\n") or tostring(part)
  end
  return table.concat(words, "\n")
end

-- What the model and the user are told.
local function output(tool)
  local function add(self, meta, words) meta.tools.chat:add_tool_output(self, words) end
  return {
    prompt = function(self)
      return tool.question and tool.question(self.args) or "Call " .. tool.name .. "?"
    end,
    success = function(self, parts, meta) add(self, meta, join{ parts[#parts] }) end,
    error = function(self, parts, meta) add(self, meta, "error: " .. join(parts)) end,
    rejected = function(self, meta) add(self, meta, "the user did not allow " .. tool.name) end,
    cancelled = function(self, meta) add(self, meta, "the user has stopped " .. tool.name) end,
  }
end

local function made(tool, schema, rename)
  return {
    name = schema.name,
    cmds = { command(tool, rename) },
    schema = { type = "function", ["function"] = schema },
    output = output(tool),
  }
end

local function entry(tool, schema, rename)
  return {
    description = tool.about,
    callback = function() return made(tool, schema, rename) end,
    opts = { require_approval_before = tool.writes == true },
  }
end

-- codecompanion's own run_command, in the sandbox: no question is needed.
local function in_place_of_run_command(tool)
  return entry(tool, { name = "run_command", description = tool.about,
    parameters = { type = "object", additionalProperties = false, required = { "cmd" },
      properties = { cmd = { type = "string", description = "a line for the shell" } } } },
    function(given) return { command = given.cmd } end)
end

--- Called by codecompanion.
---@param options? { run_command: boolean? } run_command: codecompanion's tool of that name runs
---  in the sandbox, too, for every group that has it
function codecompanion.setup(options)
  local chat = require("codecompanion.config").interactions.chat
  chat.tools.groups = chat.tools.groups or {}
  local names = {}
  for i, tool in ipairs(tools.list) do
    names[i] = tool.name
    chat.tools[tool.name] = entry(tool, { name = tool.name, description = tool.about,
      parameters = tools.schema(tool) })
  end
  chat.tools.groups.contree = {
    description = "Commands on the project, in a sandbox",
    prompt = "I give you ${tools} to run commands on my project in a sandbox",
    tools = names,
    opts = { collapse_tools = true },
  }
  if options and options.run_command then
    chat.tools.run_command = in_place_of_run_command(tools.list[1])
  end
end

return codecompanion
