-- POST /merge: an image of two that came from one (http-api.md §4.26).
local archive = require("spec.support.archive")
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("a merge", function()
  local engine, busybox

  setup(function()
    engine = wire.start()
    busybox = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
  end)
  teardown(function() engine:stop() end)

  -- The image that a command makes.
  local function after(image, command)
    local run = engine:run(wire.shell(command, { image = image, disposable = false }))
    assert.equal("", wire.bytes(run.metadata.result.stderr))
    return run.result_image_uuid
  end

  local function sh(image, command)
    local result = engine:run(wire.shell(command, { image = image })).metadata.result
    assert.equal("", wire.bytes(result.stderr))
    return wire.bytes(result.stdout)
  end

  local function merge(body) return engine:post("/v1/merge", body) end

  local function merged(body)
    local reply = merge(body)
    assert.equal(201, reply.status, reply.body)
    return reply.json
  end

  it("brings the changes of both together", function()
    local base = after(busybox, "mkdir /w; seq 9 > /w/text; touch /w/gone /w/mode; ln -s a /w/l")
    local ours = after(base, "sed -i s/2/two/ /w/text; echo 1 > /w/mine")
    local theirs = after(base, "sed -i s/8/eight/ /w/text; rm /w/gone; chmod 755 /w/mode")
    theirs = after(theirs, "mkdir /w/d; echo 2 > /w/d/yours; ln -sf b /w/l")
    local answer = merged{ ours = ours, theirs = theirs, tag = "merged:v1" }
    assert.equal(base, answer.base)
    assert.same({}, answer.conflicts)
    assert.equal(0, answer.conflict_count)
    assert.equal("merged:v1", answer.image.tag)
    assert.equal("two\neight\nd\nl\nmine\nmode\ntext\n755\nb\n2\n", sh(answer.image.uuid, [[
      cd /w; grep -E "two|eight" text; ls; stat -c %a mode; readlink l; cat d/yours]]))
    assert.equal("1\n3\n", sh(ours, "grep -c two /w/text; ls /w | grep -cE 'mine|gone|mode'"))
    wire.eventually("the remains to be deleted", function() return engine:is_clean() end)
  end)

  it("lists conflicts, and makes no image of them", function()
    local base = after(busybox, "mkdir -p /w/d; echo 1 > /w/a; echo 1 > /w/b; echo > /w/d/f")
    local ours = after(base, "echo 22 > /w/a; rm /w/b; touch /w/d/new")
    local theirs = after(base, "echo 333 > /w/a; echo 3 > /w/b; rm -r /w/d; ln -s x /w/d")
    local reply = merge{ ours = ours, theirs = theirs }
    assert.equal(200, reply.status)
    local answer = reply.json
    assert.not_equal("table", type(answer.image))
    assert.equal(3, answer.conflict_count)
    local said = {}
    for _, each in ipairs(answer.conflicts) do
      local function size(version) return type(version) == "table" and version.kind or "-" end
      said[#said + 1] = ("%s %s %s %s %s"):format(each.conflict, each.path, size(each.base),
        size(each.ours), size(each.theirs))
    end
    assert.same({ "content /w/a file file file", "removed /w/b file - file",
      "type /w/d directory directory symlink" }, said)
    assert.equal(3, answer.conflicts[1].ours.size)
    assert.equal(4, answer.conflicts[1].theirs.size)
    local operation = engine:get("/v1/operations/" .. answer.operation_uuid).json
    assert.equal("FAILED", operation.status)
    assert.matches("/w/a and other paths", operation.error)
    wire.eventually("the remains to be deleted", function() return engine:is_clean() end)

    local mine = merged{ ours = ours, theirs = theirs, prefer = "ours" }
    assert.equal(3, mine.conflict_count)
    assert.equal("22\na\nd\nf\nnew\n", sh(mine.image.uuid, "cd /w; cat a; ls; ls d"))
    local yours = merged{ ours = ours, theirs = theirs, prefer = "theirs" }
    assert.equal("333\n3\nx\n", sh(yours.image.uuid, "cd /w; cat a b; readlink d"))
  end)

  it("keeps the settings of ours, and tells where it came from", function()
    local run = engine:run{ command = "/bin/true", image = busybox, env = { KEPT = "yes" },
      preserve_env = true, disposable = false }
    local theirs = after(busybox, "touch /new")
    local answer = merged{ ours = run.result_image_uuid, theirs = theirs }
    assert.equal("yes /new\n", sh(answer.image.uuid, "echo $KEPT /new*"))
    local operation = engine:get("/v1/operations/" .. answer.image.operation_uuid).json
    assert.equal("image_import", operation.kind)
    assert.equal("SUCCESS", operation.status)
    assert.equal(run.result_image_uuid, operation.image_uuid)
    assert.equal(answer.image.uuid, operation.result_image_uuid)
    assert.equal(theirs, operation.metadata.merge.theirs)
    assert.equal("merge:" .. theirs, operation.metadata.registry.url)
    local events = engine:events(answer.image.operation_uuid)
    assert.equal("completion", events[#events].event)
  end)

  it("finds the nearest ancestor, also behind a merge", function()
    local base = after(busybox, "seq 9 > /t")
    local topic = after(base, "sed -i s/2/two/ /t")
    local main = after(base, "sed -i s/8/eight/ /t")
    assert.equal(base, merged{ ours = main, theirs = topic }.base)
    assert.equal(base, merged{ ours = main, theirs = base }.base)
    assert.equal(base, merged{ ours = base, theirs = main }.base)
    local first = merged{ ours = main, theirs = topic }
    -- The topic goes on; what was merged already is not merged again.
    topic = after(topic, "sed -i s/two/zwei/ /t")
    local second = merged{ ours = after(first.image.uuid, "touch /x"), theirs = topic }
    assert.not_equal(base, second.base)
    assert.equal("zwei\neight\n", sh(second.image.uuid, "grep -E 'zwei|eight' /t"))
  end)

  it("needs a base for strangers", function()
    local tree = disk.directory()
    os.execute(("mkdir -p %s/t/bin; cp /bin/busybox %s/t/bin/; tar -C %s/t -cf %s/t.tar .")
      :format(tree, tree, tree, tree))
    local imported = engine:post("/v1/import", { operand = tree .. "/t.tar" })
    disk.remove(tree)
    local stranger = imported.body:match("%x+%-%x+%-%x+%-%x+%-%x+")
    local ours = after(busybox, "touch /b")
    wire.refuses(422, "say with `base`", merge{ ours = ours, theirs = stranger })
    assert.equal(busybox,
      merged{ ours = ours, theirs = stranger, base = busybox, prefer = "ours" }.base)
  end)

  it("is refused with a reason", function()
    local nothing = "01a22463-0000-7000-8000-000000000000"
    wire.refuses(400, "ours.* is missing", merge{ theirs = busybox })
    wire.refuses(400, "theirs.* is missing", merge{ ours = busybox })
    wire.refuses(404, "image", merge{ ours = nothing, theirs = busybox })
    wire.refuses(404, "image", merge{ ours = busybox, theirs = "tag:nothing:here" })
    wire.refuses(404, "image", merge{ ours = busybox, theirs = busybox, base = nothing })
    wire.refuses(400, "uuid", merge{ ours = busybox, theirs = "x" })
    wire.refuses(400, "prefer", merge{ ours = busybox, theirs = busybox, prefer = "mine" })
    wire.refuses(400, "tag", merge{ ours = busybox, theirs = busybox, tag = "A b" })
    wire.refuses(400, "timeout", merge{ ours = busybox, theirs = busybox, timeout = 0 })
  end)

  it("of nothing is ours", function()
    local image = merged{ ours = "tag:busybox:latest", theirs = busybox }.image
    assert.are_not.equal(busybox, image.uuid)
    assert.equal("ok\n", sh(image.uuid, "echo ok"))
    -- Its workspace is kept for a run, as long as there are not 64.
    local function workspaces() return tonumber(wire.run("ls " .. engine.data .. "/w | wc -l")) end
    for _ = 1, 100 do merged{ ours = busybox, theirs = busybox } end
    wire.eventually("workspaces to be deleted", function() return workspaces() < 80 end)
  end)

  it("survives the engine", function()
    local ours, theirs = after(busybox, "echo 1 > /one"), after(busybox, "echo 2 > /two")
    local image = merged{ ours = ours, theirs = theirs }.image.uuid
    engine:kill("KILL")
    engine:launch()
    assert.equal("1\n2\n", sh(image, "cat /one /two"))
  end)

  -- An image with a directory of many files on top of busybox.
  local function many(count)
    local members = {}
    for i = 1, count do
      members[i] = { ("d%d/f%d"):format(i % 100, i), data = "x", mtime = 1 }
    end
    local reply = engine:request("POST", ("/v1/images/%s/layers?at=/m"):format(busybox),
      { body = archive(members) })
    assert.equal(201, reply.status, reply.body)
    return reply.json.uuid
  end

  it("is cancelled as other operations are", function()
    local ours, theirs = after(busybox, "touch /x"), many(3000)
    local body = ('{"ours":"%s","theirs":"%s","timeout":600}'):format(ours, theirs)
    local connection = engine:connect()
    connection:send(("POST /v1/merge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
      .. "Content-Length: %d\r\n\r\n%s"):format(#body, body))
    local function last()
      return engine:get("/v1/operations?kind=image_import&limit=1").json[1]
    end
    wire.eventually("the merge to begin", function() return last().status == "EXECUTING" end)
    local uuid = last().uuid
    assert.equal(202, engine:request("DELETE", "/v1/operations/" .. uuid).status)
    wire.refuses(409, "cancelled", connection:response())
    assert.equal("CANCELLED", engine:get("/v1/operations/" .. uuid).json.status)
    connection:close()
    wire.eventually("the remains to be deleted", function() return engine:is_clean() end)
  end)

  it("of many entries lets other requests through", function()
    local theirs = after(busybox, [[mkdir /m; cd /m; for d in $(seq 20); do mkdir $d
      for f in $(seq 250); do echo $f > $d/$f; done; done]])
    local ours = after(busybox, "mkdir /m; touch /m/mine")
    local image = merged{ ours = ours, theirs = theirs }.image.uuid
    assert.equal("5001\n", sh(image, "find /m -type f | wc -l"))
  end)
end)
