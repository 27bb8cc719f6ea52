-- require("resty.contree"): what handlers of OpenResty have beside contree.safe.
local cjson = require("cjson")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")

local HTTP = [[
  server {
    listen SOCKET;
    location = /stream { content_by_lua_block {
      local contree = require("resty.contree")
      local image = contree.new().images:use(ngx.var.arg_image or "busybox:latest")
      ngx.req.read_body()
      local result, err = contree.stream(image, {
        shell = ngx.req.get_body_data(), queue_timeout = 0.2, timeout = 60 })
      if err then return contree.fail(err) end
    } }
    location = /misuse { content_by_lua_block {
      local contree = require("resty.contree")
      contree.stream(contree.new().images:use("busybox:latest"), { shel = "true" })
    } }
    location = /typo { content_by_lua_block {
      local contree = require("resty.contree")
      local image = contree.new().images:use("busybox:latest")
      if ngx.var.arg_what == "option" then image:run{ shell = "true", quue_timeout = 2 } end
      if ngx.var.arg_what == "method" then image:rnu("true") end
      ngx.say(image:run("true").stdot)
    } }
    location = /events { content_by_lua_block {
      local contree = require("resty.contree")
      local seen = {}
      local result = contree.stream(contree.new().images:use("busybox:latest"):session(), {
        shell = "echo x > /new", on_event = function(event) seen[event.type] = true end })
      ngx.log(ngx.NOTICE, "seen: ", tostring(seen.exit), " ", tostring(result.changed))
    } }
    location = /silence { content_by_lua_block {
      local contree = require("resty.contree")
      local usual = contree.silence
      contree.silence = 0.05
      contree.stream(contree.new().images:use("busybox:latest"), "sleep 1; echo over")
      contree.silence = usual
    } }
    location = /fail { content_by_lua_block {
      local contree = require("resty.contree")
      contree.fail({ kind = "mine", message = "secret" })
    } }
    location = /half { content_by_lua_block {
      ngx.print("half")
      ngx.flush(true)
      local contree = require("resty.contree")
      contree.fail(select(2, contree.new():session{}))
    } }
    location = /raise { content_by_lua_block {
      local ok, err = require("contree").new().images:use("no:such"):run("true")
    } }
  }
]]

describe("resty.contree", function()
  local place, server

  setup(function()
    place = host.place()
    server = nginx.start(nginx.directory(), HTTP, { CONTREE_URL = place.url })
  end)
  teardown(function()
    if server then server:stop() end
    place:stop()
  end)

  -- The events of a stream: { id, name, value }
  local function events(body)
    local list = {}
    for id, name, data in body:gmatch("id: (%d+)\nevent: (%w+)\ndata: ([^\n]*)\n\n") do
      list[#list + 1] = { tonumber(id), name, cjson.decode(data) }
    end
    return list
  end

  local function stream(code, image)
    local query = image and "?image=" .. image or ""
    local status, body, headers = server:get("/stream" .. query, code)
    return events(body), status, headers, body
  end

  -- What one stream carried.
  local function carried(list, name)
    local text = {}
    for _, event in ipairs(list) do
      if event[2] == name then text[#text + 1] = event[3] end
    end
    return table.concat(text), #text
  end

  it("streams both outputs and the end, numbered", function()
    local list, status, headers = stream("echo out; echo err >&2; exit 3")
    assert.are.equal(200, status)
    assert.are.equal("text/event-stream", headers["content-type"])
    assert.are.equal("no-cache", headers["cache-control"])
    assert.are.equal("no", headers["x-accel-buffering"])
    assert.are.equal("out\n", (carried(list, "stdout")))
    assert.are.equal("err\n", (carried(list, "stderr")))
    for i, event in ipairs(list) do assert.are.equal(i, event[1]) end
    assert.are.equal("exit", list[#list][2])
    assert.are.equal(3, list[#list][3].exit_code)
    assert.is_false(list[#list][3].timed_out)
  end)

  it("divides no character, and loses no byte of one that stays half", function()
    local list = stream("printf '\\303'; sleep 0.3; printf '\\274\\360\\237'; sleep 0.3;"
      .. " printf '\\230\\200 x'; sleep 0.3; printf '\\342\\202'")
    local text, count = carried(list, "stdout")
    assert.are.equal("\195\188\240\159\152\128 x\226\130", text)
    assert.is_true(count >= 3)
    for i = 1, count - 1 do
      assert.is_nil(list[i][3]:find("^[\128-\191]"), "event " .. i)
    end
  end)

  it("keeps a frame's lines apart whatever the output is", function()
    local list = stream("printf 'a\\r\\nb\\n\\nid: 9\\nevent: exit\\n\\ndata: \\000'")
    assert.are.equal("a\r\nb\n\nid: 9\nevent: exit\n\ndata: \0", (carried(list, "stdout")))
    assert.are.equal("exit", list[#list][2])
  end)

  it("sends comments in silence", function()
    local _, body = server:get("/silence")
    local before = body:match("^(.-)id: ")
    assert.is_true(select(2, before:gsub(":\n\n", "")) > 3, before)
    assert.matches("over", body)
  end)

  it("runs nothing for a source that connects again", function()
    local status, body = server:request("/stream", "echo x", { "Last-Event-ID: 2" }):wait()
    assert.are.same({ 204, "" }, { status, body })
  end)

  it("returns an error before the command has begun, with nothing sent", function()
    local list, status, headers, body = stream("true", "no:such")
    assert.are.same({}, list)
    assert.are.equal(500, status)
    assert.are.equal("application/json", headers["content-type"])
    assert.are.same({ error = "not_found" }, cjson.decode(body))
    server:logged("content_by_lua%(nginx.conf:%d+%):%d+: contree: no:such: no image has the tag")
  end)

  it("tells what is wrong with the options in nginx's log", function()
    assert.are.equal(500, (server:get("/misuse")))
    server:logged('nginx.conf:%d+%):%d+: contree: image:run does not know the option "shel"')
    assert.is_nil(server:log():find("nobody waited", 1, true))
  end)

  it("has the log tell of misuse that a handler does not catch", function()
    for what, words in pairs{
      option = 'image:run does not know the option "quue_timeout" (did you mean "queue_timeout"?)',
      method = 'contree.Image has no "rnu" (did you mean "run"?)',
      field = 'contree.Result has no "stdot" (did you mean "stdout"?)',
    } do
      assert.are.equal(500, (server:get("/typo?what=" .. what)))
      server:logged("nginx.conf:%d+%):%d+: contree: " .. words:gsub("%p", "%%%0"))
    end
  end)

  it("leaves on_event and sessions as they are", function()
    server:get("/events")
    server:logged("seen: true true")
  end)

  it("cancels the run when it cannot send any more", function()
    local request = server:request("/stream", "while echo x; do sleep 0.05; done")
    nginx.wait_until("the run", function()
      return #place.client.operations:list{ status = "EXECUTING" } == 1
    end)
    request:cancel()
    assert.is_true(place:running(0))
    assert.is_nil(server:log():find("attempt to", 1, true))
  end)

  it("answers for other errors, and keeps their words to itself", function()
    local status, body = server:get("/fail")
    assert.are.same({ 500, '{"error":"internal"}\n' }, { status, body })
  end)

  it("cuts an answer that has begun", function()
    local request = server:request("/half")
    nginx.wait_until("the end", function() return request:done() end)
    local result = request.transfer:result()
    assert.is_truthy(result.error, "half of an answer looks like a whole one")
  end)

  it("needs to be in nginx, and says so", function()
    local output, code = host.run("luajit", "luajit -e 'require(\"resty.contree\")'")
    assert.are_not.equal(0, code)
    assert.matches('this is for nginx; other programs use require("contree")', output, 1, true)
  end)

  it("says what is missing", function()
    local directory = nginx.directory()
    os.execute("mkdir " .. directory .. "/resty")
    disk.write(directory .. "/resty/contree.lua", disk.read(host.root .. "/lua/resty/contree.lua"))
    local bare = nginx.start(directory, [[
      lua_package_path "$prefix/?.lua;/usr/share/lua/5.1/?.lua";
      server { listen SOCKET;
        location = / { content_by_lua_block { require("resty.contree") } } }
    ]], { CONTREE_URL = place.url })
    finally(function() bare:stop() end)
    assert.are.equal(500, (bare:get("/")))
    bare:logged("resty.contree: the contree module is missing; install it for LuaJIT")
  end)
end)

describe("resty.contree, with all sandboxes taken", function()
  it("answers 429 with Retry-After before a stream has begun", function()
    local client, directory, stop = home.client{ engine = { max_runs = 1 } }
    finally(function() stop() end)
    local holder = client.images:use("busybox:latest"):start("sleep 300")
    local server = nginx.start(nginx.directory(), HTTP,
      { CONTREE_URL = "unix:" .. directory .. "/engine.sock" })
    finally(function()
      holder:cancel()
      server:stop()
      stop()
    end)
    local status, body, headers = server:get("/stream", "true")
    assert.are.same({ 429, '{"error":"rate_limited"}\n' }, { status, body })
    assert.are.equal("1", headers["retry-after"])
  end)
end)
