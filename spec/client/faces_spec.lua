-- Every public method of every class, on both faces: contree raises failures, contree.safe
-- returns nil and the error. Misuse raises on both. The error for an unknown option names the
-- nearest valid one. A method without a row here fails the first test.
local class = require("contree.base.class")
local errors = require("contree.base.errors")
local fake = require("spec.support.fake")

-- All classes: the modules are loaded again, with a class.define() that notes each class.
local classes = {}

local function load_all()
  local define = class.define
  function class.define(name, methods, ...)
    classes[name] = methods
    return define(name, methods, ...)
  end
  for name in pairs(package.loaded) do
    local ours = name == "contree" or name:find("^contree%.")
    local kept = { ["contree.core"] = 1, ["contree.base.class"] = 1, ["contree.base.errors"] = 1 }
    if ours and not kept[name] then package.loaded[name] = nil end
  end
  local contree, safe = require("contree"), require("contree.safe")
  local directory = debug.getinfo(errors.new, "S").source:match("^@(.*)base/errors%.lua$")
  -- Without the drivers of the loop, which need their own host programs, and without programs and
  -- plugins that use the module.
  local others = { loop = 1, command = 1, mcp = 1, nvim = 1, health = 1 }
  local pipe = assert(io.popen(("cd '%s' && ls *.lua */*.lua"):format(directory)))
  for file in pipe:lines() do
    local name = file:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
    if not others[name:match("^%w+")] or name == "loop" then require("contree." .. name) end
  end
  pipe:close()
  class.define = define
  return contree, safe
end

local contree, safe = load_all()
local testing = require("contree.testing")

local SUM = ("0"):rep(64)
local STORE = os.tmpname()
local FOLDER = STORE .. ".d"

-- A row of a method:
--   args      arguments for a call that the server refuses (`kind`: with this kind of error)
--   pure      the method sends no request
--   iterator  it returns an iterator, whose first step sends the request
--   bad       arguments that are misuse
--   option    the name of an option that it has, in argument number `at`
-- Without args, pure and iterator, only misuse is tested.
local RUN = { args = { "x" }, bad = { 5 }, option = "shell" }
local POPEN = { args = { { "x" } }, bad = { 5 }, option = "check", at = 2 }
local PATH = { args = { "/x" }, bad = { "x" } }
local FILES = { args = { { ["/x"] = { data = "y" } } }, bad = { 5 } }
local OCI = { args = { "a:1" }, bad = { 5 }, option = "username", at = 2 }
local NONE = { args = {} }
local PURE = { pure = true }
local WAIT = { args = { 5 }, bad = { "5" } }
local WRITE = { args = { "x" }, bad = { 5 } }
local SIGNAL = { args = { "TERM" }, bad = { "term!" } }
local SIZE = { args = { 24, 80 }, bad = { 0, 80 } }

local IMAGE = {
  run = RUN, start = RUN, popen = POPEN, apply_files = FILES,
  prepare = { pure = true, args = { "x" }, bad = { 5 }, option = "shell" },
  session = { pure = true, bad = { 5 }, option = "store" },
  tag_as = { args = { "a:1" }, bad = { 5 } }, untag = { args = {}, bad = { 5 } },
  ls = PATH, stat = PATH, exists = PATH, read = PATH, lines = PATH, download = PATH,
  archive = { args = { "/x", "/tmp/x" }, bad = { "/x", 5 } },
  export_to = { args = { STORE .. ".export" }, bad = { 5 }, option = "replace", at = 2 },
  grep = { args = { "x" }, bad = { {} }, option = "pattern" },
  diff = { args = { fake.KEPT }, bad = { 5 }, option = "context", at = 2 },
  merge = { args = { fake.KEPT }, bad = { 5 }, option = "prefer", at = 2 },
  workspace = { bad = { 5 }, option = "path" },
  push = { args = { "a/b:1" }, bad = { 5 }, option = "username", at = 2 },
  open = { args = {}, bad = { 5 }, option = "idle_timeout" },
  lineage = { args = {}, bad = { 0 } }, blame = PATH,
  bisect = { args = { "x" }, bad = { 5 }, option = "parallel", at = 2 },
}

local SESSION = {
  history = { pure = true, bad = { 5 }, option = "branch" }, tree = PURE,
  list_branches = PURE, pending = PURE, fork = { pure = true, bad = { 5 } },
  wait = { pure = true, bad = { "5" } }, abandon = { bad = { 5 } }, commit = { bad = { 5 } },
  delete_branch = { bad = { 5 } }, stage = FILES,
  bisect = { bad = { 5 }, option = "parallel", at = 2, first = "x" }, -- too few entries
  rollback = { bad = { 0 } }, branch = { pure = true, args = { "b" }, bad = { 5 } },
  checkout = { pure = true, args = { "main" }, bad = { 5 } },
}
for name, row in pairs(IMAGE) do SESSION[name] = SESSION[name] or row end

local WORKSPACE = {
  sync = { bad = { 5 }, option = "prefer" }, changes = { bad = { 5 }, option = "context" },
  apply = { bad = { 5 }, option = "only" }, conflicts = PURE,
  undo = { args = {}, kind = "not_found" }, -- nothing was applied
}
for name, row in pairs(SESSION) do WORKSPACE[name] = WORKSPACE[name] or row end

local ROWS = {
  ["contree.Client"] = {
    whoami = NONE, disk = NONE, get_token_info = { args = {}, option = "refresh" }, close = PURE,
    session = { args = { { store = STORE, id = "new", image = "a:1" } }, bad = { 5 },
      option = "store" },
  },
  ["contree.Sessions"] = {
    list = PURE, delete = { pure = true, args = { "x" }, bad = { 5 } }, close = PURE,
  },
  ["contree.Images"] = {
    use = { args = { "a:1", { strict = true } }, bad = { 5 }, option = "strict", at = 2 },
    list = { args = {}, bad = { 5 }, option = "tagged" },
    each = { iterator = true, args = {}, bad = { 5 }, option = "tagged" },
    build = { args = { { dockerfile = { data = "FROM a:1\n" }, cache_dir = STORE .. ".d" } },
      bad = { 5 }, option = "dockerfile" },
    import_from = OCI, oci = OCI, docker = OCI, podman = OCI, pull = OCI, pull_by_oci = OCI,
    reference = { pure = true, args = { "a" }, bad = { "/a" } },
    tree = { args = {}, bad = { 5 }, option = "tagged" },
  },
  ["contree.ImageTree"] = { lines = { pure = true, bad = { 5 } }, dot = PURE, svg = PURE },
  ["contree.ProgressPrinter"] = { finish = PURE },
  ["contree.Volumes"] = {
    list = NONE, get = { args = { "a" }, bad = { 5 } }, remove = { args = { "a" }, bad = { 5 } },
    create = { args = { "a" }, bad = { 5 }, option = "quota", at = 2 },
  },
  ["contree.Image"] = IMAGE,
  ["contree.Result"] = IMAGE,
  ["contree.Session"] = SESSION,
  ["contree.Workspace"] = WORKSPACE,
  ["contree.Tree"] = {},
  ["contree.Prepared"] = { run = NONE, start = NONE },
  ["contree.Operation"] = {
    status = NONE, cancel = NONE, wait = WAIT, write = WRITE, close_stdin = NONE, kill = SIGNAL,
    spawn = RUN, events = { iterator = true, args = {}, bad = { 5 }, option = "since" },
    output = { iterator = true, args = {} },
    pause = NONE, resume = NONE, usage = NONE, ports = NONE, resize = SIZE,
    forward = { args = { 80 }, bad = { 0 }, option = "listen", at = 2 },
    watch = { args = { "/x" }, bad = { "x" }, option = "recursive", at = 2 },
    close_port = { args = { "127.0.0.1:1" }, bad = { 5 } },
  },
  ["contree.Operations"] = {
    get = { pure = true, args = { "x" }, bad = { 5 } },
    list = { args = {}, bad = { 5 }, option = "status" },
  },
  ["contree.Subprocess"] = { wait = WAIT, write = WRITE, close_stdin = NONE, kill = SIGNAL,
    resize = SIZE, close = NONE },
  ["contree.SubprocessResult"] = {},
  ["contree.Box"] = {
    run = RUN, spawn = RUN, popen = POPEN, snapshot = { args = {}, bad = { 5 }, option = "tag" },
    close = { args = {}, bad = { 5 }, option = "keep" },
  },
  ["contree.Process"] = {
    poll = NONE, wait = WAIT, communicate = { args = {}, bad = { 5 } }, send_signal = SIGNAL,
    terminate = NONE, kill = NONE, lines = { iterator = true, args = {} },
    resize = SIZE, close = NONE,
  },
  ["contree.ProcessInput"] = { write = WRITE, close = NONE },
  ["contree.ProcessOutput"] = { read = { args = { "l" } }, lines = { iterator = true, args = {} } },
  ["contree.Files"] = {
    upload = { args = { { data = "x" } }, bad = { 5 }, option = "data" },
    find = { args = { SUM }, bad = { "x" } },
  },
  ["contree.UploadedFile"] = {},
  ["contree.FileEntry"] = {
    read = NONE, lines = NONE, download = { args = { "/tmp/x" }, bad = { 5 } },
    ls = { args = {}, bad = { 5 } },
  },
  ["contree.Buffer"] = {
    write = { pure = true, args = { "x" }, bad = { 5 } }, length = PURE,
    read = { pure = true, bad = { "x" } }, lines = PURE, flush = PURE, close = PURE,
  },
  ["contree.Task"] = { wait = { args = {}, bad = { "x" } }, cancel = PURE },
  ["contree.testing.Fake"] = {
    on = { pure = true, args = { "x", "y" }, bad = { 5 }, option = "stdout", at = 2 },
    called = { pure = true, args = { "x" }, bad = { 5 } },
  },
}

local FUNCTIONS = {
  sessions = { pure = true, args = { STORE }, bad = { 5 }, option = "timeout", at = 2 },
  new = { pure = true, bad = { 5 }, option = "token" },
  spawn = { pure = true, args = { function() end }, bad = { 5 } },
  async = { args = { function() errors.raise("forbidden", "x") end }, bad = { 5 } },
  gather = { args = { function() errors.raise("forbidden", "x") end }, bad = { { 5 } },
    option = "concurrency", at = 2, first = {} },
  sleep = { pure = true, args = { 0 }, bad = { "x" } },
  timeout = { args = { 5, function() errors.raise("forbidden", "x") end }, bad = { 5 } },
  step = { pure = true, args = { 0 }, bad = { "x" } },
  shutdown = { pure = true, args = { 0 }, bad = { "x" } },
  progress = { pure = true, bad = { 5 } },
  host = { pure = true, bad = { 5 } }, pollfd = PURE, is_error = PURE, buffer = PURE, array = PURE,
}

local unpack = table.unpack or unpack

describe("both faces", function()
  local server

  setup(function()
    server = fake.start()
    contree.on_error = function() end -- for tasks that are not waited for
    os.execute("mkdir -p " .. FOLDER)
  end)
  teardown(function()
    server:stop()
    contree.on_error = nil
    os.execute("rm -rf '" .. STORE .. "'*")
  end)

  local finished = { status = 201, json = fake.operation{ uuid = "op-1" } }
  local started = { status = 201, json = { uuid = "op-1" } }

  -- Functions that get a new object of each class from a cooperative server.
  local makers = {
    ["contree.Client"] = function(client) return client end,
    ["contree.Images"] = function(client) return client.images end,
    ["contree.Volumes"] = function(client) return client.volumes end,
    ["contree.ImageTree"] = function(client)
      server:rules{ { path = ".*", replies = { { status = 200, json = { images = {} } } } } }
      return client.images:tree()
    end,
    ["contree.ProgressPrinter"] = function(_, _, api) return api.progress() end,
    ["contree.Sessions"] = function(_, _, api) return api.sessions(STORE) end,
    ["contree.Image"] = function(_, image) return image end,
    ["contree.Result"] = function(_, image)
      server:rules{ { path = ".*", replies = { { status = 201,
        json = fake.operation{ uuid = "op-1", result = fake.KEPT } } } } }
      return image:run{ shell = "x", disposable = false }
    end,
    ["contree.Session"] = function(_, image) return image:session() end,
    ["contree.Workspace"] = function(_, image)
      server:rules{ { path = ".*", replies = { { status = 201,
        json = fake.operation{ uuid = "op-1", result = fake.KEPT } } } } }
      return image:workspace{ path = FOLDER }
    end,
    ["contree.Prepared"] = function(_, image) return image:prepare("x") end,
    ["contree.Operation"] = function(client) return client.operations:get("op-1") end,
    ["contree.Operations"] = function(client) return client.operations end,
    ["contree.Subprocess"] = function(client)
      server:rules{ { path = ".*", replies = { { status = 201, json = { spid = 2 } } } } }
      return client.operations:get("op-1"):spawn("x")
    end,
    ["contree.Box"] = function(_, image)
      server:rules{
        { method = "POST", path = ".*", replies = { { status = 201,
          json = { uuid = "op-1", box = {} } } } },
        { path = ".*events", replies = { fake.stream({}) } },
      }
      return image:open()
    end,
    ["contree.Process"] = function(_, image) return image:popen{ "x" } end,
    ["contree.ProcessInput"] = function(_, image) return image:popen({ "x" }).stdin end,
    ["contree.ProcessOutput"] = function(_, image) return image:popen({ "x" }).stdout end,
    ["contree.Files"] = function(client) return client.files end,
    ["contree.FileEntry"] = function(_, image)
      server:rules{ { path = ".*", replies = { { status = 200,
        json = { files = { { path = "x", is_regular = true } } } } } } }
      return image:ls("/")[1]
    end,
    ["contree.Buffer"] = function() return contree.buffer() end,
    ["contree.Task"] = function(_, _, api)
      return api.spawn(function() errors.raise("forbidden", "x") end)
    end,
    ["contree.testing.Fake"] = function(_, _, api)
      return select(2, testing.client{ safe = api == safe })
    end,
  }

  local function make(name, api)
    local client = api.new{ url = server.url, token = "t", retry = false }
    server:rules{ { method = "POST", path = ".*", replies = { started } } }
    local object = makers[name](client, client.images:use(fake.IMAGE), api)
    assert.are.equal(name, class.of(object))
    server:rules{ { path = ".*", replies = { { status = 403, json = { error = "no" } } } } }
    return object
  end

  local function misused(where, fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok, where .. " accepts what it must refuse")
    assert.is_true(errors.is(err), where .. ": " .. tostring(err))
    assert.is_true(err.misuse, where .. ": " .. tostring(err))
    return err
  end

  -- Check one function; new() returns it bound to a new object.
  local function check(where, row, api, new)
    local args = row.args or {}
    local call = new()
    if row.pure or row.iterator then
      assert.is_true((pcall(call, unpack(args))), where)
    elseif row.args == nil then
      assert.is_table(row.bad)
    elseif api == safe then
      local value, err = call(unpack(args))
      assert.is_nil(value, where)
      assert.is_true(errors.is(err, row.kind or "forbidden"), where .. ": " .. tostring(err))
    else
      local ok, err = pcall(call, unpack(args))
      assert.is_false(ok, where)
      assert.is_true(errors.is(err, row.kind or "forbidden"), where .. ": " .. tostring(err))
    end
    if row.bad then misused(where, new(), unpack(row.bad)) end
    if row.option then
      local given = { unpack(row.at == 2 and { row.first or args[1] } or {}) }
      given[row.at or 1] = { [row.option .. "z"] = "x" }
      local err = misused(where, new(), unpack(given))
      assert.matches(row.option .. "z", err.message, 1, true)
      if row.option ~= "" then
        assert.are.equal(('did you mean "%s"?'):format(row.option), err.hint, where)
      end
    end
  end

  it("are known in full here", function()
    local missing = {}
    for name, methods in pairs(classes) do
      for method in pairs(methods) do
        if not (ROWS[name] and ROWS[name][method]) then
          missing[#missing + 1] = name .. ":" .. tostring(method)
        end
      end
    end
    for name, value in pairs(contree) do
      local known = FUNCTIONS[name] or name == "on_error"
      if type(value) == "function" and not known then missing[#missing + 1] = name end
    end
    table.sort(missing)
    assert.are.same({}, missing)
    for name, rows in pairs(ROWS) do
      for method in pairs(rows) do
        assert.is_function(classes[name] and classes[name][method], name .. ":" .. method)
      end
    end
    for name in pairs(FUNCTIONS) do
      assert.is_function(contree[name], name)
      assert.is_function(safe[name], name)
    end
  end)

  for face, api in pairs{ raising = contree, safe = safe } do
    for name, rows in pairs(ROWS) do
      it(("of %s: %s"):format(name, face), function()
        for method, row in pairs(rows) do
          check(name .. ":" .. method, row, api, function()
            local object = make(name, api)
            return function(...) return object[method](object, ...) end
          end)
        end
      end)
    end

    it("of the module: " .. face, function()
      for name, row in pairs(FUNCTIONS) do
        check("contree." .. name, row, api, function() return api[name] end)
      end
    end)

    it("of what is called: " .. face, function()
      check("images()", { args = {}, bad = { 5 }, option = "tagged" }, api, function()
        return make("contree.Images", api)
      end)
      check("prepared()", { args = {} }, api, function() return make("contree.Prepared", api) end)
    end)
  end

  it("of a run that has ended know what it means", function()
    server:rules{ { path = ".*", replies = { finished } } }
    local image = safe.new{ url = server.url, token = "t" }.images:use(fake.IMAGE)
    local result, err = image:run("x")
    assert.are.equal(0, result.exit_code)
    assert.is_nil(err)
  end)
end)
