--- contree status, doctor, df, gc, login: the server, and the machine it needs.

local core = require("contree.core")
local program = require("contree.command.program")
local report = require("contree.command.report")
local terminal = require("contree.command.terminal")

local server = {}

-- Prints the fields of a table by their names, those of tables in it further to the right.
local function put_fields(fields, indent)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = fields[name]
    if type(value) == "table" then
      report.line(indent .. name)
      put_fields(value, indent .. "  ")
    else
      report.line(("%s%-32s %s"):format(indent, name, terminal.plain(tostring(value))))
    end
  end
end

function server.status(args)
  local who = args.client:whoami()
  local shown = { version = core.version, server = tostring(args.client.address), whoami = who }
  if args.json then report.json(shown) else put_fields(shown, "") end
  return 0
end

function server.doctor(args) return program.engine(args, { "doctor" }) end

function server.gc(args)
  local words = { "gc" }
  if args.dry_run then words[#words + 1] = "--dry-run" end
  if args.older_than then
    for _, what in ipairs{ "untagged", "operations", "files" } do
      words[#words + 1] = ("--%s-older-than"):format(what)
      words[#words + 1] = args.older_than
    end
  end
  return program.engine(args, words)
end

return server
