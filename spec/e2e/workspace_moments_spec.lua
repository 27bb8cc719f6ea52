-- A file is edited, and edited back, at each moment while the folder comes in. What no run has
-- changed is never a change of the sandbox, so nothing comes home over what is in the folder.
local archive = require("contree.workspace.archive")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local look = require("contree.workspace.look")

describe("an edit while the folder comes in", function()
  local client, directory, stop, image, count

  setup(function()
    client, directory, stop = home.client()
    image, count = client.images:use("busybox:latest"), 0
  end)
  teardown(function() stop() end)

  local function sh(path, script) assert(os.execute(("cd %s && %s"):format(path, script))) end

  -- Call fn(moment) whenever one part of coming in begins; a function takes that back.
  local function at_moments(fn)
    local found, moment = {}, 0
    for _, each in ipairs{ { look, "at" }, { archive, "whole" }, { archive, "index" },
      { archive, "put" } } do
      local module, name = each[1], each[2]
      local original = module[name]
      found[#found + 1] = { module = module, name = name, original = original }
      module[name] = function(...)
        moment = moment + 1
        fn(moment)
        return original(...)
      end
    end
    return function()
      for _, each in ipairs(found) do each.module[each.name] = each.original end
      return moment
    end
  end

  local EDITS = {
    { "removed", "mv a ../kept", "mv ../kept a" },
    { "written, and written back", "echo other > a", "echo host > a" },
    { "unlike a file, for a moment", "mv a ../kept && mkdir a", "rmdir a && mv ../kept a" },
  }

  local WAYS = {
    { "in one piece", function() end },
    { "in several pieces", function(path) sh(path, "head -c 3000000 /dev/urandom > large") end },
    { "anew, as the server has lost it", function(path, ws)
      sh(path, "head -c 3000 /dev/urandom > large")
      local last = require("contree.workspace.sync").last(ws)
      last.base = last.base:gsub("%x%x%x%x$", "0000")
    end },
  }

  -- A folder with files, in which a command has run, and then somebody has edited.
  local function begin(files, command, edit, way)
    count = count + 1
    local path = ("%s/place%d/folder"):format(directory, count)
    os.execute("mkdir -p " .. path)
    sh(path, files)
    local ws = image:workspace{ path = path }
    ws:run{ shell = command, check = true }
    sh(path, edit)
    way[2](path, ws)
    return ws, path
  end

  -- One attempt; returns how many moments there were.
  local function try(edit, way, moment)
    local ws, path = begin("echo first > a && echo same > b", "echo run > own", "echo host > a",
      way)
    local finish = at_moments(function(now)
      if now == moment then sh(path, edit[2]) end
      if moment > 0 and now == moment + 1 then sh(path, edit[3]) end
    end)
    local ok, err = pcall(ws.run, ws, "true")
    local moments = finish()
    if moment > 0 and moments == moment then sh(path, edit[3]) end
    local where = ("%s %s at moment %d: "):format(edit[1], way[1], moment)
    assert(ok, where .. tostring(err))
    local written = ws:apply().written
    assert.are.same({ "own" }, written, where .. table.concat(written, ", "))
    assert.equal("host\n", disk.read(path .. "/a"), where)
    assert.equal("host\nrun\nsame\n", ws:run{ shell = "cat a own b", check = true }.stdout, where)
    return moments
  end

  for _, way in ipairs{ WAYS[1], WAYS[2] } do
    it("that never ends leaves that file out, and all else comes in: " .. way[1], function()
      local ws, path = begin("mkdir d && echo first > a && echo first > d/b && echo first > d/c",
        "echo run > d/own", "echo host > d/b; rm d/c", way)
      local finish = at_moments(function(now) sh(path, "echo " .. now .. " > a") end)
      local ok, found = pcall(ws.run, ws, { shell = "cat a d/b; ls d", check = true })
      finish()
      assert(ok, tostring(found))
      assert.equal("first\nhost\nb\nown\n", found.stdout)
      assert.equal("a: it changes whenever it is read", tostring(ws.skipped))
      local last = disk.read(path .. "/a")
      assert.equal(last, ws:run{ shell = "cat a", check = true }.stdout)
      assert.are.same({ "d/own" }, ws:apply().written)
    end)
  end

  it("that ends as it was leaves the others to come in", function()
    local ws, path = begin("mkdir d && echo first > a && echo first > d/b", "echo run > d/own",
      "echo host > a; echo host > d/b", WAYS[1])
    -- Two attempts look, pack, write an index and pack again; then the third begins.
    local finish = at_moments(function(now)
      sh(path, now <= 8 and "echo " .. now .. " > a" or "echo first > a")
    end)
    local ok, found = pcall(ws.run, ws, { shell = "cat a d/b", check = true })
    assert.is_true(finish() > 8)
    assert(ok, tostring(found))
    assert.equal("first\nhost\n", found.stdout)
    assert.are.same({ "d/own" }, ws:apply().written)
  end)

  for _, way in ipairs(WAYS) do
    for _, edit in ipairs(EDITS) do
      it(("is no change of the sandbox: %s, %s"):format(edit[1], way[1]), function()
        local last = try(edit, way, 0)
        assert.is_true(last > 2)
        for moment = 1, last do try(edit, way, moment) end
      end)
    end
  end
end)
