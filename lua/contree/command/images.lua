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

-- The list is the newest first; a parent is found by asking for the lineage of each.
local function tree_of(list)
  local nodes, roots = {}, {}
  local function node(entry)
    local found = nodes[entry.uuid]
    if not found then
      found = { entry = entry, children = {} }
      nodes[entry.uuid] = found
    end
    return found
  end
  for _, image in ipairs(list) do
    local below
    for _, entry in ipairs(image:lineage()) do
      local known = nodes[entry.uuid] ~= nil
      local this = node(entry)
      if below then table.insert(this.children, below) end
      if known then below = nil break end
      below = this
    end
    if below then roots[#roots + 1] = below end
  end
  return roots
end

local function put_tree(nodes, indent, names)
  for i, node in ipairs(nodes) do
    local last = i == #nodes
    local entry = node.entry
    local name = names[entry.uuid]
    report.line(("%s%s%s  %s"):format(indent, last and "`- " or "|- ",
      name and terminal.colour(terminal.OUT, "green", name) or entry.uuid:sub(1, 8),
      terminal.colour(terminal.OUT, "dim", terminal.plain(entry.title))))
    put_tree(node.children, indent .. (last and "   " or "|  "), names)
  end
end

function images.images(args)
  local list = args.client.images:list{ tagged = not (args.all or args.tree) or nil,
    tag = args.prefix, limit = args.limit }
  if args.tree then
    local names = {}
    for _, image in ipairs(list) do names[image.uuid] = image.tag end
    put_tree(tree_of(list), "", names)
    return 0
  end
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
  local words = { "import", args.source }
  if args.tag then table.move({ "--tag", args.tag }, 1, 2, #words + 1, words) end
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
  words[#words + 1] = args.image
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
