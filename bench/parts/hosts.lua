-- What contree costs its hosts. How late is a 10 ms timer of the host while 50 runs stream,
-- compared with a ticker in another process? How much longer is the frame of a game? How
-- much slower are the other requests of an nginx worker?
-- Usage: bench/hosts [nvim|luv|cqueues|plain|love|nginx...]
local core = require("contree.core")
local disk = require("spec.support.disk")
local host = require("spec.support.host")
local love = require("spec.support.love")
local nginx = require("spec.support.nginx")
local percentiles = require("bench.lib.percentiles")

local wanted = {}
for _, name in ipairs(arg) do wanted[name] = true end
local function asked_for(name) return next(wanted) == nil or wanted[name] end

local place = host.place()
local bin = host.root .. "/build/peers/"

local function numbers(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do
    list[#list + 1] = assert(tonumber(line), text)
  end
  return list
end

local function head(what) print("\n" .. percentiles.head(what .. ", ms")) end

local function row(...) print(percentiles.row(...)) end

-- Timers -------------------------------------------------------------------

local PREAMBLE = [[
  pcall(require, LIBRARY)
  local contree = require("contree")
  local core = require("contree.core")
  local image = contree.new().images:use("busybox:latest")
  local load = require("bench.lib.load")
  local clock = load.clock(core.now)
  image:run("true")
]]

-- Each calls clock.tick() every 10 ms, and ends when the load has ended.
local TIMERS = {
  { "nvim", "luajit", "nvim --headless -u NONE -i NONE -n -c 'luafile %s' -c 'qa!'", [[
    local buffer = vim.api.nvim_create_buf(false, true)
    local done
    vim.loop.new_timer():start(10, 10, clock.tick)
    load.start(contree, image, function(text)
      vim.api.nvim_buf_set_lines(buffer, -1, -1, false, vim.split(text, "\n", { trimempty = true }))
    end, function() done = true end)
    assert(vim.wait(120000, function() return done end, 5))
    clock.print()
  ]] },
  { "luv", "lua5.4", "lua5.4 %s", [[
    local uv = require("luv")
    local timer = uv.new_timer()
    timer:start(10, 10, clock.tick)
    load.start(contree, image, function() end, function() timer:close() end)
    uv.run()
    clock.print()
  ]] },
  { "cqueues", "lua5.4", "lua5.4 %s", [[
    local cqueues = require("cqueues")
    local controller = cqueues.new()
    local done
    controller:wrap(function()
      load.start(contree, image, function() end, function() done = true end)
      while not done do
        clock.tick()
        cqueues.sleep(0.01)
      end
    end)
    assert(controller:loop())
    clock.print()
  ]] },
  { "plain", "lua5.4", "lua5.4 %s", [[
    contree.async(function()
      local done
      load.start(contree, image, function() end, function() done = true end)
      while not done do
        clock.tick()
        contree.sleep(0.01)
      end
    end)
    clock.print()
  ]] },
}

-- Runs a host's command beside the ticker.
local BESIDE = "%sticker >%s/control & control=$!; %s; code=$?; kill $control; wait; exit $code"

local function timers()
  head("gap of a 10 ms timer")
  for _, one in ipairs(TIMERS) do
    local name, lua, command, code = one[1], one[2], one[3], one[4]
    if asked_for(name) then
      local script = place:write(name .. ".lua",
        ("local LIBRARY = %q\n"):format(name) .. PREAMBLE .. code)
      local output, status = place:run(lua,
        BESIDE:format(bin, place.directory, command:format(script)))
      assert(status == 0, output)
      row(name, numbers(output))
      row("  beside it: control", numbers(disk.read(place.directory .. "/control")))
    end
  end
end

-- Frames -------------------------------------------------------------------

local GAME = [[
  local contree = require("contree")
  local core = require("contree.core")
  local image = contree.new().images:use("busybox:latest")
  local load = require("bench.lib.load")
  local costs, part, frame, busy = {}, "idle", 0, false

  function love.load() image:run("true") end

  local function begin(name, fn)
    part, busy = name, true
    fn()
  end

  local function one_a_frame()
    local left = 300
    contree.spawn(function()
      for _ = 1, left do image:run("true") end
      busy = false
    end)
  end

  local function fifty()
    load.ROUNDS = 4
    load.start(contree, image, function() end, function() busy = false end)
  end

  local parts = { { "50 runs stream", fifty }, { "short runs, one after the other", one_a_frame } }

  function love.update()
    local begun = core.now()
    contree.step()
    costs[part] = costs[part] or {}
    table.insert(costs[part], (core.now() - begun) * 1000)
    frame = frame + 1
    if frame < 300 or busy then return end
    local next_part = table.remove(parts, 1)
    if next_part then return begin(next_part[1], next_part[2]) end
    for name, list in pairs(costs) do
      for _, cost in ipairs(list) do io.write(name, "\t", ("%.4f\n"):format(cost)) end
    end
    love.event.quit()
  end

  function love.run()
    love.load()
    return function()
      love.event.pump()
      for name, code in love.event.poll() do
        if name == "quit" then return code or 0 end
      end
      love.update()
      love.timer.sleep(1 / 60)
    end
  end
]]

local function frames()
  if not asked_for("love") then return end
  local output, status = love.play_main(place, GAME)
  assert(status == 0, output)
  head("LÖVE: contree.step()")
  for _, part in ipairs{ "idle", "50 runs stream", "short runs, one after the other" } do
    local list = {}
    for name, cost in output:gmatch("([^\t\n]+)\t([%d.]+)\n") do
      if name == part then list[#list + 1] = tonumber(cost) end
    end
    row(part:sub(1, 24), list)
  end
end

-- nginx --------------------------------------------------------------------

local HTTP = [[
  server {
    listen SOCKET backlog=4096;
    keepalive_requests 1000000;
    location = /static { return 204; }
    location = /run { content_by_lua_block {
      local app = require("app")
      local result = app.image:run(ngx.req.get_uri_args().shell)
      ngx.print(result.exit_code)
    } }
  }
]]
local APP = [[
  return { image = require("contree").new().images:use("busybox:latest") }
]]
local CONCURRENT, GETS = 200, 1500

-- Measures the static location while CONCURRENT requests are in flight; `begin` sends one.
local function beside(server, begin)
  local out = place.directory .. "/static"
  os.execute(("{ %sget %s/http.sock /static %d >%s; echo >%s.done; } &"):format(bin,
    server.directory, GETS, out, out))
  local jobs, times, over = {}, {}, not begin
  local function done()
    local file = io.open(out .. ".done")
    if file then file:close() end
    return file ~= nil
  end
  if begin then
    nginx.wait_until("the static requests", function()
      for n = 1, CONCURRENT do
        local job = jobs[n]
        if job and job.request:done() then
          times[#times + 1] = (core.now() - job.begun) * 1000
          job.request:wait()
          job = nil
        end
        if not job and not over then job = { request = begin(), begun = core.now() } end
        jobs[n] = job
      end
      over = over or done()
      return over and next(jobs) == nil
    end)
  else
    nginx.wait_until("the static requests", done)
  end
  os.remove(out .. ".done")
  local gets = numbers(disk.read(out))
  assert(#gets == GETS, "the static location did not answer")
  return gets, times
end

local function web(name, init)
  if not asked_for("nginx") then return end
  local directory = nginx.directory()
  disk.write(directory .. "/app.lua", APP)
  local server = nginx.start(directory, init .. HTTP, { CONTREE_URL = place.url })
  local direct = nginx.at(place.socket)
  server:get("/run?shell=true")

  head("nginx, " .. name)
  row("static, idle", beside(server), 0.001)
  for _, shell in ipairs{ "sleep 4", "sleep 1", "true" } do
    local static, runs = beside(server, function()
      return server:request("/run?shell=" .. shell:gsub(" ", "%%20"))
    end)
    row(("static, 200 x %s"):format(shell), static, 0.001)
    local control, peers = beside(server, function()
      return direct:request("/v1/instances", ('{"image":"tag:busybox:latest","shell":true,'
        .. '"disposable":true,"command":"%s"}'):format(shell),
        { "Content-Type: application/json", "Prefer: wait=20" })
    end)
    row("  control: no nginx", control, 0.001)
    row(("request, 200 x %s"):format(shell), runs)
    row("  control: no nginx", peers)
  end
  server:stop()
end

timers()
frames()
web("timers", "")
web("thread pool", [[
  init_worker_by_lua_block { require("contree").host("nginx", { thread_pool = "spec" }) }
]])
place:stop()
