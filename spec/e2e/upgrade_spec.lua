-- What older versions have kept is opened, and right; what a newer one has kept is refused,
-- untouched. The fixtures are made by scripts/fixture; docs/inside/kept.md lists what is kept.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local json = require("contree.base.json")
local titles = require("spec.support.titles")

local FIXTURES = "spec/fixtures"

local function schema_of(path)
  local db = assert(core.database(path))
  local version = db:exec("PRAGMA user_version")[1].user_version
  local rows = db:exec("SELECT name, sql FROM sqlite_master ORDER BY name")
  db:close()
  local list = {}
  for i, row in ipairs(rows) do list[i] = tostring(row.name) .. ": " .. tostring(row.sql) end
  return version, table.concat(list, "\n")
end

-- A client and its engine, not started yet, in a directory of their own.
local function place()
  local client, directory, stop = home.client()
  return { client = client, directory = directory, stop = stop, data = directory .. "/data",
    sessions = directory .. "/sessions.db" }
end

-- The same with what is in a fixture.
local function restore(archive)
  local self = place()
  assert(os.execute(("tar -C %s --numeric-owner --xattrs --xattrs-include='*' -xpf %s/%s && "
    .. "cp $(command -v busybox) %s/l/1/bin/busybox && "
    .. "chown --reference=%s/l/1/bin %s/l/1/bin/busybox && chmod 755 %s/l/1/bin/busybox")
    :format(self.directory, FIXTURES, archive, self.data, self.data, self.data, self.data)))
  self.facts = json.decode(disk.read(self.directory .. "/facts.json"))
  -- Its sessions belong to the engine whose directory they came from.
  local db = assert(core.database(self.sessions))
  db:exec("UPDATE session SET server = ?", self.client.origin)
  db:close()
  return self
end

local function fixtures()
  local list = {}
  for name in disk.capture("ls " .. FIXTURES):gmatch("kept%-%d+%-%d+%.tar%.xz") do
    list[#list + 1] = name
  end
  return list
end

-- The uuid of the image that has a tag, or nil.
local function tagged(client, tag)
  for _, image in ipairs(client.images:list()) do
    if image.tag == tag then return image.uuid end
  end
end

describe("the fixtures of older versions", function()
  local fresh

  setup(function()
    fresh = place()
    fresh.client:whoami()
    fresh.client.images:use("busybox:latest"):session{ store = fresh.sessions, id = "x" }
  end)
  teardown(function() fresh.stop() end)

  it("are there for the schema of now", function()
    local store, session = schema_of(fresh.data .. "/contree.db"), schema_of(fresh.sessions)
    local path = ("%s/kept-%d-%d.tar.xz"):format(FIXTURES, store, session)
    assert.is_truthy(disk.peek(path), ("the store has version %d now, files of sessions have "
      .. "%d, and %s is missing: run scripts/fixture, and commit what it makes")
      :format(store, session, path))
  end)

  it("are brought up to the tables of now", function()
    local version, tables = schema_of(fresh.data .. "/contree.db")
    local session = schema_of(fresh.sessions)
    for _, name in ipairs(fixtures()) do
      local kept = restore(name)
      kept.client:whoami()
      local now, these = schema_of(kept.data .. "/contree.db")
      kept.client.images:use("busybox:latest"):session{ store = kept.sessions, id = "kept" }
      local of_session = schema_of(kept.sessions)
      kept.stop()
      assert.are.same({ version, tables, session }, { now, these, of_session }, name)
    end
  end)
end)

for _, name in ipairs(fixtures()) do
  describe("what is kept in " .. name, function()
    local kept, client, facts

    setup(function()
      kept = restore(name)
      client, facts = kept.client, kept.facts
    end)
    teardown(function() kept.stop() end)

    it("has images that run, with the files that they had", function()
      for _, tag in ipairs{ "kept/one:1", "kept:two" } do
        local expected = facts[tag == "kept:two" and "two" or "one"]
        local image = client.images:use(tag)
        assert.are.equal(expected.list, image:run{ shell = facts.list }.stdout, tag)
        assert.are.equal(expected.uuid, tagged(client, tag))
        assert.are.equal("one\n", image:read("/app/hard"))
      end
    end)

    it("has tags, also those that hide a public one", function()
      local tags = {}
      for _, image in ipairs(client.images:list()) do tags[#tags + 1] = image.tag end
      table.sort(tags)
      assert.are.same({ "busybox:latest", "kept/one:1", "kept:two" }, tags)
      local public = tagged(client, "busybox:latest")
      local two = client.images:use(facts.two.uuid)
      two:tag_as("busybox:latest")
      assert.are.equal(facts.two.uuid, tagged(client, "busybox:latest"))
      two:untag("busybox:latest")
      assert.are.equal(public, tagged(client, "busybox:latest"))
      two:tag_as("kept:two")
    end)

    it("has the lineage, and the operations with their output", function()
      local lineage = client.images:use("kept:two"):lineage()
      assert.are.same({ facts.two.uuid, facts.one.uuid, "start" },
        { lineage[1].uuid, lineage[2].uuid, lineage[3].kind })
      assert.matches("^cd /app && echo two", lineage[1].title)
      local commands, count = {}, 0
      for _, operation in ipairs(client.operations:list()) do
        count = count + 1
        assert.are.equal("SUCCESS", operation.status)
        if operation.uuid == facts.failed then
          commands[#commands + 1] = client.operations:get(operation.uuid):wait()
        end
      end
      assert.are.equal(facts.volumes and 11 or 10, count)
      if facts.failed then
        assert.are.same({ "told\n", "on stderr\n", 3 },
          { commands[1].stdout, commands[1].stderr, commands[1].exit_code })
      end
    end)

    it("has the session, which goes on", function()
      local session = client:session{ store = kept.sessions, id = "kept" }
      assert.are.equal("main", session.branch_name)
      assert.are.equal("one\nfirst\n", session:read("/app/log"))
      assert.matches("|echo first >> /app/log$", titles(session))
      for _, entry in ipairs(session:history()) do
        assert.matches("^2%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", entry.created_at)
      end
      session:run("echo now >> /app/log")
      assert.are.equal("one\nfirst\nnow\n", session:read("/app/log"))
      session:checkout("side")
      assert.are.equal("one\nfirst\nside\n", session:read("/app/log"))
      session:rollback()
      assert.are.equal("one\nfirst\n", session:read("/app/log"))
    end)

    if name ~= "kept-3-1.tar.xz" then
      it("has volumes", function()
        assert.are.equal(6, client.volumes:get("cargo").size)
        assert.are.equal("-rw------- crate\n", client.images:use("kept:two"):run{
          shell = "stat -c '%A' /c/crate; cat /c/crate", volumes = { ["/c"] = "cargo" },
        }.stdout:gsub("\n", " ", 1))
      end)
    end

    it("is still there after gc and another start", function()
      disk.capture("contree-engine gc --data-dir " .. kept.data .. " 2>&1")
      home.stop_engine(kept.data)
      assert.are.equal(facts.two.list,
        client.images:use("kept:two"):run{ shell = facts.list }.stdout)
    end)
  end)
end

describe("what a newer version has kept", function()
  local kept

  before_each(function() kept = restore(fixtures()[#fixtures()]) end)
  after_each(function() kept.stop() end)

  local function raise_version(path, to)
    local db = assert(core.database(path))
    db:exec("PRAGMA user_version = " .. to)
    db:close()
  end

  -- All that is there, without what tells who uses it now.
  local function sums()
    return disk.capture(("cd %s && find data sessions.db -type f ! -name lock ! -name '*-shm' "
      .. "-exec md5sum {} + | sort -k 2"):format(kept.directory))
  end

  it("is refused as a store", function()
    raise_version(kept.data .. "/contree.db", 1000)
    local before = sums()
    local err = failure(kept.client.whoami, kept.client)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("contree%.db was made by a newer contree%-engine %(schema 1000, this one "
      .. "knows %d+%): use that one, or another data directory", tostring(err))
    assert.are.equal(before, sums())
  end)

  it("is refused as a file of sessions", function()
    raise_version(kept.sessions, 1000)
    local before = sums()
    local err = failure(kept.client.session, kept.client, { store = kept.sessions, id = "kept" })
    assert.are.equal("file", err.kind)
    assert.matches("was made by a newer contree %(version 1000, this one knows %d+%)", err.message)
    assert.are.equal("use that one, or another file", err.hint)
    assert.are.equal(before, sums())
    err = failure(function() return contree.sessions(kept.sessions):list() end)
    assert.are.equal("file", err.kind)
    assert.are.equal(before, sums())
  end)
end)
