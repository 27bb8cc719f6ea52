--- Random requests to an engine: right ones, and nearly right ones.
local wire = require("spec.support.wire")

local json, null = wire.json, wire.null

local requests = {}

---@class Requests
---@field known table<string, string[]> what answers gave; first of all `images`, `tars`
local Requests = {}
Requests.__index = Requests

--- `directory` is a directory that runs may have mounted, `data` is the engine's own.
function requests.new(seed, directory, data)
  return setmetatable({ state = seed % 2 ^ 31, directory = directory, data = data,
    known = { images = {}, operations = {}, boxes = {}, files = {}, uploads = {}, tars = {},
      volumes = { "v0" } } }, Requests)
end

---- chance ----

-- The same numbers in every Lua.
function Requests:below(n)
  self.state = (self.state * 1103515245 + 12345) % 2 ^ 31
  return math.floor(self.state / 65536) % n
end

function Requests:one_in(n) return self:below(n) == 0 end
function Requests:pick(list) return list[self:below(#list) + 1] end

local function sorted(object)
  local names = {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

---- values ----

local WRONG_IDS = { "x", "00000000-0000-4000-8000-000000000000", "..", "%00", "0", "a%2Fb",
  ("a"):rep(300), "-1", "99999999999999999999", "\195\164" }
local STRINGS = { "", "a", "/", "..", "/etc", "/etc/passwd", "\0", "a\0b", "\255\254", "true", "1",
  "1e9", "YWJj", "====", "base64", "ascii", "KILL", "\226\130\172", "${A}", "a=b", "a\nb",
  ("x"):rep(5000), "%s%n", "tag:", "tag:busybox:latest", "/proc/self/root", "a/../../b" }
local NUMBERS = { 0, 1, -1, 2, 0.5, -0.5, 1e9, 2 ^ 31, 2 ^ 32, 2 ^ 53, 1e18, -1e18, 1e300, 65536 }

-- Something of this kind that an answer gave, now and then of another kind, or of none.
function Requests:any(kind)
  local known = self.known
  local list = known[kind]
  if self:one_in(12) then return self:pick(WRONG_IDS) end
  if self:one_in(12) then
    list = self:pick{ known.images, known.operations, known.files, known.volumes }
  end
  return #list > 0 and self:pick(list) or "none"
end

function Requests:image() return self:one_in(3) and "tag:busybox:latest" or self:any("images") end

-- Mostly the last box, which has processes.
function Requests:operation()
  local boxes = self.known.boxes
  return #boxes > 0 and not self:one_in(4) and boxes[#boxes] or self:any("operations")
end

function Requests:process(what)
  return ("operations/%s/subprocesses/%s%s"):format(self:operation(),
    self:one_in(6) and self:any("images") or self:below(6) + 1, what or "")
end

function Requests:value(depth)
  local kind = self:below(depth > 3 and 5 or 7)
  if kind == 0 then return null end
  if kind == 1 then return self:one_in(2) end
  if kind == 2 then return self:pick(NUMBERS) end
  if kind < 5 then return self:pick(STRINGS) end
  local out = {}
  for i = 1, self:below(4) do
    out[kind == 5 and i or self:pick(STRINGS)] = self:value(depth + 1)
  end
  return out
end

---- damage ----

-- Changes one member, of the object or of one within it.
function Requests:change(object)
  local names = sorted(object)
  local name = #names > 0 and not self:one_in(8) and self:pick(names) or self:pick(STRINGS)
  if type(object[name]) == "table" and not self:one_in(3) then return self:change(object[name]) end
  if #object > 0 and type(name) == "string" then return end
  if type(name) == "string" and self:one_in(4) then
    object[name] = nil
  else
    object[name] = self:value(0)
  end
end

local INSERTED = { "\0", "\255", "{", "}", "[", "\"", ",", ("["):rep(3000) }

function Requests:damage(text)
  local at = self:below(#text + 1)
  local kind = self:below(3)
  if kind == 0 then return text:sub(1, at) end
  if kind == 1 then return text:sub(1, at) .. self:pick(INSERTED) .. text:sub(at + 1) end
  return text:sub(1, at) .. text:sub(at + 2)
end

---- bodies ----

local COMMANDS = { "true", "echo hi; echo ho >&2", "cat", "sleep 1", "exit 3", "kill -9 $$",
  "echo x > /new", "nothing-there", "head -c 300000 /dev/zero" }

function Requests:command()
  return { command = self:pick(COMMANDS), shell = not self:one_in(5), args = { "a", "b c" },
    env = { A = "b", N = null }, cwd = self:pick{ "/", "", "/tmp" }, uid = 0, gid = 0,
    truncate_output_at = self:pick{ 0, 10, 1048576 }, timeout = 2,
    stdin = { value = "aGk=", encoding = "base64", close = self:one_in(2) } }
end

function Requests:volume() return "v" .. self:below(3) end

function Requests:run()
  local body = self:command()
  body.image, body.disposable, body.hostname = self:image(), self:one_in(2), "h"
  body.preserve_env, body.queue_timeout = self:one_in(2), 1.5
  body.resources_limits = { max_layer_bytes = 1048576, shm_bytes = 8192 }
  body.networking = { enabled = false }
  if self:one_in(4) then body.trace = self:pick{ true, false, "files" } end
  if self:one_in(8) then
    body.networking = { enabled = true, deny = { "c.b.example" },
      allow = { "a.example", { host = "*.b.example", ports = { 80, "8000-8010" } } },
      resolve = { ["a.example"] = "192.0.2.1" } }
    body.secrets = { TOKEN = { value = ("s"):rep(20), hosts = { "a.example" },
      ["in"] = { "query" } } }
  end
  if self:one_in(3) then body.volumes = { ["/v"] = self:volume() } end
  if self:one_in(6) then body.mounts = { ["/m"] = { path = self.directory, noexec = true } } end
  if self:one_in(6) then body.tty = { rows = 24, cols = 80, term = "xterm" } end
  if self:one_in(4) then body.idempotency_key = "k" .. self:below(5) end
  if self:one_in(6) then
    body.stdin, body.uid, body.gid = nil, nil, nil
    body.user = self:pick{ "root", "0:0", "nobody-there" }
  end
  if self:one_in(4) then
    body.files = { ["/f"] = { uuid = self:any("uploads"), mode = "0644", uid = 0, gid = 0,
      xattrs = { ["user.a"] = "00ff" } } }
  end
  return body
end

function Requests:box()
  return { image = "tag:busybox:latest", box = { idle_timeout = 60 }, timeout = 60,
    volumes = self:one_in(3) and { ["/v"] = self:volume() } or nil }
end

---- queries ----

local LIST = { limit = { 0, 1, 1000, 1001 }, offset = { 0, 3 }, tagged = { 0, 1, "" },
  since = { "1h", "2024-01-01T00:00:00Z", "5" }, ["until"] = { "0", "1h" },
  status = { "SUCCESS", "EXECUTING", "x" }, kind = { "instance", "image_import" },
  tag = { "busy", "busybox:latest" }, uuid = { "0", "01" } }
local PATHS = { "/", "/etc", "/bin/sh", "bin/..", "/nothing", "/etc/passwd", "/bin" }
local FILES = { path = PATHS, text = { 1 } }
local GREP = { pattern = { "root", "(", "[[:alpha:]]+", "a{99999}", "(a*)*b", "x" }, path = PATHS,
  glob = { "*", "!*.c", "[" }, case = { "smart", "x" }, max_count = { 1 }, max_total = { 5 },
  before = { 1 }, after = { 2 } }
local DIFF = { base = { "tag:busybox:latest" }, path = PATHS, limit = { 1, 1000 } }
local EVENTS = { follow = { 0, 1 }, spid = { 0, 1, 2 }, since = { -1, 0, 3 },
  without = { "stdin" }, hangup = { 2, 9 } }
local LAYER = { at = { "/", "/x", "..", "bin" }, tag = { "layered" }, temporary = { 1 },
  max_layer_bytes = { 100 } }
local WATCH = { path = { "/tmp", "/", "/no" }, recursive = { 1 } }
local NEEDED = { [FILES] = "path", [GREP] = "pattern", [DIFF] = "base", [WATCH] = "path" }
local NONE = {}

local function escape(text)
  return (tostring(text):gsub("[^%w/%-._:]", function(c) return ("%%%02X"):format(c:byte()) end))
end

function Requests:query(parameters)
  local out = {}
  for _, name in ipairs(sorted(parameters)) do
    if NEEDED[parameters] == name and not self:one_in(8) or self:one_in(3) then
      local given = self:one_in(8) and self:pick(STRINGS) or self:pick(parameters[name])
      out[#out + 1] = name .. "=" .. escape(given)
    end
  end
  if self:one_in(20) then out[#out + 1] = self:pick{ "unknown=1", "=", "a=%zz", "%41", "&&" } end
  return #out > 0 and "?" .. table.concat(out, "&") or ""
end

---- routes ----

local PULL = { url = "docker://127.0.0.1:1/x:y", credentials = { username = "u", password = "p" } }
local IMAGE, STORED = { "uuid", "created_at" }, { "uuid", "sha256", "size" }

--- Each is {method, path, statuses of success, query, body, members of the answer, what its
-- uuid is}. They are made anew, as bodies get changed.
function Requests:routes()
  local function the(kind, what) return kind .. "/" .. self:any(kind) .. (what or "") end
  local function inspect(what) return "inspect/" .. self:any("images") .. what end
  local function running(what) return "operations/" .. self:operation() .. what end
  local volume = "volumes/v" .. self:below(4)
  local reading = self:pick{ "GET", "HEAD" }
  return {
    { "GET", "whoami", { 200 }, NONE, nil, { "permissions", "limits", "operations_stat" } },
    { "GET", "disk", { 200 }, NONE, nil, { "images", "layers", "free_bytes" } },
    { "GET", "images", { 200 }, LIST, nil, { "images" } },
    { "GET", "files", { 200 }, LIST, nil, { "files" } },
    { "GET", "operations", { 200 }, LIST },
    { "PATCH", the("images", "/tag"), { 200 }, NONE,
      { tag = self:pick{ "a", "a:b", "x/y:z", "busybox:other" } }, { "uuid", "tag" } },
    { "DELETE", the("images", "/tag"), { 204 }, { tag = { "a", "a:b" } } },
    { "POST", "images/import", { 201 }, NONE, { registry = PULL, tag = "imported", timeout = 2 },
      { "uuid" }, "operations" },
    { "POST", the("images", "/layers"), { 201 }, LAYER, self:pick(self.known.tars), IMAGE,
      "images" },
    { "POST", "merge", { 200, 201 }, NONE, { ours = self:image(), theirs = self:image(),
      base = self:one_in(2) and self:image() or nil, prefer = "theirs", tag = "merged",
      timeout = 10 }, { "image", "base", "conflict_count", "conflicts" } },
    { "POST", "files", { 201 }, NONE, ("bytes"):rep(self:below(2000)), STORED, "uploads" },
    { "POST", "files/descriptor", { 201 }, NONE, { fd = 5, inode = "1.2" } },
    { reading, the("files"), { 200 }, NONE, nil, STORED },
    { "POST", "instances", { 201 }, NONE, self:run(), { "uuid" }, "operations" },
    { "POST", "instances", { 201 }, NONE, self:run(), { "uuid" }, "operations" },
    { "POST", "instances", { 201 }, NONE, self:box(), { "uuid" }, "boxes" },
    { "GET", running(""), { 200 }, NONE, nil, { "uuid", "kind", "status", "metadata" } },
    { "DELETE", self:one_in(4) and running("") or the("operations"), { 202 }, NONE },
    { "GET", running("/events"), { 200 }, EVENTS },
    { "POST", running("/subprocesses"), { 201 }, { since = { 0 } }, self:command(), { "spid" } },
    { "GET", self:process(), { 200 }, NONE, nil, { "state", "resources" } },
    { "DELETE", self:process(), { 204 }, { signal = { "TERM", "SIGUSR1", 9, 0, 99 },
      family = { 1 } } },
    { "POST", self:process("/stdin"), { 204 }, NONE, { value = "aGk=", encoding = "base64",
      close = true } },
    { "POST", self:process("/stdin/stream"), { 204 }, NONE, "some input" },
    { "POST", self:process("/stdin/descriptor"), { 204 }, NONE, { fd = 5, inode = "1.2",
      offset = 0 } },
    { "POST", self:process("/tty"), { 204 }, NONE, { rows = 30, cols = 100 } },
    { "DELETE", self:process("/tty"), { 204 }, NONE },
    { "POST", running("/pause"), { 200 }, NONE, nil, { "paused" } },
    { "POST", running("/resume"), { 200 }, NONE, nil, { "paused" } },
    { "POST", running("/snapshot"), { 201 }, NONE, nil, { "uuid", "size" }, "images" },
    { "GET", running("/usage"), { 200 }, NONE, nil, { "cpu_seconds", "processes" } },
    { "POST", running("/ports"), { 201 }, NONE, self:pick{ { port = 80 },
      { path = "/s", listen = "127.0.0.1:0" } }, { "id", "address" } },
    { "GET", running("/ports"), { 200 }, NONE, nil, { "ports" } },
    { "DELETE", running("/ports/" .. self:below(4)), { 204 }, NONE },
    { "GET", running("/watch"), { 200 }, WATCH },
    { "GET", "inspect", { 302 }, { tag = { "busybox:latest", "a", "no" } } },
    { "GET", inspect("/"), { 200 }, NONE, nil, IMAGE },
    { reading, inspect("/download"), { 200 }, FILES },
    { reading, inspect("/archive"), { 200 }, FILES },
    { "GET", inspect("/list"), { 200 }, FILES },
    { "GET", inspect("/grep"), { 200 }, GREP, nil, { "path", "patterns", "matches", "truncated" } },
    { "GET", inspect("/diff"), { 200 }, DIFF },
    { "GET", "volumes", { 200 }, { unmeasured = { 1 } }, nil, { "volumes" } },
    { "POST", "volumes", { 200 }, NONE, { name = self:volume(), quota = 1000000 },
      { "name", "runs" } },
    { "GET", volume, { 200 }, NONE, nil, { "name", "runs" } },
    { "DELETE", volume, { 204 }, NONE },
    { "POST", "gc", { 200 }, NONE, { data_dir = self.data } },
    { "POST", "import", { 200 }, NONE, { data_dir = self.data, file = "/nothing-there" } },
    { "POST", "export", { 200 }, NONE, { data_dir = self.data, image = self:image() } },
  }
end

---- requests ----

local METHODS = { "GET", "POST", "DELETE", "PATCH", "PUT", "HEAD", "OPTIONS", "X" }
local PREFERENCES = { "wait=1", "wait=-1", "wait=x", "return=minimal", "wait=0.2, return=minimal" }
local TYPES = { "text/plain", "application/octet-stream", "x" }
local ACCEPTED = { "application/vnd.contree.records", "x",
  "application/vnd.contree.records;spool=1" }

function Requests:headers(headers)
  if self:one_in(8) then headers.Prefer = self:pick(PREFERENCES) end
  if self:one_in(8) then headers["Accept-Encoding"] = "gzip" end
  if self:one_in(12) then headers.Accept = self:pick(ACCEPTED) end
  return headers
end

function Requests:body(route, headers)
  local body = route[5]
  if type(body) ~= "table" then return body and self:one_in(6) and self:damage(body) or body end
  if self:one_in(2) then
    for _ = 1, 1 + self:below(2) do self:change(body) end
    -- No file of this machine is written.
    if route[2] == "export" then body.output, body.oci, body.registry = nil, nil, nil end
  end
  local ok, text = pcall(json.encode, body)
  headers["Content-Type"] = self:one_in(15) and self:pick(TYPES) or "application/json"
  return self:one_in(12) and self:damage(ok and text or "{}") or ok and text or "{}"
end

--- Returns a request: method, path, options (wire.lua), and its route.
function Requests:make()
  local route = self:pick(self:routes())
  local headers = self:headers{}
  local options = { headers = headers, body = self:body(route, headers) }
  if options.body and self:one_in(5) then
    options.chunks = #options.body > 0 and { options.body } or {}
    options.body = nil
  end
  local method = self:one_in(25) and self:pick(METHODS) or route[1]
  return method, "/v1/" .. route[2] .. self:query(route[4]), options, route
end

return requests
