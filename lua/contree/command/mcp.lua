--- contree mcp: an MCP server on standard input and output.

local server = require("contree.mcp")
local terminal = require("contree.command.terminal")

local mcp = {}

function mcp.mcp(args)
  server.serve(args.client, terminal.read, function(line)
    io.stdout:write(line)
    io.stdout:flush()
  end)
  return 0
end

return mcp
