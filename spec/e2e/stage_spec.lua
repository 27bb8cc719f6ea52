-- session:stage: files in a session's image without a command.
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local turns = require("spec.support.turns")

local own = home.own(it)

describe("session:stage", function()
  local client, directory, stop, image, session, log

  setup(function()
    log = {}
    client, directory, stop = home.client{ log = function(line) log[#log + 1] = line end }
    image = client.images:use("busybox:latest")
  end)
  before_each(function()
    session = image:session()
    log = {}
  end)
  teardown(function() stop() end)

  local function count(pattern)
    local n = 0
    for _, line in ipairs(log) do n = n + (line:find(pattern) and 1 or 0) end
    return n
  end

  local function last()
    local history = session:history()
    return history[#history], #history
  end

  it("puts files and directories in, with modes and owners", function()
    local path = disk.write(directory .. "/local.sh", "echo run\n")
    disk.capture(("chmod 755 %s && mkdir -p %s/t/empty && ln -s x %s/t/l && printf in > %s/t/f")
      :format(path, directory, directory, directory))
    local made = session:stage{ ["/app/run"] = path, ["/app/data"] = { data = "d", mode = "0600" },
      ["/tree"] = directory .. "/t", [("/long/"):rep(30) .. "n"] = { data = "" } }
    assert.equal(made, session.image)
    local out = session:run{ check = true, shell = [[cat /app/data /tree/f; sh /app/run
      stat -c '%a %u' /app/data /app/run; readlink /tree/l; ls -d /tree/empty
      find /long -name n -size 0 | wc -l]] }.stdout
    assert.equal("dinrun\n600 0\n755 0\nx\n/tree/empty\n1\n", out)
  end)

  it("is an entry of the history that rollback undoes", function()
    session:run("echo 1 > /one")
    session:stage{ ["/a"] = { data = "a" }, ["/b"] = { data = "b" } }
    local entry, length = last()
    assert.equal("stage", entry.kind)
    assert.equal("stage /a, /b", entry.title)
    assert.equal(3, length)
    assert.is_nil(entry.exit_code)
    session:rollback()
    assert.is_false(session:exists("/a"))
    assert.is_true(session:exists("/one"))
    session:branch("b"):stage{ ["/c"] = { data = "c" } }
    assert.is_true(session:exists("/c"))
    session:checkout("main")
    assert.is_false(session:exists("/c"))
    assert.is_true(session:fork():stage{ ["/d"] = { data = "d" } }:exists("/d"))
    assert.is_false(session:exists("/d"))
  end)

  it("is kept in the store, whatever ends first", function()
    local store = directory .. "/s.db"
    local kept = image:session{ store = store, id = "x" }
    kept:stage{ ["/a"] = { data = "a" } }
    local again = client:session{ store = store, id = "x" }
    assert.equal("a", again:read("/a"))
    local history = again:history()
    assert.equal("stage", history[2].kind)
    again:stage{ ["/a"] = { data = "b" } }
    local ok, err = pcall(kept.stage, kept, { ["/a"] = { data = "c" } })
    assert.is_true(ok, tostring(err)) -- it moved to the end of the branch first
    assert.equal("c", kept:read("/a"))
    assert.equal(4, #kept:history())
  end)

  it("takes what the server has, and nothing for nothing", function()
    local file = client.files:upload{ data = "uploaded" }
    session:stage{ ["/u"] = file, ["/own"] = { data = "own" } }
    assert.equal("uploadedown", session:read("/u") .. session:read("/own"))
    local uuid = session.image.uuid
    session:stage{}
    assert.equal(uuid, session.image.uuid)
    local path = disk.write(directory .. "/alone", "alone")
    session:stage(path)
    assert.equal("alone", session:read("/alone"))
    session:stage{ ["/.wh.name"] = { data = "a name" } }
    assert.equal("a name", session:read("/.wh.name"))
    assert.equal("alone", session:read("/alone"))
  end)

  it("follows the image's links and keeps its directories", function()
    session:run("mkdir -m 711 /real && ln -s real /way && echo keep > /real/keep")
    session:stage{ ["/way/in"] = { data = "in" } }
    assert.equal("in711\nkeep\n", session:run("cat /real/in; stat -c %a /real; cat /real/keep")
      .stdout)
  end)

  it("is refused for what cannot be staged, and leaves the session where it was", function()
    local uuid = session.image.uuid
    assert.equal("file", failure(session.stage, session, directory .. "/none").kind)
    assert.is_true(failure(session.stage, session, 5).misuse)
    assert.matches("cannot replace /etc: .*directory",
      failure(session.stage, session, { ["/etc"] = { data = "x" } }).message)
    assert.equal("directory", session:stat("/etc").type)
    assert.equal(uuid, session.image.uuid)
    local op = session:start("sleep 30")
    assert.equal("conflict", failure(session.stage, session, { ["/a"] = { data = "a" } }).kind)
    op:cancel()
    pcall(op.wait, op)
    session:stage{ ["/a"] = { data = "a" } }
    assert.equal("a", session:read("/a"))
  end)

  it("is kept by a session that keeps what succeeds alone", function()
    local store = directory .. "/k.db"
    local given = { store = store, id = "k", keep = "success" }
    local careful = image:session(given)
    careful:stage{ ["/a"] = { data = "a" } }
    assert.equal(3, careful:run("echo lost > /b; exit 3").exit_code)
    careful:branch("side")
    careful:start("echo lost > /b; kill -9 $$"):wait()
    careful:fork():run("echo lost > /b; exit 1")
    local process = careful:popen("echo lost > /b; exit 1", { shell = true, disposable = false })
    assert.equal(1, process:wait())
    assert.equal(2, #careful:history())
    assert.is_false(careful:exists("/b"))
    careful:run("echo kept > /b")
    careful:checkout("main")
    given.image, given.keep = nil, nil
    assert.is_false(client:session{ store = store, id = "k" }:exists("/b"))
    assert.equal(3, #careful:history{ branch = "side" })
    -- Whoever takes the end decides.
    careful:start("echo other > /b; exit 1")
    assert.equal(1, client:session{ store = store, id = "k" }:wait().exit_code)
    assert.equal("other\n", client:session{ store = store, id = "k" }:read("/b"))
  end)

  own("takes one upload, and runs nothing", function()
    session:stage{ ["/a"] = { data = "a" }, ["/b"] = { data = ("b"):rep(3000000) } }
    assert.equal(1, count("^POST "))
    assert.equal(1, count("^POST /images/%S+/layers"))
    assert.equal(0, count("/instances"))
  end)

  it("lets other tasks run meanwhile", function()
    local path = directory .. "/large"
    disk.capture("head -c 60000000 /dev/zero > " .. path)
    local ticks = turns.count(function() session:stage{ ["/large"] = path } end)
    assert.equal(60000000, session:stat("/large").size)
    assert.is_true(ticks >= 5, ticks .. " turns of another task")
  end)
end)
