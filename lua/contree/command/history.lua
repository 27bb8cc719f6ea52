--- contree log, branch, checkout, rollback, diff, bisect, blame, sessions: how a session came
--- to where it is.

local errors = require("contree.base.errors")
local folder = require("contree.command.folder")
local kept = require("contree.workspace.kept")
local report = require("contree.command.report")
local sessions = require("contree.command.sessions")
local terminal = require("contree.command.terminal")

local history = {}

local function put_entry(args, entry)
  if args.json then return report.json(entry) end
  report.line(("%s  %s  %s"):format(entry.uuid or "-", report.age(entry.created_at),
    terminal.plain(entry.title)))
end

function history.log(args)
  local session = sessions.open(args)
  if args.json then
    for _, entry in ipairs(session:history()) do report.json(entry) end
  else
    for line in tostring(session:tree()):gmatch("[^\n]+") do report.line(terminal.plain(line)) end
  end
  return 0
end

function history.branch(args)
  local session = sessions.open(args)
  if args.delete then
    session:delete_branch(args.delete)
  elseif args.name then
    session:branch(args.name)
    report.note(args, "on branch " .. args.name)
  else
    for _, name in ipairs(session:list_branches()) do
      local here = name == session.branch_name
      if args.json then
        report.json({ name = name, here = here })
      else
        report.line((here and "* " or "  ") .. terminal.plain(name))
      end
    end
  end
  return 0
end

function history.checkout(args)
  local session = sessions.open(args)
  session:checkout(args.name)
  report.note(args, "on branch " .. args.name)
  return 0
end

function history.rollback(args)
  local session = sessions.open(args)
  session:rollback(args.steps or 1)
  local past = session:history()
  put_entry(args, past[#past])
  return 0
end

function history.diff(args)
  local from, to
  if args.from then
    from = sessions.image(args, args.from)
    to = args.to and sessions.image(args, args.to) or sessions.image(args, "@")
  else
    local session = sessions.open(args)
    from, to = session:history()[1].image, session.image
  end
  local list, truncated = to:diff(from, { text = folder.has_text(args) or nil,
    path = args.path })
  folder.put(args, list)
  if truncated then report.note(args, "contree: there are more; --path narrows it") end
  return 0
end

function history.bisect(args)
  local session = sessions.open(args)
  local test = args.shell and table.concat(args.command, " ")
    or { command = args.command[1], args = { table.unpack(args.command, 2) } }
  local entry, tests = session:bisect(test, { parallel = args.parallel })
  for _, each in ipairs(tests) do
    report.note(args, ("%-5s %s"):format(each.verdict, terminal.plain(each.entry.title)))
  end
  put_entry(args, entry)
  return 0
end

function history.blame(args)
  local at = args.image and sessions.image(args, args.image) or sessions.open(args)
  local entry, change = at:blame(args.path)
  if args.json then
    report.json({ entry = entry, change = change })
  else
    put_entry(args, entry)
    if not change then report.note(args, "it came with the image") end
  end
  return 0
end

function history.sessions(args)
  local store = args.contree.sessions(kept.store())
  if args.delete then
    if not store:delete(args.delete) then
      errors.raise("not_found", "there is no session " .. args.delete,
        { hint = "contree sessions lists them" })
    end
    return 0
  end
  report.list(args, store:list(), { "SESSION", "BRANCH", "USED", "LAST COMMAND" }, function(each)
    return each.id, each.branch, report.age(each.updated_at), each.title
  end)
  return 0
end

return history
