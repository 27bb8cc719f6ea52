-- What require("contree") loads, in a fresh process.
local host = require("spec.support.host")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

describe('require("contree")', function()
  local place

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)

  local function prints(wanted, code)
    local script = place:write("script.lua", code)
    assert.are.same({ wanted, 0 }, { host.run(lua, lua .. " " .. script) })
  end

  it("loads nothing but the names of its functions", function()
    prints("contree contree.base.pipe contree.core contree.stub\n", [[
      local contree = require("contree")
      local _ = contree.spawn, contree.new, contree.PIPE, contree.null, contree.version
      local names = {}
      for name in pairs(package.loaded) do
        if name:find("^contree") then names[#names + 1] = name end
      end
      table.sort(names)
      print(table.concat(names, " "))
    ]])
  end)

  it("has all functions and values in the table", function()
    prints("PIPE _VERSION array async buffer gather host is_error new null pollfd progress "
      .. "sessions shutdown sleep spawn step timeout version\n", [[
      local names = {}
      for name in pairs(require("contree")) do names[#names + 1] = name end
      table.sort(names)
      print(table.concat(names, " "))
    ]])
  end)

  it("has the names of all functions, in both faces", function()
    prints("true\ttrue\n", [[
      local function names_of(module)
        local names = {}
        for name, value in pairs(module) do names[#names + 1] = name .. " " .. type(value) end
        table.sort(names)
        return table.concat(names, ", ")
      end
      local plain, safe = require("contree"), require("contree.safe")
      local wanted = names_of(require("contree.face").make(false))
      print(names_of(plain) == wanted, names_of(safe) == wanted)
    ]])
  end)

  it("fails at once where the core is missing", function()
    prints("false\ttrue\n", [[
      package.cpath = package.cpath:gsub("[^;]*build[^;]*", "")
      local ok, message = pcall(require, "contree")
      print(ok, message:find("contree.core", 1, true) ~= nil)
    ]])
  end)

  it("loads what could not be loaded, when it is wanted again", function()
    prints("false\tfalse\n", [[
      local failed = false
      table.insert(package.searchers or package.loaders, 1, function(name)
        if name ~= "contree.loop" or failed then return nil end
        failed = true
        return function() error("no descriptor", 0) end
      end)
      local contree = require("contree")
      print(pcall(contree.is_error, nil) and "loaded" or contree.is_error(nil), contree.is_error(1))
    ]])
  end)

  for _, face in ipairs{ "contree", "contree.safe" } do
    it("gives an error object for a file of ours that cannot be read: " .. face, function()
      prints("file\tscript.lua:8\n\n", [[
        local searchers, failed = package.searchers or package.loaders, false
        table.insert(searchers, 1, function(name)
          if name ~= "contree.loop" or failed then return nil end
          failed = true
          error("error loading module 'contree.loop' from file 'a':\n\tcannot read a", 0)
        end)]] .. "\n" .. ([[
        local function first() return require("FACE").sleep(0) end
        local ok, err, more = pcall(first)
        if ok then err = more end
        print(err.kind, err.where:match("script.lua:%d+"))
        print(require("FACE").sleep(0))
      ]]):gsub("FACE", face))
    end)
  end

  it("gives an error object where a part that is wanted later is not found", function()
    prints("file\tmodule 'contree.session.sessions' not found:\n", [[
      local contree = require("contree")
      contree.sleep(0)
      package.path = ""
      local ok, err = pcall(contree.sessions, 1)
      print(err.kind, err.message)
    ]])
  end)

  for _, first in ipairs{ "sleep(0)", "buffer()", "array()", "pollfd()", "step()",
    "is_error(nil)", "async(function() end)", "timeout(1, function() end)",
    "gather(function() end)", "spawn(function() end):wait()", "host()", "shutdown(0)" } do
    it("can begin with " .. first, function()
      prints("done\n", ('require("contree").%s print("done")'):format(first))
    end)
  end

  it("tells the line of a mistake in the first call", function()
    local script = place:write("script.lua", [[
      local contree = require("contree")
      local ok, err = pcall(function() contree.sleep("x") end)
      print(ok, err.where:match("script.lua:%d+"))
    ]])
    assert.are.same({ "false\tscript.lua:2\n", 0 }, { host.run(lua, lua .. " " .. script) })
  end)
end)
