-- GET /operations/{id}/watch: what happens below a directory of a sandbox.
local wire = require("spec.support.wire")

describe("a watch", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  -- A run of `before`, and of `command` when go() is called. With `keep` it goes on then.
  local function running(before, command, keep)
    local text = ("mkdir -p /w; cd /w; %s; echo ready; read x; %s; echo over; %s")
      :format(before, command, keep and "exec sleep 600" or "true")
    local uuid = engine:spawn(wire.shell(text, { stdin = { value = "", close = false },
      truncate_output_at = 10485760, timeout = 300 }))
    local function output()
      local r = engine:get(("/v1/operations/%s?inflight=1"):format(uuid)).json.metadata.result
      return r and r ~= wire.null and wire.bytes(r.stdout) or ""
    end
    wire.eventually("the preparation", function() return output():find("ready\n", 1, true) end)
    return {
      uuid = uuid, output = output,
      go = function(line)
        assert.are.equal(204, engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid),
          { value = (line or "") .. "\n", close = false }).status)
      end,
      over = function()
        wire.eventually("the command", function() return output():find("over\n", 1, true) end)
      end,
      cancel = function()
        engine:request("DELETE", "/v1/operations/" .. uuid)
        engine:wait(uuid)
      end,
    }
  end

  local function path(uuid, where, recursive)
    return ("/v1/operations/%s/watch?path=%s%s"):format(uuid,
      (where:gsub("[^%w/]", function(c) return ("%%%02X"):format(c:byte()) end)),
      recursive and "&recursive=1" or "")
  end

  local function watch(run, where, recursive)
    local connection = engine:connect()
    connection:request("GET", path(run.uuid, where, recursive))
    local reply = connection:head()
    assert.are.equal(200, reply.status, reply.status ~= 200 and connection:body(reply) or nil)
    assert.are.equal("text/event-stream", reply.headers["content-type"])
    return connection
  end

  -- The next event, or nil after the end.
  local function next_event(connection)
    while true do
      local frame = assert(connection:frame(), "the stream was cut")
      if frame.event == "end" then
        connection:close()
        return nil
      elseif frame.event then
        return frame.data, frame.event
      end
    end
  end

  local function line_of(e)
    return ("%s %s%s%s"):format(e.type, e.from and e.from .. " " or "", e.path,
      e.directory and "/" or "")
  end

  -- All events until the operation ends, or the next `count`, as lines; "modified" may come any
  -- number of times.
  local function lines(connection, count)
    local list = {}
    while not count or #list < count do
      local e = next_event(connection)
      if not e then break end
      if e.type ~= "modified" then list[#list + 1] = line_of(e) end
    end
    return list
  end

  -- Each command is given when the one before was told: the next would change what it is.
  it("tells each kind, moves paired", function()
    local run = running("mkdir -p a/b",
      'while read -r line && [ -n "$line" ]; do eval "$line"; done')
    local all = watch(run, "/w", true)
    local top = watch(run, "/w")
    run.go()
    for _, step in ipairs{
      { "echo 1 > f", { "created /w/f", "written /w/f" }, { "created /w/f", "written /w/f" } },
      { "chmod 600 f", { "attributes /w/f" }, { "attributes /w/f" } },
      { "mv f a/g", { "moved /w/f /w/a/g" }, { "deleted /w/f" } },
      { "rm a/g", { "deleted /w/a/g" }, {} },
      { "mkdir c", { "created /w/c/" }, { "created /w/c/" } },
      -- When this is told, what comes into c is told as it happens.
      { "mkdir c/p", { "created /w/c/p/" }, {} },
      { "rmdir c/p", { "deleted /w/c/p/" }, {} },
      { "mv a/b c/d", { "moved /w/a/b /w/c/d/" }, {} },
      { "touch c/d/x", { "created /w/c/d/x", "written /w/c/d/x" }, {} },
      { "mv c /c", { "deleted /w/c/" }, { "deleted /w/c/" } },
      { "mv /c c2", { "created /w/c2/", "created /w/c2/d/", "created /w/c2/d/x" },
        { "created /w/c2/" } },
      { "rm -r c2", { "deleted /w/c2/d/x", "deleted /w/c2/d/", "deleted /w/c2/" },
        { "deleted /w/c2/" } },
    } do
      run.go(step[1])
      assert.are.same(step[2], lines(all, #step[2]))
      assert.are.same(step[3], lines(top, #step[3]))
    end
    run.go()
    assert.are.same({}, lines(all))
    assert.are.same({}, lines(top))
  end)

  it("loses nothing of directories that are made and filled at once", function()
    local run = running("true", [[for i in 1 2 3 4 5 6 7 8; do
        for j in 1 2 3 4 5; do mkdir -p $i/$j/x/y/z; echo > $i/$j/x/y/z/f; echo > $i/$j/g; done &
      done; wait]])
    local connection = watch(run, "/w", true)
    run.go()
    local count, seen = {}, {}
    for e in function() return next_event(connection) end do
      seen[#seen + 1] = line_of(e)
      assert.are_not.equal("overflow", e.type)
      if e.type == "created" then count[e.path] = (count[e.path] or 0) + 1 end
    end
    for i = 1, 8 do
      for j = 1, 5 do
        local dir = ("/w/%d/%d"):format(i, j)
        for _, name in ipairs{ "", "/g", "/x", "/x/y", "/x/y/z", "/x/y/z/f" } do
          local said = dir .. name .. "\n" .. table.concat(seen, "\n")
          assert.are.equal(1, count[dir .. name], said)
        end
      end
    end
  end)

  -- Plays the events on a set of paths, which must be the tree in the end.
  it("tells all that a consumer needs to follow the tree", function()
    local run = running("mkdir -p 0/0 1/1 2/2", [[
      for worker in 1 2 3; do
        awk -v seed=$worker 'BEGIN { srand(seed)
          for (i = 0; i < 250; i++) {
            a = int(rand() * 4) "/" int(rand() * 4); b = int(rand() * 4) "/" int(rand() * 4)
            k = int(rand() * 6)
            if (k < 2) print "mkdir -p " a "/" int(rand() * 3)
            else if (k < 3) print "echo > " a "/f" int(rand() * 3)
            else if (k < 4) print "mv " a " " b int(rand() * 3)
            else if (k < 5) print "mv " a " " b
            else print "rm -rf " a
          } }' | sh 2>/dev/null &
      done; wait; find . -mindepth 1 | sed 's/^[.]/= \/w/']])
    local connection = watch(run, "/w", true)
    local tree = {}
    for _, known in ipairs{ "0", "0/0", "1", "1/1", "2", "2/2" } do tree["/w/" .. known] = true end
    run.go()
    local function remove(top)
      for name in pairs(tree) do
        if name == top or name:sub(1, #top + 1) == top .. "/" then tree[name] = nil end
      end
    end
    local seen = {}
    for e in function() return next_event(connection) end do
      assert.are_not.equal("overflow", e.type)
      seen[#seen + 1] = line_of(e)
      if e.type == "created" then
        tree[e.path] = true
      elseif e.type == "deleted" then
        remove(e.path)
      elseif e.type == "moved" then
        local moved = {}
        for name in pairs(tree) do
          if name == e.from or name:sub(1, #e.from + 1) == e.from .. "/" then
            moved[#moved + 1] = e.path .. name:sub(#e.from + 1)
          end
        end
        remove(e.path)
        remove(e.from)
        for _, name in ipairs(moved) do tree[name] = true end
        tree[e.path] = true
      end
    end
    local found, expected = {}, {}
    for name in pairs(tree) do found[#found + 1] = name end
    for name in run.output():gmatch("= (%S+)\n") do expected[#expected + 1] = name end
    table.sort(found)
    table.sort(expected)
    assert.is_true(#expected > 3)
    assert.are.equal(table.concat(expected, "\n"), table.concat(found, "\n"),
      table.concat(seen, "\n"))
  end)

  it("knows 10,000 directories", function()
    local most = tonumber(wire.run("cat /proc/sys/fs/inotify/max_user_watches"))
    -- A sandbox may have a quarter of them.
    if most < 48000 then pending("this machine watches no more than " .. most) end
    local run = running([[for i in $(seq 100); do mkdir $i; (cd $i; seq 100 | xargs mkdir); done]],
      "echo > 100/100/f; mv 50 fifty; echo > fifty/7/f")
    local connection = watch(run, "/w", true)
    run.go()
    assert.are.same({ "created /w/100/100/f", "written /w/100/100/f", "moved /w/50 /w/fifty/",
      "created /w/fifty/7/f", "written /w/fifty/7/f" }, lines(connection))
  end)

  it("says when events were lost, and goes on", function()
    local run = running("mkdir -p before", [[i=0
      while [ $i -lt 30000 ]; do i=$((i+1)); : > f$((i % 50)); done; mkdir -p lost/x; echo over
      read x; echo > lost/x/f; echo > before/f]])
    local connection = watch(run, "/w", true) -- nobody reads it
    run.go()
    run.over()
    local overflow
    repeat
      local e = next_event(connection)
      overflow = e.type == "overflow"
      if overflow then assert.are.equal("/w", e.path) end
    until overflow
    run.go()
    local list = lines(connection)
    local text = table.concat(list, "\n")
    assert.is_truthy(text:find("created /w/before/f", 1, true), text:sub(-500))
    assert.is_truthy(text:find("created /w/lost/x/f", 1, true), text:sub(-500))
  end)

  it("tells names of any bytes", function()
    local run = running("true", [[mkdir "$(printf 'a\377b')"; echo > "$(printf 'n\nl')"]])
    local connection = watch(run, "/w", true)
    run.go()
    local e = next_event(connection)
    assert.are.equal("/w/a%FFb", e.path)
    assert.are.equal("percent", e.path_encoding)
    assert.are.equal("/w/n\nl", next_event(connection).path)
    run.cancel()
    connection:close()
  end)

  it("is of a path inside, and follows no links below it", function()
    local run = running("mkdir -p d /etc/x; ln -s /w/d /link; ln -s /etc d/etc; ln -s /proc d/proc",
      "echo > d/f; echo > /etc/x/f")
    local connection = watch(run, "/link", true)
    run.go()
    assert.are.same({ "created /link/f", "written /link/f" }, lines(connection))
  end)

  it("may be of the whole root", function()
    local run = running("true", "echo > /w/f")
    local connection = watch(run, "/", true)
    run.go()
    assert.are.same({ "created /w/f", "written /w/f" }, lines(connection))
  end)

  it("ends when its directory does", function()
    local run = running("mkdir d", "rmdir d", true)
    local connection = watch(run, "/w/d", true)
    run.go()
    local e, kind = next_event(connection)
    assert.are.equal("failed", kind)
    assert.are.equal(404, e.status)
    connection:close()
    run.cancel()
  end)

  it("says that something may be missing when its sandbox is killed", function()
    local run = running("true", "true", true)
    local connection = watch(run, "/w", true)
    run.cancel()
    assert.are.same({ "overflow /w" }, lines(connection))
  end)

  it("is forgotten when its client goes", function()
    local run = running("true", "echo > f", true)
    for _ = 1, 60 do
      local connection
      -- The last ones may not be gone yet.
      wire.eventually("room for a watch", function()
        connection = engine:connect()
        connection:request("GET", path(run.uuid, "/w", true))
        if connection:head().status == 200 then return true end
        connection:close()
      end)
      connection:close()
    end
    run.cancel()
  end)

  it("is one of 16 at most", function()
    local run = running("true", "true", true)
    local open = {}
    for i = 1, 16 do open[i] = watch(run, "/w") end
    wire.refuses(429, "watches", engine:get(path(run.uuid, "/w")))
    for _, connection in ipairs(open) do connection:close() end
    run.cancel()
  end)

  it("leaves init to its orders, whatever happens in the directory", function()
    local run = running("true", [[for i in 1 2 3 4; do
      while :; do mkdir -p $i/a/b; echo > $i/a/b/f; mv $i $i.x; rm -r $i.x; done & done]], true)
    local connection = watch(run, "/w", true)
    run.go()
    for _ = 1, 20 do
      local reply = engine:post(("/v1/operations/%s/subprocesses"):format(run.uuid),
        { command = "true" })
      assert.are.equal(201, reply.status)
      next_event(connection)
    end
    connection:close()
    run.cancel()
  end)

  it("is refused where there is nothing to watch", function()
    local run = running("echo > f", "true", true)
    local function get(where) return engine:get(path(run.uuid, where)) end
    wire.refuses(400, "path", get("w"))
    wire.refuses(400, "path", get("/" .. ("x"):rep(4096)))
    wire.refuses(422, "No such file", get("/none"))
    wire.refuses(422, "directory", get("/w/f"))
    wire.refuses(404, "operation", engine:get(path("x", "/w")))
    run.cancel()
    wire.refuses(409, "running", get("/w"))
  end)
end)
