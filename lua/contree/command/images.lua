--- contree images, pull, build, import, export, tag, rm.

local arguments = require("contree.command.arguments")
local errors = require("contree.base.errors")
local logins = require("contree.command.logins")
local program = require("contree.command.program")
local progress = require("contree.command.progress")
local report = require("contree.command.report")
local sessions = require("contree.command.sessions")
local terminal = require("contree.command.terminal")

local images = {}

local function mark(name, is_tag)
  return is_tag and terminal.colour(terminal.OUT, "green", name) or name
end

function images.images(args)
  local filter = { tagged = not (args.all or args.tree) or nil, tag = args.prefix,
    limit = args.limit }
  if args.tree then
    for _, line in ipairs(args.client.images:tree(filter):lines(mark)) do report.line(line) end
    return 0
  end
  local list = args.client.images:list(filter)
  report.list(args, list, { "IMAGE", "ID", "MADE" }, function(image)
    return image.tag or "-", image.uuid, report.age(image.created_at)
  end)
  return 0
end

local function put_image(args, image)
  if args.json then return report.json({ uuid = image.uuid, tag = image.tag }) end
  report.line(image.tag and image.tag .. "  " .. (image.uuid or "") or image.uuid)
end

function images.pull(args)
  if args.tag and #args.reference > 1 then
    errors.raise("invalid_argument", "one name cannot be that of several images",
      { hint = "pull them one by one" })
  end
  for _, reference in ipairs(args.reference) do
    local bar = progress.new(args, reference)
    local how = args.again and "import_from" or "oci"
    local login = logins.of(reference) or {}
    local image = args.client.images[how](args.client.images, reference, { tag = args.tag,
      progress = bar.tell, username = login.username, password = login.password })
    bar.finish()
    put_image(args, image)
  end
  return 0
end

function images.push(args)
  local image = sessions.image(args, args.image)
  local reference = args.reference or image.tag
  if not reference then
    errors.raise("invalid_argument", "the image has no name, so there is nothing to push it to",
      { hint = "contree push IMAGE REGISTRY/NAME:TAG" })
  end
  local login = logins.of(reference) or {}
  report.note(args, "pushing to " .. reference)
  local url = image:push(reference, { username = login.username, password = login.password,
    timeout = args.timeout })
  if args.json then report.json({ pushed = url }) else report.line(url) end
  return 0
end

function images.build(args)
  local image = args.client.images:build{ context = args.context or ".", file = args.file,
    tag = args.tag, target = args.target, args = arguments.map(args.arg), networking = args.net,
    on_step = not args.quiet and function(step) report.note(args, tostring(step)) end or nil }
  put_image(args, image)
  return 0
end

-- The engine's own commands know archives; the engine may run meanwhile.
function images.import(args)
  local words = { "import" }
  if args.tag then table.move({ "--tag", args.tag }, 1, 2, #words + 1, words) end
  table.move({ "--", args.source }, 1, 2, #words + 1, words)
  return program.engine(args, words)
end

function images.export(args)
  local words = { "export" }
  if args.output then table.move({ "--output", args.output }, 1, 2, #words + 1, words) end
  if args.oci then table.move({ "--oci", args.oci }, 1, 2, #words + 1, words) end
  if not args.output and not args.oci and terminal.is(terminal.OUT) then
    errors.raise("invalid_argument", "a tar does not go to a terminal",
      { hint = "--output FILE, or a pipe" })
  end
  table.move({ "--", args.image }, 1, 2, #words + 1, words)
  return program.engine(args, words)
end

function images.tag(args)
  local image = sessions.image(args, args.image)
  if args.delete then
    image:untag()
  elseif args.name then
    put_image(args, image:tag_as(args.name))
  else
    errors.raise("invalid_argument", "there is no name to give",
      { hint = "contree tag IMAGE NAME, or contree tag --delete IMAGE" })
  end
  return 0
end

function images.rm(args)
  for _, name in ipairs(args.image) do
    args.client.images:use(name, { strict = true }):untag()
  end
  report.note(args, "gc removes images without a name that were not used for long")
  return 0
end

return images
