-- What a folder was when it last came in: kept in files that may be old, damaged or gone.
local directories = require("contree.base.directories")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local record = require("contree.workspace.record")

describe("the record of a workspace", function()
  local directory, cache, state

  before_each(function()
    directory, cache, state = disk.directory(), directories.cache, directories.state
    directories.cache = function() return directory .. "/cache" end
    directories.state = function() return directory .. "/state" end
  end)
  after_each(function()
    directories.cache, directories.state = cache, state
    disk.remove(directory)
  end)

  local function open(durable) return record.open({ "server", "/folder" }, durable) end

  it("is found by others with the same folder, and by no others", function()
    open().keep(open(), "u1", { base = "b1", index = "bytes\0\n" })
    assert.are.same({ base = "b1", index = "bytes\0\n" }, open():of("u1"))
    assert.is_nil(open():of("u2"))
    assert.is_nil(open(true):of("u1"))
    assert.is_nil(record.open({ "server", "/other" }):of("u1"))
    open():keep_mirror("u0", "u1")
    assert.are.equal("u1", open():mirror("u0"))
  end)

  it("does not count when it is damaged", function()
    open():keep("u1", { base = "b1", index = ("x"):rep(1000) })
    local path = disk.capture("ls -S " .. directory .. "/cache/workspace/*"):match("[^\n]+")
    local text = disk.read(path)
    for _, damaged in ipairs{ "", text:sub(1, 500), text:gsub("xx$", "xy"), "no record" } do
      disk.write(path, damaged)
      assert.is_nil(open():of("u1"))
    end
    disk.write(path, text)
    assert.is_table(open():of("u1"))
  end)

  it("of a newer contree is refused where it is state, and lost where it is a cache", function()
    for _, durable in ipairs{ false, true } do
      open(durable):keep("u1", { base = "b1", index = "bytes" })
      local path = disk.capture(("ls %s/%s/workspace/* | grep -v tidied"):format(directory,
        durable and "state" or "cache")):match("[^\n]+")
      local text = disk.read(path):gsub("^contree 1 ", "contree 2 ")
      disk.write(path, text)
      if durable then
        local err = failure(function() return open(true):of("u1") end)
        assert.are.equal("file", err.kind)
        assert.matches("was made by a newer contree %(version 2, this one knows 1%)", err.message)
        assert.are.equal("use that one for this folder, or begin a new session", err.hint)
      else
        assert.is_nil(open():of("u1"))
      end
      assert.are.equal(text, disk.read(path))
    end
  end)

  it("goes when it is old, but not that of a store", function()
    for _, durable in ipairs{ false, true } do
      open(durable):keep("old", { base = "b", index = "" })
      local path = directory .. (durable and "/state" or "/cache") .. "/workspace"
      os.execute(("cd %s && touch -d '40 days ago' * && rm tidied && touch git.1.1 new && "
        .. "touch -d '2 days ago' git.2.1.in packed.3.tar other"):format(path))
      local found = open(durable):of("old")
      assert.are.equal(durable, found ~= nil)
      assert.are.equal("git.1.1\nnew\nother\ntidied\n",
        disk.capture("ls " .. path .. " | grep -v '^[0-9a-f]*$'"))
    end
  end)
end)
