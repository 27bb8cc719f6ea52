--- contree mcp: an MCP server on standard input and output.

local report = require("contree.command.report")
local server = require("contree.mcp")
local terminal = require("contree.command.terminal")

local mcp = {}

function mcp.mcp(args)
  if terminal.kind(terminal.IN) == "tty" then
    report.note(args, "contree mcp talks JSON-RPC with an agent's client, which starts it by "
      .. "itself (claude mcp add contree -- contree mcp). Ctrl-D ends it")
  end
  server.serve(args.client, terminal.read, function(line)
    io.stdout:write(line)
    io.stdout:flush()
  end)
  return 0
end

return mcp
