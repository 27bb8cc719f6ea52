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

  -- Bring a new text home to each of some paths; as workspace:apply does, with the new files in
  -- the journal. Default: f, which has an old one.
  local function apply(paths)
    local out = { written = {}, skipped = {} }
    carry.within(folder, function(handle)
      local steps = {}
      for i, path in ipairs(paths or { "f" }) do
        steps[i] = { path = path, expected = paths and { type = "absent" } or file("old\n"),
          wanted = file("new\n") }
      end
      carry.complete(handle, steps)
      carry.begin(folder, function(call)
        for i, step in ipairs(steps) do
          if step.wanted.type == "file" then
            step.source = ("%s/new/%d"):format(call.path, i)
            disk.write(step.source, "new\n")
          end
        end
        carry.out(folder, handle, call, carry.to_do(handle, steps, out), out)
      end)
    end)
    return out
  end

  -- The directory of the one call that there is.
  local function place()
    return disk.capture("ls -d " .. directory .. "/state/workspace/journal/*/*"):match("%S+")
  end

  -- Changes its plan.
  local function edit(change)
    local path = place()
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

  it("keeps what was replaced, and no new file", function()
    apply()
    assert.are.equal("new\n", disk.read(folder .. "/f"))
    local kept = disk.capture("cd " .. directory .. "/state && find . -path '*/old/*' -o "
      .. "-path '*/new/*'")
    assert.matches("/old/1\n$", kept)
    assert.is_nil(kept:find("/new/", 1, true))
  end)

  it("makes a directory once for all the files that need it", function()
    local out = apply{ "d/e/one", "d/e/two", "d/three" }
    assert.are.same({}, out.skipped)
    table.sort(out.written)
    assert.are.same({ "d", "d/e", "d/e/one", "d/e/two", "d/three" }, out.written)
    assert.are.equal("new\n", disk.read(folder .. "/d/e/two"))
    assert.are.same({}, (carrier.undo(folder)).skipped)
    assert.is_nil(disk.peek(folder .. "/d"))
  end)

  -- Runs fn while the first call cannot note one thing in its directory.
  local function without(name, fn)
    local put = write.put
    write.put = function(...)
      os.execute("mkdir " .. place() .. "/" .. name)
      return put(...)
    end
    local err = failure(fn)
    write.put = put
    os.execute("rmdir " .. place() .. "/" .. name)
    assert.are.equal("file", err.kind)
    assert.matches("cannot keep the journal: " .. name, err.message)
  end

  it("whose end cannot be written says so, and is put in order by the next call", function()
    without("ended", apply)
    assert.are.equal("new\n", disk.read(folder .. "/f"))
    carrier.undo(folder)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
  end)

  it("says so when it cannot note that a call is taken back, which can be done again", function()
    apply()
    without("undone", function() carrier.undo(folder) end)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
    local out, any = carrier.undo(folder)
    assert.is_true(any)
    assert.are.same({}, out.skipped)
    assert.are.equal("old\n", disk.read(folder .. "/f"))
    assert.is_false((select(2, carrier.undo(folder))))
  end)
end)
