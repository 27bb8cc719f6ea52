-- The journal of what apply() and undo() do, as older and newer versions write it.
local carrier = require("spec.support.carrier")
local carry = require("contree.workspace.carry")
local directories = require("contree.base.directories")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local hash = require("contree.image.hash")
local json = require("contree.base.json")
local write = require("contree.workspace.write")

describe("the journal of a folder", function()
  local directory, folder, state, core = nil, nil, nil, require("contree.core")

  before_each(function()
    directory, state = disk.directory(), directories.state
    folder = directory .. "/in"
    directories.state = function() return directory .. "/state" end
    disk.write(directory .. "/new", "new\n")
    os.execute("mkdir " .. folder)
    disk.write(folder .. "/f", "old\n")
  end)
  after_each(function()
    directories.state = state
    disk.remove(directory)
  end)

  local function file(text)
    return { type = "file", mode = 420, sha256 = core.sha256(text) }
  end

  local function apply()
    local out = { written = {}, skipped = {} }
    carry.within(folder, function(handle)
      local steps = { { path = "f", expected = file("old\n"), wanted = file("new\n"),
        source = directory .. "/new" } }
      carry.complete(handle, steps)
      steps = carry.to_do(handle, steps, out)
      carry.begin(folder, function(call) carry.out(folder, handle, call, steps, out) end)
    end)
  end

  -- Changes the plan of the one call that there is.
  local function edit(change)
    local path = disk.capture("ls -d " .. directory .. "/state/workspace/journal/*/*"):match("%S+")
    local plan = json.decode(disk.read(path .. "/plan"))
    change(plan)
    disk.write(path .. "/plan", (assert(json.encode(plan))))
    return path
  end

  local function all()
    return disk.capture("cd " .. directory .. " && find . -type f -exec md5sum {} + | sort -k 2")
  end

  it("of the first version, which had no number, is taken back", function()
    apply()
    assert.are.equal("new\n", disk.read(folder .. "/f"))
    edit(function(plan)
      assert.are.equal(1, plan.version)
      plan.version = nil
    end)
    carrier.undo(folder)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
  end)

  it("of a newer contree is refused, and the folder stays as it is", function()
    apply()
    local path = edit(function(plan) plan.version = 2 end)
    local function refused(fn, ...)
      local before = all()
      local err = failure(fn, ...)
      assert.are.equal("file", err.kind)
      assert.matches("was made by a newer contree %(version 2, this one knows 1%)", err.message)
      assert.are.equal("use that one for this folder", err.hint)
      assert.are.equal(before, all())
    end
    refused(carrier.undo, folder)
    -- As if that one had been killed.
    os.remove(path .. "/ended")
    refused(carrier.undo, folder)
    refused(apply)
  end)

  -- Runs fn while a function of a module gives an error.
  local function broken(module, name, fn)
    local whole = module[name]
    module[name] = function() return nil, "it: Input/output error", false end
    local ok, problem = pcall(fn)
    module[name] = whole
    return ok, problem
  end

  it("that cannot be read is no empty one", function()
    apply()
    for _, name in ipairs{ "list", "lstat" } do
      local before = all()
      disk.write(folder .. "/f", "old\n")
      local ok, err = broken(core, name, apply)
      assert.is_false(ok)
      assert.are.equal("file", err.kind)
      assert.matches("Input/output error", err.message)
      disk.write(folder .. "/f", "new\n")
      assert.are.equal(before, all())
    end
    carrier.undo(folder)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
  end)

  it("stays interrupted while its paths cannot be looked at", function()
    apply()
    local path = edit(function() end)
    os.remove(path .. "/ended")
    -- As if the program had been killed before it removed the old file.
    local name = json.decode(disk.read(path .. "/plan")).steps[1].name
    disk.write(folder .. "/" .. name, "old\n")
    local ok, err = broken(write, "state", function() carrier.undo(folder) end)
    assert.is_false(ok)
    assert.are.equal("file", err.kind)
    assert.matches("what an interrupted call has left .*Input/output error", err.message)
    assert.is_nil(disk.peek(path .. "/ended"))
    carrier.undo(folder)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
    assert.is_nil(disk.peek(folder .. "/" .. name))
  end)

  it("is not used up by taking back what cannot be written just now", function()
    apply()
    for _, each in ipairs{ { write, "put" }, { hash, "file" } } do
      local ok, problem = broken(each[1], each[2], function()
        local out = carrier.undo(folder)
        assert.are.equal("failed", out.skipped[1].kind)
      end)
      assert(ok, problem)
      assert.are.equal("new\n", disk.read(folder .. "/f"))
    end
    carrier.undo(folder)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
  end)
end)
