-- contree.progress(): a line on a terminal, nothing elsewhere.
local disk = require("spec.support.disk")
local host = require("spec.support.host")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

describe("contree.progress", function()
  local place

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)

  -- What a script's two streams show, on a terminal of 60 columns or in a pipe.
  local function run(code, is_terminal)
    local script = place:write("script.lua", [[
      local contree = require("contree")
      local tell = contree.progress("it")
      local function far(phase, done, total, more)
        local one = { phase = phase, unit = "bytes", done = done, total = total }
        for name, value in pairs(more or {}) do one[name] = value end
        tell(one)
      end
    ]] .. code)
    local command = lua .. " " .. script
    if is_terminal then
      command = ("script -qec %s /dev/null </dev/null"):format(
        disk.quote("stty cols 60; " .. command))
    end
    return (host.run(lua, command))
  end

  it("writes nothing into a pipe", function()
    assert.are.equal("end\n", run([[
      far("sending", 1, 10)
      far("sending", 10, 10)
      tell:finish()
      print("end")
    ]]))
  end)

  it("shows a line at once, and ends it when the phase is over", function()
    local seen = run([[
      far("sending", 512, 2048)
      far("sending", 2048, 2048)
      print("end")
    ]], true)
    assert.are.equal("\r\27[K[======                  ] it sending 512 of 2.0K"
      .. "\r\27[K[========================] it sending 2.0K of 2.0K\r\nend\r\n", seen)
  end)

  it("begins a line for each phase, and one for each end", function()
    local seen = run([[
      far("looking", 3)
      far("sending", 5, 5)
      far("sending", 5, 5)
      far("pulling", 5, 5, { layer = 1, of = 2 })
      far("pulling", 5, 5, { layer = 2, of = 2 })
      print("end")
    ]], true)
    local lines = seen:gsub("\r\27%[K", ""):gsub("%[=+%] ", "")
    assert.are.equal("it looking 3\r\nit sending 5 of 5\r\nit 1/2 pulling 5 of 5\r\n"
      .. "it 2/2 pulling 5 of 5\r\nend\r\n", lines)
  end)

  it("draws seldom, cuts long lines and escapes what others say", function()
    local seen = run([[
      for i = 1, 10000 do far("sending", i) end
      tell:finish()
      far("w" .. ("\27"):rep(50) .. ("é"):rep(50), 1)
      tell:finish()
      print("end")
    ]], true)
    local _, count = seen:gsub("sending", "")
    assert.is_true(count < 100)
    local words = seen:match("it w[^\r]*")
    assert.are.equal(58, #words) -- the 59th byte is half a character
    assert.is_nil(words:find("\27", 1, true))
    assert.is_truthy(seen:find("\r\nend\r\n$"))
  end)
end)
