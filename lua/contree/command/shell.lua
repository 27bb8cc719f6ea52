--- contree shell: a person at a terminal of a sandbox. This program's own terminal passes keys
--- and output as they are, and is put back on every way out.

local contree = require("contree")
local errors = require("contree.base.errors")
local kept = require("contree.workspace.kept")
local run = require("contree.command.run")
local sessions = require("contree.command.sessions")
local terminal = require("contree.command.terminal")

local shell = {}

local ANY_SHELL = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"

-- Where it runs: an image, a named session, or the folder's workspace.
local function place(args, options)
  if args.session then return sessions.named(args, args.image) end
  if args.image ~= "@" then
    options.disposable = not (args.keep or args.tag)
    options.tag = args.tag
    return sessions.start(args, args.image)
  end
  if not kept.find(args.folder or ".") then
    errors.raise("invalid_argument", "which image?",
      { hint = "contree shell IMAGE; in a folder where contree on has run, it may be left out" })
  end
  return sessions.workspace(args)
end

function shell.shell(args)
  if not terminal.is(terminal.IN) or not terminal.is(terminal.OUT) then
    errors.raise("invalid_argument", "this is no terminal",
      { hint = "contree run has the streams of scripts" })
  end
  args.keep = args.keep or args.tag ~= nil
  local options = run.options(args)
  if not options.command then
    options.command, options.args = "/bin/sh", { "-c", ANY_SHELL }
  end
  local at = place(args, options)
  local rows, columns = terminal.size()
  options.tty = { rows = rows, cols = columns, term = os.getenv("TERM") }
  options.stdout = run.to(io.stdout)
  local operation = at:start(options)
  local restore = terminal.raw(function(new_rows, new_columns)
    contree.spawn(pcall, operation.resize, operation, new_rows, new_columns)
  end)
  local feeding = contree.spawn(run.feed, operation)
  local ok, result = pcall(operation.wait, operation)
  restore()
  feeding:cancel()
  if not ok then error(result, 0) end
  return run.finish(args, result)
end

return shell
