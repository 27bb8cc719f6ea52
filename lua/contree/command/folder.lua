--- contree on, changes, apply, undo: commands on a folder of this machine, which stays as it is
--- until changes are brought home.

local apply = require("contree.workspace.apply")
local errors = require("contree.base.errors")
local kept = require("contree.workspace.kept")
local progress = require("contree.command.progress")
local report = require("contree.command.report")
local run = require("contree.command.run")
local sessions = require("contree.command.sessions")
local terminal = require("contree.command.terminal")

local folder = {}

local OUT = terminal.OUT

-- "contree on make test" has taken a program for the folder.
local function check_path(args)
  local ok, err = pcall(kept.folder, args.path)
  if ok then return end
  if not args.path:find("/", 1, true) then
    err.hint = ("the command comes after --: contree on -- %s"):format(
      table.concat({ args.path, table.unpack(args.command) }, " "))
  end
  error(err, 0)
end

local function say_skipped(args, workspace)
  for _, each in ipairs(workspace.skipped) do
    report.note(args, ("stays out: %s (%s)"):format(terminal.plain(each.path), each.why))
  end
end

function folder.on(args)
  check_path(args)
  if #args.command == 0 then
    errors.raise("invalid_argument", "there is no command to run",
      { hint = "contree on " .. args.path .. " -- COMMAND" })
  end
  local bar = progress.new(args, args.path)
  local workspace = sessions.workspace(args,
    { path = args.path, image = args.image, prefer = args.prefer, progress = bar.tell })
  bar.finish()
  local code = run.here(args, workspace, run.options(args))
  say_skipped(args, workspace)
  if not args.json and not args.quiet and terminal.is(terminal.ERR) then
    local changes = workspace:changes{ text = false }
    if #changes > 0 then
      report.note(args, ("%d changed: contree changes shows them, contree apply brings them home")
        :format(#changes))
    end
  end
  return code
end

-- Printing -------------------------------------------------------------------

local MARKS = { added = { "A", "green" }, changed = { "M", "yellow" }, removed = { "D", "red" } }

-- Prints a change on a line of its own.
local function put_change(change)
  local mark = MARKS[change.change]
  local text = terminal.colour(OUT, mark[2], mark[1]) .. " " .. terminal.plain(change.path)
  if change.risky then
    text = text .. terminal.colour(OUT, "red", "  (risky: " .. change.risky .. ")")
  end
  report.line(text)
end

local function colour_of(line)
  local first = line:sub(1, 1)
  if line:match("^diff ") or line:match("^%-%-%- ") or line:match("^%+%+%+ ") then return "bold" end
  return first == "+" and "green" or first == "-" and "red" or first == "@" and "blue" or nil
end

-- Prints a patch; on a terminal in colour, and without characters that steer it.
local function put_patch(changes)
  local text = tostring(changes)
  if not terminal.is(OUT) then return report.write(text) end
  for line in text:gmatch("([^\n]*)\n") do
    local colour = colour_of(line)
    line = terminal.plain((line:gsub("\t", "    ")))
    report.line(colour and terminal.colour(OUT, colour, line) or line)
  end
end

--- Whether changes are shown line by line.
function folder.has_text(args) return not args.stat and not args.json end

--- Prints changes: as JSON, as a list (--stat), or as a patch.
---@param list contree.Changes
function folder.put(args, list)
  if folder.has_text(args) then return put_patch(list) end
  for _, change in ipairs(list) do
    if args.json then report.json(change) else put_change(change) end
  end
end

-- Whether a path is one of those given, or below it.
local function is_below(path, given)
  for _, each in ipairs(given) do
    each = each:gsub("^%./", ""):gsub("/+$", "")
    if path == each or path:sub(1, #each + 1) == each .. "/" then return true end
  end
  return #given == 0
end

function folder.changes(args)
  local workspace = sessions.workspace(args)
  local list = workspace:changes{ text = folder.has_text(args),
    ignored = args.ignored or nil }
  for i = #list, 1, -1 do
    if not is_below(list[i].path, args.path) then table.remove(list, i) end
  end
  folder.put(args, list)
  if folder.has_text(args) then
    for _, change in ipairs(list) do
      if change.risky then
        report.note(args, ("risky: %s (%s)"):format(terminal.plain(change.path), change.risky))
      end
    end
  end
  return 0
end

local function say(args, applied)
  if args.json then return report.json(applied) end
  local text = apply.words(applied, "shell")
  if text ~= "" then report.line(text) end
end

-- What was left alone that would have come home: a conflict, a risk that was not asked for.
local function is_partial(applied) return applied.skipped and #applied.skipped > 0 end

function folder.apply(args)
  local workspace = sessions.workspace(args)
  local applied = workspace:apply{ only = #args.path > 0 and args.path or nil,
    risky = args.risky, dry_run = args.dry_run }
  say(args, applied)
  return is_partial(applied) and 1 or 0
end

function folder.undo(args)
  local undone = sessions.workspace(args):undo()
  say(args, undone)
  return is_partial(undone) and 1 or 0
end

return folder
