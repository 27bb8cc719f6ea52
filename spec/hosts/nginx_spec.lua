-- contree in nginx with the Lua module, as in OpenResty.
local disk = require("spec.support.disk")
local fake = require("spec.support.fake")
local host = require("spec.support.host")
local home = require("spec.support.home")
local nginx = require("spec.support.nginx")

-- A module for the handlers of all specs.
local APP = [[
  local contree = require("contree")
  local app = { contree = contree, image = contree.new().images:use("busybox:latest") }

  function app.check()
    require("spec.support.any_host")(contree, app.image, { blocking = false })
  end

  -- The error of a run as text.
  function app.failure()
    local ok, err = pcall(app.image.run, app.image, "true")
    return ok and "nothing" or tostring(err)
  end

  -- Counts the tasks that were not collected yet.
  local seen = setmetatable({}, { __mode = "k" })
  local spawn = contree.spawn
  function contree.spawn(...)
    local task = spawn(...)
    seen[task] = true
    return task
  end

  function app.remembered()
    collectgarbage() collectgarbage()
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    return count, collectgarbage("count")
  end

  function app.globals()
    local names = {}
    for name in pairs(_G) do names[#names + 1] = tostring(name) end
    table.sort(names)
    return table.concat(names, " ")
  end

  return app
]]

describe("in nginx", function()
  local place, server

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  -- Starts nginx with these directives in http { }, or with just these locations.
  local function start(http)
    if not http:find("listen", 1, true) then http = "server { listen SOCKET; " .. http .. "}" end
    local directory = nginx.directory()
    disk.write(directory .. "/app.lua", APP)
    server = nginx.start(directory, http, { CONTREE_URL = place.url })
    return server
  end

  local function answers(body, path)
    local status, got = server:get(path)
    assert.are.same({ 200, body }, { status, got })
  end

  it("is recognised", function()
    start[[
      location = / { content_by_lua_block { ngx.print(require("contree").host()) } }
      location = /step { content_by_lua_block {
        ngx.print(tostring(select(2, pcall(require("contree").step))))
      } }
    ]]
    answers("nginx", "/")
    assert.matches("nginx does that", (select(2, server:get("/step"))))
  end)

  it("lets other threads go on between answers that come at once", function()
    start[[
      location = / { content_by_lua_block {
        local over, turns = false, 0
        local ticker = ngx.thread.spawn(function()
          while not over do
            turns = turns + 1
            ngx.sleep(0.001)
          end
        end)
        local op = require("app").image:start{ shell = "sleep 600" }
        op:usage()
        local before = turns
        for _ = 1, 200 do op:usage() end
        over = true
        ngx.thread.wait(ticker)
        op:cancel()
        ngx.print(turns - before >= 4 and "several" or turns - before) -- 0 if it held the loop
      } }
    ]]
    answers("several", "/")
  end)

  it("D2: lets no program that it starts inherit a descriptor", function()
    start("location = / { content_by_lua_block {\n"
      .. "local contree, image = require('app').contree, require('app').image\n"
      .. place:inherited() .. "ngx.print('none') } }")
    answers("none", "/")
  end)

  it("keeps the rules in requests, threads, tasks and timers", function()
    start[[
      location = /request { content_by_lua_block {
        require("app").check()
        ngx.print("request")
      } }
      location = /thread { content_by_lua_block {
        local ok, err = ngx.thread.wait(ngx.thread.spawn(require("app").check))
        ngx.print(ok and "thread" or tostring(err))
      } }
      location = /task { content_by_lua_block {
        local app = require("app")
        app.contree.async(app.check)
        ngx.print("task")
      } }
      location = /timer { content_by_lua_block {
        ngx.timer.at(0, function()
          require("app").check()
          ngx.log(ngx.NOTICE, "the timer is done")
        end)
      } }
    ]]
    for _, where in ipairs{ "request", "thread", "task" } do answers(where, "/" .. where) end
    server:get("/timer")
    server:logged("the timer is done")
    assert.is_nil(server:log():find("[error]", 1, true))
  end)

  it("waits in every phase that can be suspended", function()
    start[[
      location / {
        rewrite_by_lua_block { ngx.ctx.out = require("app").image:run("printf rewrite,").stdout }
        access_by_lua_block {
          ngx.ctx.out = ngx.ctx.out .. require("app").image:run("printf access,").stdout
        }
        content_by_lua_block {
          ngx.print(ngx.ctx.out, require("app").image:run("printf content").stdout)
        }
      }
    ]]
    answers("rewrite,access,content", "/")
  end)

  it("says so in a phase that cannot wait", function()
    start[[
      init_worker_by_lua_block {
        ngx.log(ngx.NOTICE, "init_worker: ", require("app").failure())
      }
      server {
        listen SOCKET;
        location / {
          set_by_lua_block $said {
            return require("app").failure()
          }
          content_by_lua_block { ngx.say(ngx.var.said) }
          header_filter_by_lua_block {
            ngx.header.said = require("app").failure()
          }
          log_by_lua_block {
            ngx.log(ngx.NOTICE, "log: ", require("app").failure())
          }
        }
      }
    ]]
    local status, body, headers = server:get("/")
    assert.are.equal(200, status)
    assert.matches("can wait in set_by_lua", body)
    assert.matches("can wait in header_filter_by_lua", headers.said)
    for _, phase in ipairs{ "init_worker", "log" } do
      server:logged((phase .. ": .*contree: .*can wait in " .. phase .. "_by_lua.*ngx.timer.at")
        :gsub("%.%*", "[^\n]*"))
    end
  end)

  it("starts tasks from phases that cannot wait", function()
    start[[
      location / {
        content_by_lua_block { ngx.print("ok") }
        log_by_lua_block {
          local app = require("app")
          app.contree.spawn(function()
            ngx.log(ngx.NOTICE, "later: ", app.image:run("printf here").stdout)
          end)
        }
      }
    ]]
    answers("ok", "/")
    server:logged("later: here")
  end)

  it("D1: logs a failed task at once, with its request", function()
    start[[
      location = /lost { content_by_lua_block {
        local contree = require("contree")
        require("app").kept = contree.spawn(function() error("mine", 0) end)
        ngx.print("served")
      } }
      location = /exit { content_by_lua_block {
        local contree = require("contree")
        contree.spawn(function() ngx.exit(204) end) -- runs after the next one
        contree.spawn(function() error("yours", 0) end)
      } }
      location = /waited { content_by_lua_block {
        local contree = require("contree")
        local task = contree.spawn(function() error("ours", 0) end)
        ngx.print(select(2, pcall(task.wait, task)))
      } }
      location = /timer { content_by_lua_block {
        ngx.timer.at(0, function() require("contree").spawn(function() error("theirs", 0) end) end)
      } }
    ]]
    answers("served", "/lost?a")
    local function logged(request, words)
      server:logged(("nobody waited for it %%(it was started at [^\n]*%s[^\n]*%%): %s")
        :format(request, words))
    end
    logged(", for GET /lost%?a ", "mine")
    assert.are.equal(204, (server:get("/exit?b")))
    logged(", for GET /exit%?b ", "yours")
    server:get("/timer")
    logged("", "theirs")
    answers("ours", "/waited")
    assert.is_nil(server:log():find("): ours", 1, true))
  end)

  it("serves others while 200 requests wait", function()
    start[[
      location = /plain { return 200 plain; }
      location = /run { content_by_lua_block {
        ngx.print(require("app").image:run("sleep 0.2; printf " .. ngx.var.arg_n).stdout)
      } }
    ]]
    local requests = {}
    for n = 1, 200 do requests[n] = server:request("/run?n=" .. n) end
    answers("plain", "/plain")
    assert.is_false(requests[200]:done())
    for n = 1, 200 do
      local status, body = requests[n]:wait()
      assert.are.same({ 200, tostring(n) }, { status, body })
    end
  end)

  it("serves others between those whose runs end together", function()
    start[[
      location = /run { content_by_lua_block {
        ngx.print(require("app").image:run("sleep 0.3").exit_code)
      } }
      location = /stall { content_by_lua_block {
        local now = require("contree.core").now
        local till = now() + 1
        while now() < till do end
        ngx.print("late")
      } }
    ]]
    local requests = {}
    for n = 1, 40 do requests[n] = server:request("/run") end
    answers("late", "/stall")
    for n = 1, 40 do assert.are.equal("0", (select(2, requests[n]:wait()))) end
    -- Without OpenResty's patches ngx.sleep(0) does not yield, and logs a warning.
    assert.is_nil(server:log():match("%[warn%][^\n]*"))
  end)

  it("shares a task between requests", function()
    start[[
      location = /start { content_by_lua_block {
        local app = require("app")
        app.running = app.image:start{ shell = "sleep 0.3; printf shared", detach = true }
      } }
      location = /wait { content_by_lua_block { ngx.print(require("app").running:wait().stdout) } }
    ]]
    server:get("/start")
    local requests = {}
    for n = 1, 5 do requests[n] = server:request("/wait") end
    for n = 1, 5 do assert.are.equal("shared", (select(2, requests[n]:wait()))) end
  end)

  it("lets contree.async wait for its own tasks only", function()
    start[[
      location = /long { content_by_lua_block {
        local contree = require("contree")
        contree.spawn(function() contree.sleep(50) end):wait()
      } }
      location = /failing { content_by_lua_block {
        local contree = require("contree")
        local child
        local ok, err = pcall(contree.async, function()
          child = contree.spawn(function() contree.sleep(30) end)
          contree.sleep(0.05)
          error("mine", 0)
        end)
        ngx.print(err, " ", child.status)
      } }
    ]]
    local long = server:request("/long")
    answers("mine cancelled", "/failing")
    assert.is_false(long:done())
    long:cancel()
  end)

  describe("when a client hangs up", function()
    local function state() return (select(2, server:get("/state"))) end

    before_each(function()
      start[[
        lua_check_client_abort on;
        location = /state { content_by_lua_block { ngx.print((require("app").remembered())) } }
        location = /held { content_by_lua_block { require("app").image:run("exec sleep 517317") } }
        location = /live { content_by_lua_block {
          require("app").image:run{ shell = "echo here; exec sleep 517317", stdout = function(chunk)
            ngx.print(chunk)
            ngx.flush(true)
          end }
        } }
        location = /tasks { content_by_lua_block {
          local app = require("app")
          local list = {}
          for i = 1, 3 do
            list[i] = app.contree.spawn(function()
              app.image:run{ shell = "exec sleep 517317", stdout = function() end }
            end)
          end
          app.contree.gather(list)
        } }
        location = /caught { content_by_lua_block {
          local app = require("app")
          local task = app.contree.spawn(function() app.image:run("exec sleep 517317") end)
          ngx.on_abort(function() task:cancel() end)
          local ok, err = pcall(task.wait, task)
          ngx.log(ngx.NOTICE, "caught: ", tostring(err))
        } }
        location = /callback { content_by_lua_block {
          require("app").image:run{ shell = "echo here; exec sleep 517317", stdout = function()
            ngx.log(ngx.NOTICE, "in the callback")
            ngx.sleep(50)
          end }
        } }
        location = /kill { content_by_lua_block {
          local app = require("app")
          local thread = ngx.thread.spawn(app.image.run, app.image, "exec sleep 517317")
          while not app.kill do ngx.sleep(0.02) end
          ngx.thread.kill(thread)
          ngx.print("killed")
        } }
        location = /kill/now { content_by_lua_block { require("app").kill = true } }
        location = /output { content_by_lua_block {
          local operation = require("app").image:start("echo here; exec sleep 517317")
          for chunk in operation:output() do
            ngx.print(chunk)
            ngx.flush(true)
          end
        } }
        location = /lines { content_by_lua_block {
          local process = require("app").image:popen("echo here; exec sleep 517317",
            { shell = true })
          for line in process:lines() do
            ngx.say(line)
            ngx.flush(true)
          end
        } }
        location = /started { content_by_lua_block {
          local app = require("app")
          app.started = app.contree.spawn(function()
            return app.image:start("exec sleep 517317")
          end):wait()
          ngx.sleep(50)
        } }
        location = /left { content_by_lua_block {
          local app = require("app")
          app.left = app.image:start("exec sleep 517317")
          ngx.print(app.left.uuid)
        } }
        location = /handed { content_by_lua_block {
          local app = require("app")
          local operation = app.contree.spawn(function()
            return app.image:start("sleep 1.5; printf here")
          end):wait()
          ngx.sleep(0.5)
          ngx.print(operation:wait().stdout)
        } }
        location = /detached { content_by_lua_block {
          local app = require("app")
          app.detached = app.image:start{ shell = "sleep 1.5; printf here", detach = true }
        } }
        location = /detached/wait { content_by_lua_block {
          ngx.print(require("app").detached:wait().stdout)
        } }
        location = /exit { content_by_lua_block {
          local app = require("app")
          app.contree.spawn(function() app.image:run("exec sleep 517317") end)
          ngx.sleep(0.3)
          ngx.exit(204)
        } }
      ]]
    end)

    -- Waits until this many of those commands run.
    local function wait_for_runs(count)
      nginx.wait_until(count .. " commands", function()
        return tonumber(disk.capture("pgrep -fcx 'sleep 517317'")) == count
      end)
    end

    for path, runs in pairs{ ["/held"] = 1, ["/live"] = 1, ["/tasks"] = 3, ["/caught"] = 1 } do
      it("cancels what was run for it: " .. path, function()
        local request = server:request(path)
        wait_for_runs(runs)
        request:cancel()
        assert.are.equal(0, place:running())
        wait_for_runs(0)
        assert.are.equal("0", state())
        if path == "/caught" then server:logged("caught: [^\n]*contree: the task was cancelled") end
        assert.is_nil(server:log():find("[error]", 1, true))
      end)
    end

    for _, path in ipairs{ "/output", "/lines", "/started" } do
      it("D4: cancels what was started for it, and is not waited for: " .. path, function()
        local requests = {}
        for i = 1, 3 do requests[i] = server:request(path) end
        wait_for_runs(3)
        for _, request in ipairs(requests) do request:cancel() end
        wait_for_runs(0)
        assert.are.equal(0, place:running())
        assert.are.equal("0", state())
        assert.is_nil(server:log():find("[error]", 1, true))
      end)
    end

    it("D4: cancels what a request has left behind that ended well", function()
      local status, uuid = server:get("/left")
      assert.are.equal(200, status)
      assert.are.equal(0, place:running())
      assert.are.equal("CANCELLED", (place.client.operations:get(uuid):status()))
    end)

    it("D4: leaves alone what a task has handed to its request, and what is detached", function()
      answers("here", "/handed")
      assert.are.equal(200, (server:get("/detached")))
      answers("here", "/detached/wait")
      assert.is_nil(server:log():find("[error]", 1, true))
    end)

    it("cancels what was run for it while it was in a callback", function()
      local request = server:request("/callback")
      wait_for_runs(1)
      server:logged("in the callback")
      request:cancel()
      wait_for_runs(0)
      assert.are.equal("0", state())
    end)

    it("cancels what a killed thread waited for, while its request goes on", function()
      local request = server:request("/kill")
      wait_for_runs(1)
      server:get("/kill/now")
      assert.are.equal("killed", (select(2, request:wait())))
      wait_for_runs(0)
      assert.are.equal("0", state())
    end)

    it("cancels what a request leaves behind by ngx.exit, too", function()
      assert.are.equal(204, (server:get("/exit")))
      wait_for_runs(0)
      assert.are.equal("0", state())
    end)
  end)

  it("cancels what a slow server says it has started for a client that has left", function()
    local slow = fake.start()
    finally(function() slow:stop() end)
    local rules = fake.run{ spawned = { status = 201, json = { uuid = "op-1" }, delay = 1 } }
    slow:rules(rules)
    start(([[
      lua_check_client_abort on;
      location / { content_by_lua_block {
        local client = require("contree").new{ url = "%s", token = false }
        client.images:use("x:y"):run("true")
      } }
    ]]):format(slow.url))
    local request = server:request("/")
    local function asked(what) return table.concat(slow:asked(), ","):find(what, 1, true) end
    nginx.wait_until("the spawn", function() return asked("POST /v1/instances") end)
    request:cancel()
    nginx.wait_until("the cancellation", function() return asked("DELETE /v1/operations/op-1") end)
  end)

  it("leaves nothing of a request in the worker", function()
    start[[
      location = /globals { content_by_lua_block { ngx.print(require("app").globals()) } }
      location = /memory { content_by_lua_block {
        ngx.print((select(2, require("app").remembered())))
      } }
      location = /state { content_by_lua_block { ngx.print((require("app").remembered())) } }
      location = /run { content_by_lua_block {
        local app = require("app")
        local task = app.contree.spawn(function() return app.image:run("true") end)
        pcall(app.image.run, app.image, { shell = "exit 1", check = true })
        task:wait()
      } }
    ]]
    local function some(count)
      for _ = 1, count / 10 do
        local requests = {}
        for n = 1, 10 do requests[n] = server:request("/run") end
        for n = 1, 10 do requests[n]:wait() end
      end
    end
    local _, before = server:get("/globals")
    some(100)
    local _, early = server:get("/memory")
    some(200)
    local _, late = server:get("/memory")
    assert.is_true(late - early < 100, ("%.0f KiB more after 200 requests"):format(late - early))
    answers(before, "/globals")
    answers("0", "/state")
    assert.is_nil(server:log():find("global Lua variable", 1, true))
  end)

  it("serves on through a reload, and brings old requests to their end", function()
    start[[
      location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
      location = /run { content_by_lua_block {
        ngx.print(require("app").image:run("sleep 1; printf done").stdout)
      } }
    ]]
    local _, before = server:get("/pid")
    local request = server:request("/run")
    server:get("/pid")
    server:signal("HUP")
    server:logged("gracefully shutting down")
    local status, body = request:wait()
    assert.are.same({ 200, "done" }, { status, body })
    answers("done", "/run")
    local _, after = server:get("/pid")
    assert.are_not.equal(before, after)
    server:logged("worker process " .. before .. " exited with code 0")
  end)

  it("lets nginx quit when the last request has ended", function()
    start[[
      location = /nothing { return 204; }
      location = /run { content_by_lua_block {
        ngx.print(require("app").image:run("sleep 1; printf done").stdout)
      } }
    ]]
    local request = server:request("/run")
    server:get("/nothing")
    server:signal("QUIT")
    local status, body = request:wait()
    assert.are.same({ 200, "done" }, { status, body })
    assert.are.equal(0, server:ended())
  end)

  it("starts the engine that it needs", function()
    local directory = disk.directory()
    finally(function()
      home.stop_engine(directory .. "/data")
      os.execute("rm -rf " .. directory)
    end)
    start(([[
      location / { content_by_lua_block {
        local client = require("contree").new{
          engine = { data_dir = "%s/data", socket = "%s/engine.sock" } }
        local started = ngx.now()
        ngx.print(client.images:use("busybox:latest"):run("printf started").stdout)
        ngx.update_time()
        ngx.log(ngx.NOTICE, "it took ", ngx.now() - started, " s")
      } }
    ]]):format(directory, directory))
    answers("started", "/")
    answers("started", "/")
    assert.is_nil(server:log():find("[alert]", 1, true))
    assert.is_nil(server:log():find("[error]", 1, true))
  end)

  it("can be loaded by the master process", function()
    start[[
      init_by_lua_block { require("contree").host("nginx", {}) require("app") }
      server {
        listen SOCKET;
        location / { content_by_lua_block {
          ngx.print(require("app").image:run("printf ok").stdout)
        } }
      }
    ]]
    answers("ok", "/")
  end)

  describe("with a thread pool", function()
    local WAITING = [[
      init_worker_by_lua_block { require("contree").host("nginx", { thread_pool = "%s" }) }
      server {
        listen SOCKET;
        location / { content_by_lua_block {
          require("app").check()
          ngx.print("ok")
        } }
      }
    ]]

    it("waits in one of its threads", function()
      start(WAITING:format("spec"))
      answers("ok", "/")
      assert.is_nil(server:log():find("[error]", 1, true))
    end)

    it("goes on without when there is none of that name", function()
      start(WAITING:format("missing"))
      answers("ok", "/")
      server:logged("thread pool missing: [^\n]*going on with timers")
    end)

    it("refuses unknown options", function()
      start[[
        location / { content_by_lua_block {
          ngx.print(tostring(select(2, pcall(require("contree").host, "nginx", { pool = "x" }))))
        } }
      ]]
      assert.matches('option "pool"', (select(2, server:get("/"))))
    end)
  end)
end)
