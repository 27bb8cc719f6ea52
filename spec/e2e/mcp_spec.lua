-- contree mcp: the protocol in both eras, and each tool. (spec/programs has the official clients.)
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local json = require("cjson").new()
local mcp = require("spec.support.mcp")
local program = require("spec.support.program")

local IMAGE = "tag:busybox:latest"

describe("contree mcp", function()
  local directory, stop, client

  setup(function()
    directory, stop = program.place()
    client = mcp.start(directory)
    client:initialize()
  end)
  teardown(function()
    client:close()
    stop()
  end)

  local function call(name, arguments) return client:result(name, arguments) end
  local function fails(name, arguments) return client:failure(name, arguments) end

  local function output_of(operation)
    return operation.metadata.result.stdout.value, operation.metadata.result.state.exit_code
  end

  describe("speaks", function()
    for _, version in ipairs{ "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25" } do
      it(version, function()
        local other = mcp.start(directory)
        local made = other:initialize(version)
        assert.are.equal(version, made.protocolVersion)
        assert.is_table(made.capabilities.tools)
        assert.are.same({}, other:request("ping").result)
        assert.are.equal(0, other:close())
      end)
    end

    it("its newest to clients that are newer", function()
      local other = mcp.start(directory)
      assert.are.equal("2025-11-25", other:initialize("2099-01-01").protocolVersion)
      other:close()
    end)

    it("2026-07-28, where each request says so", function()
      local other = mcp.start(directory)
      local meta = { ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28",
        ["io.modelcontextprotocol/clientCapabilities"] = { x = {} } }
      local made = other:request("server/discover", { _meta = meta }).result
      assert.are.equal("2026-07-28", made.supportedVersions[1])
      assert.are.equal("complete", made.resultType)
      assert.is_number(made.ttlMs)
      made = other:request("tools/list", { _meta = meta }).result
      assert.are.equal("private", made.cacheScope)
      made = other:request("tools/call", { _meta = meta, name = "list_files",
        arguments = { image = IMAGE, path = "/etc" } }).result
      assert.are.equal("complete", made.resultType)
      assert.are.equal(-32601, other:request("ping", { _meta = meta }).error.code)
      meta["io.modelcontextprotocol/protocolVersion"] = "2031-01-01"
      made = other:request("tools/list", { _meta = meta }).error
      assert.are.same({ -32022, "2026-07-28" }, { made.code, made.data.supported[1] })
      meta = { ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28" }
      assert.are.equal(-32602, other:request("tools/list", { _meta = meta }).error.code)
      other:close()
    end)

    it("batches, in the one revision that has them", function()
      local other = mcp.start(directory)
      other:initialize("2025-03-26")
      other:send_line('[{"jsonrpc":"2.0","id":90,"method":"ping"},'
        .. '{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":91,"method":"no"}]')
      local answers = other:read()
      assert.are.equal(2, #answers)
      other:close()
      client:send_line('[{"jsonrpc":"2.0","id":90,"method":"ping"}]')
      assert.are.equal(-32600, client:read().error.code)
    end)
  end)

  it("refuses what is no message, and goes on", function()
    for line, code in pairs{ ["{"] = -32700, ["7"] = -32700, ['"x"'] = -32700, ["[]"] = -32600,
      ['{"id":1}'] = -32600, ['{"jsonrpc":"2.0","id":{},"method":"ping"}'] = -32600,
      ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}'] = -32600,
      ['{"jsonrpc":"2.0","id":1,"method":7}'] = -32600,
      [("["):rep(100000)] = -32700, ["\255\254"] = -32700 } do
      client:send_line(line)
      assert.are.equal(code, client:read().error.code, line:sub(1, 60))
    end
    client:send_line("")
    client:send_line('{"jsonrpc":"2.0","id":7,"result":{}}')
    client:send("notifications/cancelled", { requestId = {} }, true)
    assert.are.equal(-32601, client:request("no/such").error.code)
    assert.are.equal(-32602, client:request("tools/call", { name = "no_such" }).error.code)
    assert.are.equal("there is no tool list_image (did you mean list_images?)",
      client:request("tools/call", { name = "list_image" }).error.message)
    assert.are.equal(-32602, client:request("tools/list", { cursor = "x" }).error.code)
    assert.are.same({}, client:request("ping").result)
  end)

  it("passes over a message that is too long", function()
    local other = mcp.start(directory)
    local piece = ("x"):rep(2 ^ 20)
    for _ = 1, 65 do other.input:write(piece) end
    other:send_line("")
    assert.are.equal(-32600, other:read().error.code)
    assert.are.same({}, other:request("ping").result)
    other:close()
  end)

  it("answers out of order, and many at once", function()
    local slow = client:send("tools/call", { name = "run",
      arguments = { command = "sleep 1; echo slow", image = IMAGE } })
    local ids = {}
    for i = 1, 20 do
      ids[i] = client:send("tools/call", { name = "run",
        arguments = { command = "echo " .. i, image = IMAGE } })
    end
    local answers, last = {}, nil
    for _ = 1, 21 do
      local message = client:read()
      answers[message.id], last = message.result.structuredContent, message.id
    end
    assert.are.equal(slow, last)
    for i, id in ipairs(ids) do assert.are.equal(i .. "\n", (output_of(answers[id]))) end
  end)

  it("refuses an id that is in use", function()
    local id = client:send("tools/call", { name = "run",
      arguments = { command = "sleep 1", image = IMAGE } })
    client:send_line(json.encode{ jsonrpc = "2.0", id = id, method = "ping" })
    assert.are.equal(-32600, client:answer(id).error.code)
    assert.is_table(client:answer(id).result)
  end)

  it("cancels", function()
    local id = client:send("tools/call", { name = "run",
      arguments = { command = "sleep 96", image = IMAGE, timeout = 100 } })
    local before = 0
    repeat
      before = before + 1
      local found = call("list_operations", { status = "EXECUTING" }).operations
    until #found > 0 or before > 200
    client:send("notifications/cancelled", { requestId = id, reason = "spec" }, true)
    assert.are.same({}, client:request("ping").result)
    for _ = 1, 100 do
      if #call("list_operations", { status = "EXECUTING" }).operations == 0 then return end
      os.execute("sleep 0.05")
    end
    error("the command still runs")
  end)

  it("tells how far it is, only when asked", function()
    client.others = {}
    client:call("run", { command = "sleep 5", image = IMAGE }, { progressToken = "p" })
    local last = 0
    for _, message in ipairs(client.others) do
      assert.are.same({ "notifications/progress", "p" },
        { message.method, message.params.progressToken })
      assert.is_true(message.params.progress > last)
      last = message.params.progress
    end
    assert.is_true(last > 0)
    client.others = {}
    client:call("run", { command = "sleep 3", image = IMAGE })
    assert.are.same({}, client.others)
  end)

  it("describes each tool and checks what it is given", function()
    local names = {}
    for _, tool in ipairs(client:request("tools/list").result.tools) do
      names[tool.name] = tool
      assert.are.equal("object", tool.inputSchema.type)
      assert.is_truthy(#tool.description > 20, tool.name)
      for name, schema in pairs(tool.inputSchema.properties) do
        assert.is_string(schema.type, tool.name .. "." .. name)
        assert.is_string(schema.description, tool.name .. "." .. name)
      end
    end
    for name in ("list_images get_image set_tag import_image registry_token_obtain registry_auth "
      .. "run rsync upload download get_operation list_operations wait_operations cancel_operation "
      .. "list_files read_file get_guide workspace_run workspace_changes workspace_apply "
      .. "workspace_undo diff bisect blame branch"):gmatch("%S+") do
      assert.is_table(names[name], name)
    end
    assert.matches('no argument comand\ndid you mean command', fails("run", { comand = "ls" }))
    assert.matches("image is missing", fails("run", { command = "ls" }))
    assert.matches("must be an integer", fails("run", { command = "ls", image = IMAGE,
      timeout = "9" }))
    assert.matches("one of all, any", fails("wait_operations", { operation_ids = { "x" },
      mode = "some" }))
    assert.matches("object of texts", fails("run", { command = "ls", image = IMAGE,
      env = { A = 1 } }))
  end)

  it("runs, keeps, names, compares and looks back", function()
    local text, code = output_of(call("run", { command = "echo out; exit 3", image = IMAGE }))
    assert.are.same({ "out\n", 3 }, { text, code })
    local one = call("run", { command = "mkdir /d; echo 1 >/d/a", image = IMAGE,
      disposable = false }).result.image
    local two = call("run", { command = "echo 2 >/d/a; touch /d/b", image = one, shell = true,
      disposable = false }).result.image
    assert.are.equal("mcp:v1", call("set_tag", { image_uuid = two, tag = "mcp:v1" }).tag)
    assert.are.equal(two, call("get_image", { image = "tag:mcp:v1" }).uuid)
    assert.are.equal(1, #call("list_images", { tag_prefix = "mcp:" }).images)
    assert.are.equal("2\n", call("read_file", { image = two, path = "/d/a" }).content)
    local files = call("list_files", { image = two, path = "/d" })
    assert.are.same({ 2, "a", "0644" }, { files.count, files.files[1].name, files.files[1].mode })
    local kinds = {}
    for _, each in ipairs(call("list_files", { image = call("run", { image = two,
      command = "ln -s a /d/link; mkdir /d/below", disposable = false }).result.image,
      path = "/d" }).files) do
      kinds[each.name] = each.type
    end
    assert.are.same({ a = "file", b = "file", below = "directory", link = "symlink" }, kinds)
    local lineage = json.decode(client:request("resources/read", { uri = "contree://image/" .. two
      .. "/lineage" }).result.contents[1].text)
    assert.are.same({ one, 2 }, { lineage.ancestors[1], lineage.depth })
    assert.are.same({ lineage.root, true }, { lineage.ancestors[2], lineage.is_known })
    local found = call("diff", { from = one, to = two, text = true })
    assert.are.same({ "/d/a", "/d/b" }, { found.changes[1].path, found.changes[2].path })
    assert.matches("+2", found.patch, 1, true)
    assert.are.equal(two, call("blame", { image = two, path = "/d/b" }).entry.image)
    assert.are.equal(two, call("bisect", { image = two, command = "test ! -e /d/b" })
      .first_bad.image)
    assert.matches("no image", fails("get_image", { image = "tag:none:here" }))
    -- A patch that is too long ends between two characters.
    local long = call("run", { command = "yes \195\164\226\130\172 | head -n 30000 >/d/long",
      image = two, disposable = false }).result.image
    found = call("diff", { from = two, to = long, text = true })
    assert.is_true(found.truncated)
    assert.matches("^diff .*\195\164\226\130\172", found.patch)
    assert.is_true(#found.patch > 99990 and #found.patch <= 100000)
    call("set_tag", { image_uuid = two })
    assert.matches("no image", fails("get_image", { image = "tag:mcp:v1" }))
  end)

  it("moves files", function()
    local uuid = call("upload", { content = "hello\n" }).uuid
    assert.are.equal("hello\n", (output_of(call("run", { command = "cat /in/x", image = IMAGE,
      files = { ["/in/x"] = uuid } }))))
    local bytes = call("upload", { content_base64 = "AP8=" }).uuid
    assert.are.equal("2", (output_of(call("run", { command = "wc -c </x | tr -d ' \\n'",
      image = IMAGE, files = { ["/x"] = bytes } }))))
    os.execute(("mkdir -p %s/src/__pycache__; echo a >%s/src/a; echo b >%s/src/__pycache__/b")
      :format(directory, directory, directory))
    local id = call("rsync", { source = directory .. "/src", destination = "/src",
      exclude = { "__pycache__" } }).result
    assert.are.equal(id, call("rsync", { source = directory .. "/src", destination = "/src",
      exclude = { "__pycache__" } }).result)
    assert.are.equal("/src\n/src/a\n", (output_of(call("run", { command = "find /src | sort",
      image = IMAGE, directory_state_id = id }))))
    local made = call("download", { image = IMAGE, path = "/etc/passwd",
      destination = directory .. "/passwd", executable = true })
    assert.is_true(made.success)
    assert.matches("root:", disk.read(directory .. "/passwd"))
    assert.are.equal("755\n", disk.capture("stat -c %a " .. directory .. "/passwd"))
    assert.matches("absolute", fails("download", { image = IMAGE, path = "/etc/passwd",
      destination = "passwd" }))
    assert.matches("nothing to upload", fails("upload", {}))
    assert.matches("no directory state", fails("run", { command = "ls", image = IMAGE,
      directory_state_id = 99 }))
  end)

  it("waits for operations", function()
    local function start(command)
      return call("run", { command = command, image = IMAGE, wait = false }).operation_id
    end
    local a, b = start("echo a"), start("echo b; exit 2")
    local found = call("wait_operations", { operation_ids = { a, b, a } })
    assert.are.equal(2, #found.completed)
    assert.are.equal("a\n", (output_of(found.results[a])))
    a, b = start("sleep 95"), start("true")
    found = call("wait_operations", { operation_ids = { a, b }, mode = "any" })
    assert.are.same({ { b }, { a } }, { found.completed, found.cancelled })
    assert.are.equal("CANCELLED", call("get_operation", { operation_id = a }).status)
    a = start("sleep 94")
    found = call("wait_operations", { operation_ids = { a }, timeout = 0.3 })
    assert.are.same({ a }, found.cancelled)
    assert.is_false(call("cancel_operation", { operation_id = b }).cancelled)
  end)

  it("works on the user's folder", function()
    local folder = directory .. "/project"
    os.execute(("mkdir %s && cd %s && git init -q && echo hello >in"):format(folder, folder))
    local path = { path = folder }
    assert.matches("workspace_run with an image", fails("workspace_changes", path))
    local made = call("workspace_run", { path = folder, image = IMAGE,
      command = "cat in; echo more >>in; echo new >out" })
    assert.are.same({ 0, "hello\n" }, { made.exit_code, made.stdout })
    assert.is_nil(made.tried)
    made = call("workspace_run", { path = folder, command = "cat /lost; unshare -m true",
      trace = "files" })
    assert.matches("not found /lost", made.tried, 1, true)
    assert.matches("refused unshare", made.tried, 1, true)
    assert.are.equal("hello\n", disk.read(folder .. "/in"))
    local found = call("workspace_changes", path)
    assert.are.same({ "in", "out" }, { found.changes[1].path, found.changes[2].path })
    assert.matches("+more", found.patch, 1, true)
    assert.are.same({ "out" }, call("workspace_apply", { path = folder, only = { "out" } }).written)
    assert.are.equal("new\n", disk.read(folder .. "/out"))
    call("workspace_undo", path)
    assert.is_nil(disk.peek(folder .. "/out"))
    call("branch", { path = folder, action = "create", name = "other" })
    found = call("branch", path)
    assert.are.equal("other", found.branch)
    assert.are.equal(2, #found.branches)
    assert.matches("no absolute path", fails("branch", { path = "project" }))
    -- It is the workspace of the command, too.
    assert.matches("M in", (program.run(directory, "changes --stat -C " .. folder)))
    disk.write(folder .. "/out", "ours\n")
    made = call("workspace_apply", path)
    assert.are.same({ "in" }, made.written)
    assert.are.same({ 1, "out" }, { #made.skipped, made.skipped[1].path })
    assert.matches("in the folder", made.skipped[1].why, 1, true)
  end)

  it("has resources and prompts", function()
    local function read(uri) return client:request("resources/read", { uri = uri }) end
    local list = client:request("resources/list").result.resources
    assert.are.equal(7, #list)
    assert.matches("# Workflow", read("contree://guide/workflow").result.contents[1].text)
    assert.are.equal(5, #client:request("resources/templates/list").result.resourceTemplates)
    assert.matches("root:", read("contree://image/" .. IMAGE .. "/read/etc/passwd")
      .result.contents[1].text)
    assert.matches("passwd", read("contree://image/busybox%3Alatest/ls/etc")
      .result.contents[1].text)
    assert.matches('"depth":0', read("contree://image/" .. IMAGE .. "/lineage")
      .result.contents[1].text)
    local id = call("run", { command = "echo x", image = IMAGE, wait = false }).operation_id
    call("wait_operations", { operation_ids = { id } })
    assert.matches('"exit_code":0', read("contree://operations/instance/" .. id)
      .result.contents[1].text)
    -- One that has no result yet.
    id = call("run", { command = "sleep 92", image = IMAGE, wait = false }).operation_id
    assert.is_string(json.decode(read("contree://operations/instance/" .. id)
      .result.contents[1].text).state)
    call("cancel_operation", { operation_id = id })
    assert.are.equal(-32002, read("contree://image/none:here/lineage").error.code)
    local refused = read("file:///etc/passwd").error
    assert.are.equal(-32002, refused.code)
    assert.matches("there is no resource file:///etc/passwd", refused.message, 1, true)
    assert.are.equal(10, #client:request("prompts/list").result.prompts)
    local made = client:request("prompts/get", { name = "run-shell",
      arguments = { command = "ls {image} %1" } }).result
    assert.matches("ls {image} %1", made.messages[1].content.text, 1, true)
    assert.are.equal(-32602, client:request("prompts/get", { name = "run-shell" }).error.code)
  end)

  it("needs no more of the environment than clients pass", function()
    local other = mcp.start(directory, ("env -i HOME=%s PATH=%s TERM=dumb USER=x SHELL=/bin/sh "
      .. "LOGNAME=x ASAN_OPTIONS=$ASAN_OPTIONS "
      .. "LUA_PATH=%s LUA_CPATH=%s"):format(directory, disk.quote(os.getenv("PATH")),
        disk.quote(os.getenv("LUA_PATH")),
        disk.quote((os.getenv("LUA_CPATH"):gsub("/luajit/", "/lua5.4/")))))
    other:initialize()
    local made = other:call("run", { command = "echo here", image = IMAGE })
    assert.are.equal("here\n", (output_of(made)))
    assert.are.equal(0, other:close())
    home.stop_engine(directory .. "/.local/share/contree")
  end)

  it("ends with its input, and cancels what it was doing", function()
    local other = mcp.start(directory)
    other:initialize()
    other:send("tools/call", { name = "run", arguments = { command = "sleep 93", image = IMAGE,
      timeout = 100 } })
    for _ = 1, 100 do
      if #call("list_operations", { status = "EXECUTING" }).operations > 0 then break end
      os.execute("sleep 0.05")
    end
    assert.are.equal(0, other:close())
    for _ = 1, 100 do
      if #call("list_operations", { status = "EXECUTING" }).operations == 0 then return end
      os.execute("sleep 0.05")
    end
    error("the command still runs")
  end)
end)
