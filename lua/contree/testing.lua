--- A client for tests of programs that use contree, without engine and network. The test
--- says how commands are answered, and sees the calls. Only the server is replaced: options
--- are checked and results are made by the real code.

local api = require("contree.api")
local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local stdio = require("contree.base.stdio")

---@class contree.testing
local testing = {}

local SIGNALS = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, TERM = 15 }

local print_calls = printed.list()

---@class contree.testing.Call a command that was run
---@field command string        the shell line, or the program and its arguments in one string
---@field argv? string[]        the program and its arguments; nil for the shell
---@field stdin string          all of its input
---@field env table<string, string> the variables that the call sets
---@field files table<string, string> contents by destination
---@field image string          the tag or uuid it was run from
---@field request table         everything, as a server gets it (http-api.md §5.7)

---@class contree.testing.Answer
---@field stdout? string       default nothing
---@field stderr? string       default nothing
---@field exit_code? integer    default 0
---@field signal? integer       that ended it; default none
---@field timed_out? boolean   its time limit ended it; default false
---@field files? table<string, string> what it writes: contents by path; default none
---@field error? string         the command could not be run: operation_failed; default none
---@field raises? contree.ErrorKind the request itself fails so; default none
---@field message? string       of that error; default the kind

local ANSWER = {
  stdout = options.bytes, stderr = options.bytes, exit_code = options.integer(0, 255),
  signal = options.integer(1, 64), timed_out = options.boolean, error = options.bytes,
  files = options.map(options.absolute, options.bytes), raises = options.name,
  message = options.bytes,
}

local function is_answer(value)
  if type(value) == "string" or type(value) == "table" then return nil end
  return options.callable(value) and "what stdout is, a table, or a function that returns one"
end

---@class contree.testing.Fake the server of the test
---@field calls contree.testing.Call[] the commands that were run, the oldest first
local Fake = {}

local make = class.define("contree.testing.Fake", Fake, nil, { "calls" })

--- Says how a command is answered. A pattern that equals the command goes before one that
--- is found in it, and a later rule before an earlier one.
---     fake:on("^make", { exit_code = 2, stderr = "no rule" })
--- Raises: nothing.
---@param pattern string the command, or a Lua pattern to find in it
---@param answer string|contree.testing.Answer|fun(call: contree.testing.Call): any stdout, all
---  of the answer, or a function that returns one of these
---@return contree.testing.Fake self
function Fake:on(pattern, answer)
  options.argument("on", "the pattern", options.text, pattern)
  options.argument("on", "the answer", is_answer, answer)
  if type(answer) == "table" then options.check("on", ANSWER, answer) end
  table.insert(self.rules, 1, { pattern = pattern, answer = answer })
  return self
end

--- The calls whose command is the pattern, or in which it is found.
---     assert(#fake:called("^make") == 1)
--- Raises: nothing.
---@param pattern string the command, or a Lua pattern to find in it
---@return contree.testing.Call[]
function Fake:called(pattern)
  options.argument("called", "the pattern", options.text, pattern)
  local found = {}
  for _, call in ipairs(self.calls) do
    if call.command == pattern or call.command:find(pattern) then found[#found + 1] = call end
  end
  return print_calls(found)
end

-- State ----------------------------------------------------------------------

local function fail(kind, status, message)
  error(errors.new(kind, message, { status = status }), 0)
end

local function new_uuid(self)
  self.count = self.count + 1
  return ("00000000-0000-4000-8000-%012x"):format(self.count)
end

local function new_image(self, tag, contents)
  local image = { uuid = new_uuid(self), tag = tag, created_at = "2026-01-01T00:00:00Z",
    files = {} }
  -- images:build takes this file from it.
  if tag == "busybox:latest" then image.files["/bin/busybox"] = "" end
  for path, bytes in pairs(contents or {}) do image.files[path] = bytes end
  self.images[image.uuid] = image
  table.insert(self.in_order, image)
  return image
end

local function tagged(self, tag)
  for _, image in ipairs(self.in_order) do
    if image.tag == tag then return image end
  end
  if self.closed_world then fail("not_found", 404, ("there is no image %q"):format(tag)) end
  return new_image(self, tag)
end

local function image_of(self, reference)
  local tag = reference:match("^tag:(.*)$")
  if tag then return tagged(self, tag) end
  self.images[reference] = self.images[reference] or new_image(self)
  return self.images[reference]
end

local function find_rule(self, command)
  for _, rule in ipairs(self.rules) do
    if rule.pattern == command then return rule end
  end
  for _, rule in ipairs(self.rules) do
    if command:find(rule.pattern) then return rule end
  end
end

-- Whether the library itself runs the command, for apply_files or images:build.
local function is_ours(call)
  return call.argv ~= nil and (call.command == "true" or call.command:find("^/%.contree%-build/"))
end

local function answer_to(self, call)
  local rule = find_rule(self, call.command)
  if not rule and is_ours(call) then return {} end
  if not rule then
    errors.misuse(("contree.testing has no answer for the command %q"):format(call.command),
      "testing.client{ run = { [pattern] = answer } } or fake:on(pattern, answer)")
  end
  local answer = rule.answer
  if options.callable(answer) == nil then answer = answer(call) end
  if type(answer) == "string" then answer = { stdout = answer } end
  answer = options.check("an answer of contree.testing", ANSWER, answer)
  if answer.raises then
    error(errors.new(answer.raises, answer.message or "contree.testing says so"), 0)
  end
  return answer
end

-- Operations -----------------------------------------------------------------

local print_call = printed.record(function(self) return self.command end)

local function new_call(self, body)
  local argv = not body.shell and { body.command, (table.unpack or unpack)(body.args or {}) } or nil
  local contents = {}
  for path, file in pairs(body.files or {}) do contents[path] = self.uploads[file.uuid] or "" end
  local call = print_call{
    command = argv and table.concat(argv, " ") or body.command, argv = argv,
    stdin = stdio.decode(body.stdin), env = body.env or {}, files = contents,
    image = body.image and body.image:gsub("^tag:", "") or nil, request = body,
  }
  table.insert(self.calls, call)
  return call
end

local function result_of(answer)
  local ended = answer.signal or answer.timed_out
  return {
    state = { exit_code = ended and -1 or answer.exit_code or 0,
      signal = answer.signal or answer.timed_out and 9 or -1, timed_out = answer.timed_out },
    resources = { elapsed_time = 0.001 },
    stdout = stdio.encode(answer.stdout or ""), stderr = stdio.encode(answer.stderr or ""),
  }
end

-- The image that a run leaves.
local function keep(self, operation, answer)
  local before = operation.from
  if next(answer.files or {}) == nil and next(operation.call.files) == nil then
    return before.uuid
  end
  local image = new_image(self, nil, before.files)
  for path, bytes in pairs(operation.call.files) do image.files[path] = bytes end
  for path, bytes in pairs(answer.files or {}) do image.files[path] = bytes end
  return image.uuid
end

local function finish(self, operation, answer)
  if operation.json.status ~= "EXECUTING" then return end
  answer = answer or answer_to(self, operation.call)
  local reply = operation.json
  if answer.error then
    reply.status, reply.error = "FAILED", answer.error
    return
  end
  reply.status = "SUCCESS"
  reply.metadata.result = result_of(answer)
  if not operation.call.request.disposable then
    reply.result_image_uuid = keep(self, operation, answer)
  end
end

local function operation_at(self, uuid)
  return self.operations[uuid] or fail("not_found", 404, "there is no such operation")
end

local function check_running(operation)
  if operation.json.status ~= "EXECUTING" then
    fail("conflict", 409, "the operation is not running any more")
  end
end

-- Requests, by method and path -----------------------------------------------

local handlers = {}

local function on(method, pattern, handler)
  handlers[#handlers + 1] = { method = method, pattern = "^" .. pattern .. "$", handler = handler }
end

on("POST", "/instances", function(self, request)
  local body = request.json
  local from = image_of(self, body.image)
  local operation = { from = from, call = new_call(self, body), processes = {}, json = {
    uuid = new_uuid(self), kind = "instance", status = "EXECUTING", image_uuid = from.uuid,
    created_at = "2026-01-01T00:00:00Z", duration = 0.001, metadata = {}, tty = body.tty,
  } }
  self.operations[operation.json.uuid] = operation
  table.insert(self.started, operation)
  -- A command with open input ends when the input is closed, or when it is waited for.
  if not (body.stdin and body.stdin.close == false) then finish(self, operation) end
  return operation.json
end)

on("GET", "/operations", function(self)
  local list = {}
  for i = #self.started, 1, -1 do list[#list + 1] = self.started[i].json end
  return list
end)

on("GET", "/operations/([^/]+)", function(self, _, uuid)
  local operation = operation_at(self, uuid)
  finish(self, operation)
  return operation.json
end)

on("DELETE", "/operations/([^/]+)", function(self, _, uuid)
  local operation = operation_at(self, uuid)
  check_running(operation)
  operation.json.status = "CANCELLED"
end)

on("POST", "/operations/([^/]+)/subprocesses", function(self, request, uuid)
  local operation = operation_at(self, uuid)
  check_running(operation)
  local answer = answer_to(self, new_call(self, request.json))
  table.insert(operation.processes, result_of(answer))
  return { spid = #operation.processes + 1, tty = request.json.tty and true or nil }
end)

on("GET", "/operations/([^/]+)/subprocesses/(%d+)", function(self, _, uuid, spid)
  return operation_at(self, uuid).processes[tonumber(spid) - 1]
    or fail("not_found", 404, "there is no such process")
end)

on("DELETE", "/operations/([^/]+)/subprocesses/(%d+)", function(self, request, uuid, spid)
  local operation = operation_at(self, uuid)
  check_running(operation)
  local name = request.query.signal
  if spid == "1" then finish(self, operation, { signal = SIGNALS[name] or tonumber(name) or 9 }) end
end)

on("POST", "/operations/([^/]+)/subprocesses/(%d+)/stdin", function(self, request, uuid, spid)
  local operation = operation_at(self, uuid)
  check_running(operation)
  if spid ~= "1" then fail("conflict", 409, "the process has ended") end
  operation.call.stdin = operation.call.stdin .. stdio.decode(request.json)
  if request.json.close then finish(self, operation) end
end)

local function terminal_of(self, uuid, spid)
  local operation = operation_at(self, uuid)
  check_running(operation)
  if spid ~= "1" or not operation.json.tty then
    fail("conflict", 409, "the process has ended, or has no terminal")
  end
  return operation
end

on("POST", "/operations/([^/]+)/subprocesses/(%d+)/tty", function(self, _, uuid, spid)
  terminal_of(self, uuid, spid)
end)

on("DELETE", "/operations/([^/]+)/subprocesses/(%d+)/tty", function(self, _, uuid, spid)
  finish(self, terminal_of(self, uuid, spid), { signal = SIGNALS.HUP })
end)

on("GET", "/files/(%x+)", function(self, _, digest)
  return self.uploads[digest] and { uuid = digest, sha256 = digest, size = #self.uploads[digest] }
    or fail("not_found", 404, "there is no such file")
end)

on("POST", "/files", function(self, request)
  local bytes = request.body
  if type(bytes) == "table" then
    local file = io.open(bytes.path, "rb") or errors.raise("file", "cannot read " .. bytes.path)
    bytes = file:read("*a")
    file:close()
  end
  local digest = core.sha256(bytes)
  self.uploads[digest] = bytes
  return { uuid = digest, sha256 = digest, size = #bytes }
end)

on("GET", "/images", function(self, request)
  local query, list = request.query, {}
  for i = #self.in_order, 1, -1 do
    local image = self.in_order[i]
    local begins = not query.tag or (image.tag or ""):sub(1, #query.tag) == query.tag
    if begins and (image.tag or not query.tagged) then
      list[#list + 1] = { uuid = image.uuid, tag = image.tag, created_at = image.created_at }
    end
  end
  local first = query.offset + 1
  return { images = { (table.unpack or unpack)(list, first, query.offset + query.limit) } }
end)

on("POST", "/images/import", function(self, request)
  local image = new_image(self, request.json.tag or request.json.registry.url)
  local operation = { json = { uuid = new_uuid(self), kind = "image_import", status = "SUCCESS",
    result_image_uuid = image.uuid, duration = 0.001, metadata = {},
    result = { image = image.uuid, tag = image.tag } } }
  self.operations[operation.json.uuid] = operation
  return operation.json
end)

on("PATCH", "/images/([^/]+)/tag", function(self, request, uuid)
  for _, image in ipairs(self.in_order) do
    if image.tag == request.json.tag then image.tag = nil end
  end
  image_of(self, uuid).tag = request.json.tag
end)

on("DELETE", "/images/([^/]+)/tag", function(self, _, uuid) image_of(self, uuid).tag = nil end)

on("GET", "/inspect/", function(self, request)
  return nil, { status = 302, headers = { location = tagged(self, request.query.tag).uuid .. "/" } }
end)

on("GET", "/inspect/([^/]+)/", function(self, _, uuid)
  local image = image_of(self, uuid)
  return { uuid = image.uuid, tag = image.tag, created_at = image.created_at }
end)

local function content(self, request, uuid)
  return image_of(self, uuid).files[request.query.path]
    or fail("not_found", 404, ("there is no %s in the image"):format(request.query.path))
end

on("HEAD", "/inspect/([^/]+)/download", function(self, request, uuid)
  local ok, err = pcall(content, self, request, uuid)
  return nil, { status = ok and 200 or err.status, headers = {} }
end)

on("GET", "/inspect/([^/]+)/download", function(self, request, uuid)
  local bytes = content(self, request, uuid)
  if request.sink then
    local file = io.open(request.sink.path, "wb")
      or errors.raise("file", "cannot write " .. request.sink.path)
    file:write(bytes)
    file:close()
  end
  return nil, { status = 200, headers = {}, body = bytes }
end)

on("GET", "/inspect/([^/]+)/list", function(self, request, uuid)
  local prefix, seen, list = request.query.path:gsub("/+$", "") .. "/", {}, {}
  for path, bytes in pairs(image_of(self, uuid).files) do
    local name, rest = path:sub(#prefix + 1):match("^([^/]+)(.*)$")
    if path:sub(1, #prefix) == prefix and name and not seen[name] then
      seen[name] = true
      list[#list + 1] = { path = name, is_dir = rest ~= "", is_regular = rest == "",
        size = rest == "" and #bytes or 0, mode = 420, mtime = 0, uid = 0, gid = 0 }
    end
  end
  if #list == 0 and prefix ~= "/" then
    fail("not_found", 404, ("there is no directory %s in the image"):format(request.query.path))
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  return { files = list }
end)

-- Runs may name volumes; the fake has none to manage.
on("GET", "/volumes", function() return { volumes = json.array{} } end)

on("GET", "/whoami", function()
  return { token_uuid = "testing", permissions = {}, operations_stat = {} }
end)

-- Answer a request in place of wire.request(): return its result or raise its error.
local function respond(self, request)
  for _, each in ipairs(handlers) do
    local found = each.method == request.method and { request.path:match(each.pattern) }
    if found and #found > 0 then
      local value, reply = each.handler(self, request, (table.unpack or unpack)(found))
      return reply or { status = 200, headers = {}, json = value or json.null }
    end
  end
  fail("not_supported", 501, ("contree.testing does not play %s %s"):format(request.method,
    request.path))
end

-- Longer patterns are more specific, so they are added last: a later rule goes first.
local function rules_of(self, run)
  local patterns = {}
  for pattern in pairs(run or {}) do patterns[#patterns + 1] = pattern end
  table.sort(patterns, function(a, b)
    if #a ~= #b then return #a < #b end
    return a < b
  end)
  for _, pattern in ipairs(patterns) do Fake.on(self, pattern, run[pattern]) end
end

local SPEC = {
  run = options.map(options.text, is_answer),
  images = options.map(options.name, options.map(options.absolute, options.bytes)),
  safe = options.boolean,
}

--- A client whose commands are answered as the test says, and the server that it talks to,
--- which takes more answers and shows the calls.
---     local client, fake = testing.client{ run = { ["^make"] = { exit_code = 2 } } }
--- Raises: nothing.
---@param given? { run: table?, images: table?, safe: boolean? } run: answers by command, or
---  by a pattern to find in it; images: files (contents by path) by tag, where by default every
---  tag names an empty image; safe: it is a client of contree.safe
---@return contree.Client client
---@return contree.testing.Fake fake the server
function testing.client(given)
  given = options.check("testing.client", SPEC, given)
  local fake = make({ rules = {}, calls = print_calls{}, images = {}, in_order = {},
    operations = {}, started = {}, uploads = {}, count = 0 })
  for tag, contents in pairs(given.images or {}) do new_image(fake, tag, contents) end
  fake.closed_world = given.images ~= nil
  rules_of(fake, given.run)
  local made = api.new({ url = "http://testing.invalid", token = false }, given.safe or false)
  made.respond = function(request) return respond(fake, request) end
  return made, fake
end

return testing
