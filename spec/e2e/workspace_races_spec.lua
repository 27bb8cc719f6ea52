-- Bringing changes home while somebody edits the same files, and while the program is killed.
-- CONTREE_ROUNDS=n makes n times as many attempts, CONTREE_SEED repeats some.
local carrier = require("spec.support.carrier")
local carry = require("contree.workspace.carry")
local core = require("contree.core")
local directories = require("contree.base.directories")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"
local rounds = tonumber(os.getenv("CONTREE_ROUNDS") or 1)
local seed = tonumber(os.getenv("CONTREE_SEED") or os.time() % 1000000)

describe("changes that come home", function()
  local directory, state

  setup(function()
    directory, state = disk.directory(), directories.state
    directories.state = function() return directory .. "/state" end
    os.execute("mkdir " .. directory .. "/source")
  end)
  teardown(function()
    directories.state = state
    disk.remove(directory)
  end)

  local function at(what) return ("%s [CONTREE_SEED=%d]"):format(what, seed) end

  local OLD = { one = "old one\n", two = "old two\n", gone = "old gone\n",
    large = ("old large\n"):rep(20000) }
  local NEW = { one = "new one\n", two = "new two\n", new = "new new\n",
    large = ("new large\n"):rep(20000) }

  local PATHS = { "one", "two", "gone", "new", "large" }

  local function steps_of()
    local steps = {}
    for _, path in ipairs(PATHS) do
      local function state_of(text)
        return text and { type = "file", mode = 420, sha256 = core.sha256(text) }
          or { type = "absent" }
      end
      local step = { path = path, expected = state_of(OLD[path]), wanted = state_of(NEW[path]) }
      if NEW[path] then
        step.source = disk.write(directory .. "/source/" .. path, NEW[path])
      end
      steps[#steps + 1] = step
    end
    return steps
  end

  local function new_out() return { written = {}, skipped = {} } end

  local function bring_home(folder)
    local out = new_out()
    carry.within(folder, function(handle)
      local steps = carry.to_do(handle, steps_of(), out)
      carry.begin(folder, function(call) carry.out(folder, handle, call, steps, out) end)
    end)
    return out
  end

  local function take_back(folder)
    local out = new_out()
    carry.within(folder, function(handle) assert.is_true(carry.undo(folder, handle, out)) end)
    return out
  end

  -- What an edit must have left: whole texts are there, and so is what was appended, to one of
  -- the versions if nothing else was done.
  local function check(path, found, edit, from, to)
    if not edit then
      assert.are.equal(to[path], found, at(path .. " was not edited"))
    elseif edit.how == "removed" then
      -- A file that is not there yet can be removed before it comes.
      assert.is_true(found == nil or from[path] == nil and found == to[path],
        at(path .. " was removed"))
    elseif edit.how == "whole" then
      assert.are.equal(edit.text, found, at(path .. " was written"))
    else
      assert.are.equal(edit.text, (found or ""):sub(-#edit.text), at(path .. " was appended to"))
    end
    if edit and edit.only then
      local rest = found:gsub("edit %d+ of %d+\n", "")
      assert.is_true(rest == (from[path] or "") or rest == (to[path] or ""),
        at(path .. " is half"))
    end
  end

  local function edits_of(editor)
    local edits = {}
    for line in editor:lines() do
      local path, how, only, text = line:match("^(%S+) (%S+) (%S+) (.*)$")
      edits[path] = { how = how, only = only == "only", text = text .. "\n" }
    end
    editor:close()
    return edits
  end

  -- Somebody edits the folder while fn makes `to` of `from` in it.
  local function race(number, folder, fn, from, to)
    local editor = io.popen(("%s spec/support/editor.lua %s %d %d"):format(lua, folder,
      seed + number, number % 8 + 1))
    local out = fn(folder)
    local edits, kept = edits_of(editor), 0
    for _, path in ipairs(PATHS) do
      check(path, disk.peek(folder .. "/" .. path), edits[path], from, to)
    end
    for _, each in ipairs(out.skipped) do kept = kept + (each.why:find("kept as") and 1 or 0) end
    local left = tonumber(disk.capture("ls -A " .. folder .. " | grep -c contree"))
    assert.are.equal(kept, left, at("names of ours are left"))
    return #out.skipped
  end

  local function fill(number)
    local folder = ("%s/race%d"):format(directory, number)
    os.execute(("rm -rf %s/state; mkdir %s"):format(directory, folder))
    for path, text in pairs(OLD) do disk.write(folder .. "/" .. path, text) end
    return folder
  end

  it("overwrite no edit, and leave no file half", function()
    local conflicts = 0
    for i = 1, 60 * rounds do
      local folder = fill(i)
      conflicts = conflicts + race(i, folder, bring_home, OLD, NEW)
      os.execute("rm -r " .. folder)
    end
    assert.is_true(conflicts > 0)
  end)

  it("and are taken back overwrite no edit, either", function()
    local conflicts = 0
    for i = 1, 20 * rounds do
      local folder = fill(i)
      assert.are.same({}, bring_home(folder).skipped)
      conflicts = conflicts + race(i, folder, take_back, NEW, OLD)
      os.execute("rm -r " .. folder)
    end
    assert.is_true(conflicts > 0)
  end)

  -- Killing ------------------------------------------------------------------

  local function make(folder, what)
    os.execute(("rm -rf %s; mkdir -p %s/d %s/dir"):format(folder, folder, folder))
    for path, value in pairs(what) do
      if type(value) == "table" then
        os.execute(("ln -s %s %s/%s"):format(value.link, folder, path))
      elseif value ~= "/" then
        disk.write(folder .. "/" .. path, value)
      end
    end
  end

  local function read(folder, path)
    local found = core.lstat(folder .. "/" .. path)
    if not found then return nil end
    if found.type == "link" then return "-> " .. found.target end
    return found.type == "directory" and "/" or disk.read(folder .. "/" .. path)
  end

  local function shown(value)
    return type(value) == "table" and "-> " .. value.link or value
  end

  -- Whether each path has its old or its new content; or all the one that is wanted.
  local function check_all(folder, which, what)
    local all = {}
    for path in pairs(carrier.before) do all[path] = true end
    for path in pairs(carrier.after) do all[path] = true end
    for path in pairs(all) do
      local old, new = shown(carrier.before[path]), shown(carrier.after[path])
      local found = read(folder, path)
      local right = found == old or found == new
      -- What is in a directory that became a file is gone with it, and the other way round.
      if which then right = found == shown(carrier[which][path]) end
      assert.is_true(right or not which and found == nil and path:find("/", 1, true) ~= nil,
        at(("%s: %s is %s"):format(what, path, tostring(found):sub(1, 40))))
    end
  end

  local function left_over(folder)
    return disk.capture("find " .. folder .. " -name '.contree*'")
  end

  -- Kill the program that does something after so many seconds; returns whether it had ended.
  local function kill_after(seconds, what, folder)
    return disk.capture(([[CONTREE_STATE_DIR=%s/state
      export CONTREE_STATE_DIR
      %s spec/support/carrier.lua %s %s %s/source >%s/said 2>&1 &
      pid=$!
      while ! grep -q ready %s/said 2>/dev/null; do sleep 0.001; done
      sleep %f; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null; cat %s/said; rm %s/said]])
      :format(directory, lua, what, folder, directory, directory, directory, seconds, directory,
        directory)):find("over") ~= nil
  end

  it("are old or new after a kill, and can be applied or taken back", function()
    math.randomseed(seed)
    local folder, killed = directory .. "/kill", 0
    for i = 1, 24 * rounds do
      make(folder, carrier.before)
      if not kill_after(math.random() * 0.06, "apply", folder) then killed = killed + 1 end
      check_all(folder, nil, "killed")
      if i % 3 == 0 then
        local out = carrier.apply(folder, directory .. "/source")
        assert.are.same({}, out.skipped, at("applied again"))
        check_all(folder, "after", "applied again")
      elseif i % 3 == 1 then
        local out, any = carrier.undo(folder)
        assert.are.same({}, out.skipped, at("taken back"))
        if any then check_all(folder, "before", "taken back") end
      else
        carrier.apply(folder, directory .. "/source")
        kill_after(math.random() * 0.06, "undo", folder)
        check_all(folder, nil, "killed while it was taken back")
        while select(2, carrier.undo(folder)) do end
        check_all(folder, "before", "all taken back")
      end
      assert.are.equal("", left_over(folder), at("names of ours are left"))
      os.execute("rm -rf " .. directory .. "/state")
    end
    assert.is_true(killed > 0)
  end)

  -- The whole way: a program with a workspace of its own, on an engine. It is killed also while
  -- it asks what has changed, gets files, and notes what has come home.
  describe("of a workspace", function()
    local client, place, stop, folder, store

    setup(function()
      client, place, stop = home.client()
      client.images:use("busybox:latest"):run("true") -- starts the engine
      folder, store = place .. "/folder", place .. "/store.db"
    end)
    teardown(function() stop() end)

    local function command(what)
      return ("%s spec/support/applier.lua %s %s/engine.sock %s %s"):format(lua, what, place,
        store, folder)
    end

    local ENVIRONMENT = "CONTREE_STATE_DIR=%s/state; export CONTREE_STATE_DIR; "

    local function call(what)
      return disk.capture(ENVIRONMENT:format(directory) .. command(what) .. " 2>&1")
    end

    -- Whether the program had ended before it was killed.
    local function call_for(what, seconds)
      return disk.capture((ENVIRONMENT .. [[%s >%s/said 2>&1 &
        pid=$!
        while ! grep -q ready %s/said 2>/dev/null && kill -0 $pid; do sleep 0.001; done
        sleep %f; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null; cat %s/said; rm %s/said]])
        :format(directory, command(what), place, place, seconds, place, place))
        :find("over", 1, true) ~= nil
    end

    local function content()
      return disk.capture("cd " .. folder .. [[; for f in $(ls -A); do
        printf '%s=%s ' $f "$(cat $f | tr '\n' ,)"; done]])
    end

    local BEFORE, AFTER = "a=1, b=2, gone=3, ", "a=1,x, b=2,x, new=4, "

    local function check_each(what)
      for each in content():gmatch("%S+ ") do
        assert.is_true(BEFORE:find(each, 1, true) ~= nil or AFTER:find(each, 1, true) ~= nil
          or each:find("^%.contree-") ~= nil, at(what .. ": " .. each))
      end
    end

    it("are old or new, too, and the next program goes on", function()
      math.randomseed(seed)
      local killed, took = 0, 0.15
      for i = 1, 10 * rounds do
        os.execute(("rm -rf %s %s %s/state; mkdir %s; cd %s; echo 1 > a; echo 2 > b; echo 3 > gone")
          :format(folder, store, directory, folder, folder))
        assert.are.equal("ready\nover\n", call("begin"))
        local over = call_for("apply", math.random() * took)
        killed = killed + (over and 0 or 1)
        -- How long it takes depends on the machine: about half should be killed.
        took = over and took * 0.7 or math.min(0.15, took * 1.4)
        check_each("killed")
        local said = call(i % 2 == 0 and "apply" or "undo")
        assert.is_truthy(said:find("over", 1, true), at(said))
        assert.is_truthy(i % 2 == 1 or content() == AFTER, at("applied again: " .. content()))
        assert.is_truthy(i % 2 == 0 or content() == BEFORE, at("taken back: " .. content()))
        -- The sandbox has its version still, and no name of ours.
        assert.are.equal("ready\na b new over\n", call("look"), at("in the sandbox"))
      end
      assert.is_true(killed > 0)
    end)
  end)
end)
