--- A server inside Neovim for mcphub.nvim: require("contree.nvim.mcphub").setup(). mcphub tells
--- no tool that it is stopped; :Contree stop does.

local tools = require("contree.nvim.tools")

local mcphub = {}

local SERVER = "contree"

local function handler(tool)
  return function(request, answer)
    tools.start(tool, request.params, {
      done = function(words) answer:text(words):send() end,
      failed = function(words) answer:error(words) end,
    })
  end
end

--- Adds the server with its tools.
function mcphub.setup()
  local hub = require("mcphub")
  for _, tool in ipairs(tools.list) do
    hub.add_tool(SERVER, { name = tool.name, description = tool.about,
      inputSchema = tools.schema(tool), handler = handler(tool) })
  end
end

return mcphub
