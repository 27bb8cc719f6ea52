-- Every error names the line of the script that made the call, however it was made.
local contree = require("contree")
local errors = require("contree.base.errors")
local fake = require("spec.support.fake")
local safe = require("contree.safe")

-- Returns the line of the call.
local function here() return "place_spec.lua:" .. debug.getinfo(2, "l").currentline end

local function at(expected, err)
  assert.is_true(errors.is(err), tostring(err))
  assert.is_string(err.where, tostring(err))
  assert.are.equal(expected, err.where:match("[^/]+$"), tostring(err))
  assert.are.equal(1, (tostring(err):find(err.where .. ": contree: ", 1, true)))
  assert.is_string(err.traceback)
  assert.are.equal(expected, err.traceback:match("^[^\n]-([^/\n]+:%d+): in "))
  assert.is_nil(err.traceback:find("/contree/[%w/]+%.lua"))
end

describe("D8: the place of an error", function()
  local server, image, safe_image

  setup(function()
    server = fake.start()
    local options = { url = server.url, token = "t", retry = false }
    image = contree.new(options).images:use("a:1")
    safe_image = safe.new(options).images:use("a:1")
  end)
  teardown(function() server:stop() end)

  before_each(function()
    server:rules{ { path = ".*", replies = { { status = 403, json = { error = "no" } } } } }
  end)

  it("is the line that called", function()
    local line
    local ok, err = pcall(function()
      line = here() image:run("x")
    end)
    assert.is_false(ok)
    at(line, err)
    assert.are.equal("forbidden", err.kind)
  end)

  it("is there on the safe face", function()
    local _, err = safe_image:run("x")
    at(here():gsub("%d+", function(n) return n - 1 end), err)
  end)

  it("is that of a tail call, which has left the stack", function()
    local line
    local function run() line = here() return image:run("x") end
    local ok, err = pcall(run)
    assert.is_false(ok)
    at(line, err)
    local function safe_run() line = here() return safe_image:run("x") end
    local function outer() return safe_run() end
    local _, returned = outer()
    at(line, returned)
    local function misuse() line = here() return image:run{ shel = "x" } end
    ok, err = pcall(misuse)
    assert.is_false(ok)
    at(line, err)
    -- Calls in the arguments are not taken for the call itself.
    local function nested()
      line = here()
      line = here() return image:run(tostring(pcall(image.read, image, "/x")))
    end
    ok, err = pcall(nested)
    assert.is_false(ok)
    at(line, err)
  end)

  it("is that of pcall's caller", function()
    local line = here() local ok, err = pcall(image.run, image, "x")
    assert.is_false(ok)
    at(line, err)
  end)

  it("is right when a method was kept in a variable", function()
    local run = image.run
    pcall(run, image, "x")
    local line
    local function helper()
      line = here() local result = run(image, "x")
      return result
    end
    local ok, err = pcall(helper)
    assert.is_false(ok)
    at(line, err)
  end)

  it("is that of the script in tasks and after they were suspended", function()
    local line
    server:rules(fake.run{ spawned = { status = 201, json = { uuid = "op-1" } },
      events = { fake.stream(fake.frames({}, { code = 3 })) },
      operations = { { status = 200, json = fake.operation{ exit_code = 3 }, delay = 0.05 } } })
    local task = contree.spawn(function()
      contree.sleep(0.01)
      line = here() return image:run{ shell = "x", check = true }
    end)
    local ok, err = pcall(task.wait, task)
    assert.is_false(ok)
    at(line, err)
    -- Our own code runs uploads in tasks.
    server:rules{ { path = ".*", replies = { { status = 403, json = { error = "no" } } } } }
    ok, err = pcall(function()
      line = here() image:run{ shell = "x", files = { ["/a"] = { data = "1" },
        ["/b"] = { data = "2" } } }
    end)
    assert.is_false(ok)
    at(line, err)
  end)

  it("is that of whoever passed a method on, where no function of the script runs", function()
    local line
    line = here() local task = contree.spawn(image.run, image, "x")
    local ok, err = pcall(task.wait, task)
    assert.is_false(ok)
    at(line, err)
    line = here() local wrapped = coroutine.wrap(image.run)
    ok, err = pcall(wrapped, image, "x")
    assert.is_false(ok)
    at(line, err)
  end)

  it("is the script's for what gather and timeout raise themselves", function()
    local line
    local ok, err = pcall(function()
      line = here() contree.timeout(0.01, contree.sleep, 5)
    end)
    assert.is_false(ok)
    at(line, err)
    ok, err = pcall(function()
      line = here() contree.gather{ 5 }
    end)
    assert.is_false(ok)
    at(line, err)
  end)

  it("is that of a loop over an iterator", function()
    local line
    local ok, err = pcall(function()
      local next_image = image.client.images:each{}
      line = here() for _ in next_image do error("no") end
    end)
    assert.is_false(ok)
    at(line, err)
    ok, err = pcall(function()
      local next_event = image.client.operations:get("op-1"):events()
      line = here() for _ in next_event do error("no") end
    end)
    assert.is_false(ok)
    at(line, err)
  end)

  it("does not keep the functions that called", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local held = {}
      local function run() return image:run(held and "x") end
      pcall(run)
      weak[run] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("D16: an error that leaves the module", function()
  it("is an object, whatever our own code does", function()
    -- A chunk with a path of the module simulates a fault in our own code.
    local source = debug.getinfo(errors.new, "S").source:gsub("errors%.lua$", "fault.lua")
    local load_text = loadstring or load -- luacheck: ignore
    local fault = assert(load_text("return function(t) return t.a.b end", source))()
    local class = require("contree.base.class")
    local strict = class.strict
    class.strict = false
    finally(function() class.strict = strict end)
    local thing = class.define("spec.Thing", { fail = fault })({})
    local ok, err = pcall(thing.fail, thing)
    assert.is_false(ok)
    assert.is_true(errors.is(err, "internal"), tostring(err))
    assert.matches("fault.lua:1: ", err.message)
    assert.is_string(err.hint)
    -- An error that the script raises stays as it is.
    thing = class.define("spec.Thing", { call = function(_, fn) fn() end })({})
    ok, err = pcall(thing.call, thing, function() error("mine") end)
    assert.is_false(ok)
    assert.matches("place_spec.lua:%d+: mine$", err)
    local value = {}
    assert.are.equal(value, select(2, pcall(thing.call, thing, function() error(value) end)))
  end)

  it("says what this machine lacks in the core's words", function()
    local source = debug.getinfo(errors.new, "S").source:gsub("errors%.lua$", "fault.lua")
    local load_text = loadstring or load -- luacheck: ignore
    local lacks = function() error("contree: no libcurl", 2) end
    local fault = assert(load_text("local f = ... return function() f() end", source))(lacks)
    local thing = require("contree.base.class").define("spec.Thing", { fail = fault })({})
    local ok, err = pcall(thing.fail, thing)
    assert.is_false(ok)
    assert.is_true(errors.is(err, "not_supported"), tostring(err))
    assert.are.equal("no libcurl", err.message)
  end)

  -- A finaliser once damaged the heap of timers: it added a timer while another was being added.
  it("does not come of a stream that is collected at a bad moment", function()
    local server = fake.start()
    server:rules(fake.run{ events = { fake.stream({ fake.frame(0, "init", 0, {}), 5 }) } })
    local image = contree.new{ url = server.url, token = "t" }.images:use(fake.IMAGE)
    local timers = require("contree.loop.timers")
    local add, struck = timers.add, 0
    -- Each addition of a timer is interrupted by a garbage collection.
    timers.add = function(self, at_time, fn, value)
      self.size = self.size + 1
      local before = self.size
      collectgarbage()
      collectgarbage()
      if self.size ~= before then struck = struck + 1 end
      self.size = self.size - 1
      return add(self, at_time, fn, value)
    end
    local ok, err = pcall(function()
      for _ = 1, 3 do
        image:start("x"):events()()
        contree.sleep(0.001)
      end
    end)
    timers.add = add
    server:stop()
    assert.is_true(ok, tostring(err))
    assert.are.equal(0, struck)
  end)
end)
