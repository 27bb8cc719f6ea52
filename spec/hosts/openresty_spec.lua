-- docs/use/hosts/openresty.md: all its blocks together are one nginx with two workers, and do
-- what the page says of them.
local disk = require("spec.support.disk")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")

local PAGE = disk.read(host.root .. "/docs/use/hosts/openresty.md")

-- Where the blocks belong that are no location: what they begin with.
local MAIN = { "^env ", "^thread_pool " }
local HTTP = { "^lua_package_path", "^lua_check_client_abort", "^limit_", "^init_by_lua_block",
  "^init_worker_by_lua_block" }

local function begins(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
end

local function blocks(language)
  local list = {}
  for text in PAGE:gmatch("```" .. language .. "\n(.-)```") do list[#list + 1] = text end
  return list
end

describe("the page of OpenResty", function()
  local place, server

  -- The page's names for what is elsewhere here.
  local function settle(text)
    return (text:gsub("unix:/run/contree/engine%.sock", place.url)
      :gsub("/var/lib/app", place.directory))
  end

  setup(function()
    place = host.place()
    local directory = nginx.directory()
    os.execute("mkdir " .. directory .. "/lua")
    local main, http, locations = {}, {}, {}
    for _, text in ipairs(blocks("nginx")) do
      local list = text:find("^location ") and locations or begins(text, MAIN) and main
        or begins(text, HTTP) and http
      assert(list, "it is not known where this block belongs:\n" .. text)
      list[#list + 1] = settle(text)
    end
    for _, text in ipairs(blocks("lua")) do
      local name = assert(text:match("^%-%- lua/(%w+%.lua)\n"), "which file is this?\n" .. text)
      disk.write(directory .. "/lua/" .. name, settle(text))
    end
    assert(#main == 2 and #http == 5 and #locations == 7)
    server = nginx.start(directory, table.concat(http, "\n") .. "server { listen SOCKET;\n"
      .. table.concat(locations, "\n") .. [[
        header_filter_by_lua_block { ngx.header.worker = ngx.worker.id() }
        location = /busy { content_by_lua_block {
          ngx.log(ngx.NOTICE, "busy ", ngx.var.arg_n, " begins")
          os.execute("sleep 0.3")
        } }
        location = /forget { content_by_lua_block {
          require("users").forget(-1)
          ngx.print(#require("contree").sessions("]] .. place.directory .. [[/sessions.db"):list())
        } }
      }]], { CONTREE_URL = place.url }, { workers = 2, main = table.concat(main, "\n") })
  end)
  teardown(function()
    if server then server:stop() end
    place:stop()
  end)

  local function answers(text, path, body)
    local status, got, headers = server:get(path, body)
    assert.are.same({ 200, text }, { status, got })
    return headers
  end

  it("begins with a handler", function()
    answers("hello\n", "/hello")
  end)

  it("has a timer of one worker that finds its image", function()
    assert.is_nil(server:log():find("no image to run in", 1, true))
  end)

  it("says how to catch what is raised", function()
    answers("here\n", "/raising?image=busybox:latest")
    assert.are.equal(500, (server:get("/raising?image=no:such")))
    server:logged("no:such: no image has the tag 'no:such' %[404%]")
    assert.is_nil(server:log():find("unknown reason", 1, true))
  end)

  it("answers 429 by limits of nginx", function()
    local requests, statuses = {}, {}
    for i = 1, 12 do requests[i] = server:request("/run?code=sleep%202") end
    for i = 1, 12 do
      local status = requests[i]:wait()
      statuses[status] = (statuses[status] or 0) + 1
    end
    assert.is_true((statuses[429] or 0) >= 4, "12 at once from one address")
    assert.are.equal(12, statuses[200] + statuses[429])
    assert.are.equal("3", answers("x\n", "/run?code=echo%20x%3B%20exit%203")["exit-code"])
  end)

  it("streams as its transcript says", function()
    local status, body, headers = server:get("/stream")
    assert.are.equal(200, status)
    assert.are.equal("text/event-stream", headers["content-type"])
    local transcript = PAGE:match("\n    %$ curl %-N [^\n]*\n(    .-)\n\n%- ")
    local at, count = 1, 0
    for line in transcript:gmatch("[^\n]+") do
      local text = line:gsub("^    ", "")
      if text ~= "…" then
        local pattern = text:gsub("%p", "%%%0"):gsub("\226?%%?…", ".-")
        local from, to = body:find(pattern, at)
        assert.is_truthy(from, ("%q comes after byte %d of\n%s"):format(text, at, body))
        at, count = to, count + 1
      end
    end
    assert.are.equal(7, count)
    server:logged("it ended with 0")
  end)

  it("cancels for a client that has left", function()
    local request = server:request("/cancel")
    nginx.wait_until("the run", function()
      return #place.client.operations:list{ status = "EXECUTING" } == 1
    end)
    request:cancel()
    server:logged("the client has left")
    assert.are.equal(0, place:running())
  end)

  it("hands large bodies on", function()
    answers("3\n", "/count", "abc")
    answers("3000000\n", "/count", ("x"):rep(3000000))
  end)

  it("shares sessions between workers", function()
    local function run(code)
      return server:request("/session?user=ann&code=" .. code, nil, { "Connection: close" })
    end
    local kept, workers = 0, {}
    local function count(request)
      local status, _, headers = request:wait()
      assert.is_true(status == 200 or status == 409, status)
      if status == 200 then
        kept = kept + 1
        workers[headers.worker] = true
      end
    end
    -- While one worker is busy, the other one serves.
    local n = 0
    repeat
      n = n + 1
      local busy = server:request("/busy?n=" .. n, nil, { "Connection: close" })
      server:logged("busy " .. n .. " begins")
      count(run("echo%20.%20%3E%3E%20/n"))
      busy:wait()
    until workers["0"] and workers["1"]
    local requests = {}
    for i = 1, 10 do requests[i] = run("echo%20.%20%3E%3E%20/n") end
    for i = 1, 10 do count(requests[i]) end
    answers(kept .. "\n", "/session?user=ann&code=wc%20-l%20%3C%20/n")
    assert.are.equal("0", (select(2, server:get("/forget"))))
  end)

  it("has a line for cron", function()
    local command = PAGE:match("\n    17 4 %* %* %*  contree  contree%-engine ([^\n]+)")
    command = command:gsub("/var/lib/contree", place.directory .. "/data")
    local output, code = host.run("luajit", "$CONTREE_ENGINE " .. command .. " --dry-run",
      { CONTREE_ENGINE = os.getenv("CONTREE_ENGINE") or "contree-engine" })
    assert.are.equal(0, code, output)
    assert.matches("would remove", output)
  end)
end)
