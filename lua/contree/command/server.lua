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

function server.doctor(args) return program.engine(args, { "doctor" }, true) end

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

-- What each kind is, for people; images have their layers' size.
local LINES = {
  { "images", function(disk) return ("%d with a name"):format(disk.images.tagged) end },
  { "layers", "what images consist of" },
  { "files", "uploads" },
  { "volumes", "contree volumes lists them" },
  { "operations", "their output" },
}

function server.df(args)
  local disk = args.client:disk()
  if args.json then
    report.json(disk)
    return 0
  end
  local rows = {}
  for i, line in ipairs(LINES) do
    local kind = disk[line[1]]
    rows[i] = { line[1], ("%d"):format(kind.count), kind.bytes and report.size(kind.bytes) or "-",
      type(line[2]) == "string" and line[2] or line[2](disk) }
  end
  rows[#rows + 1] = { "database", "1", report.size(disk.database_bytes), "" }
  report.table({ "WHAT", "COUNT", "SIZE", "" }, rows)
  report.note(args, ("%s of %s are free; contree gc --dry-run says what can go"):format(
    report.size(disk.free_bytes), report.size(disk.total_bytes)))
  return 0
end

return server
