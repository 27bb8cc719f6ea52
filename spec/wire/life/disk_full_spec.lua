-- On a full disk the request fails with 507, and nothing else is lost.
local tar = require("contree.base.tar")
local wire = require("spec.support.wire")

describe("on a full disk", function()
  local engine, mounted
  local MB = 1024 * 1024

  -- Uses a tmpfs where that can hold layers (Linux 6.6), else a small ext4.
  local function mount(size)
    local answer = wire.run(([[exec 2>&1
      size=%s data=%s disk=%s/disk
      mount -t tmpfs -o size=$size,mode=700 contree-spec $data || exit
      python3 -c "import os; os.setxattr('$data', 'user.x', b'')" || {
        umount $data
        mke2fs -q -t ext4 -O ^has_journal -m 0 -d $data $disk $size >/dev/null &&
        mount -o loop $disk $data && rm -r $data/lost+found && chmod 700 $data || exit
      }
      echo ok]]):format(size, engine.data, engine.directory))
    return answer:match("ok$") ~= nil
  end
  local function restart()
    engine:kill("KILL")
    engine:launch()
  end
  local function fill()
    wire.run(("dd if=/dev/zero of=%s/filler bs=64k 2>/dev/null; dd if=/dev/zero bs=4k "
      .. ">>%s/filler 2>/dev/null"):format(engine.data, engine.data))
  end
  local function make_room() wire.run(("rm %s/filler"):format(engine.data)) end
  local function count(what)
    return tonumber(wire.run(("find %s/%s -mindepth 1 2>/dev/null | wc -l")
      :format(engine.data, what)))
  end
  local function layers()
    return wire.run(("ls %s/l | sort -n | tr '\\n' ' '"):format(engine.data))
  end
  local function check_error(reply)
    assert.are.equal(507, reply.status, reply.body)
    assert.are.equal(507, reply.json.status)
    assert.is_true(#reply.json.error > 0)
  end
  -- The engine works again, and still does after a restart.
  local function works()
    for _ = 1, 2 do
      local file = engine:request("POST", "/v1/files", { body = "small" })
      assert.are.equal(200, file.status - file.status % 100, file.body)
      local done = engine:run{ shell = true, disposable = false,
        command = "echo saved > /f; echo ok" }
      assert.are.equal("SUCCESS", done.status)
      assert.are.equal("saved\n", engine:get(("/v1/inspect/%s/download?path=/f"):format(
        done.result_image_uuid)).body)
      restart()
    end
  end

  before_each(function()
    engine = wire.start()
    engine:kill("TERM")
    mounted = mount("24m")
    if mounted then engine:launch() end
  end)
  after_each(function()
    if engine:is_alive() then engine:kill("TERM") end
    if mounted then wire.run(("umount -l %s"):format(engine.data)) end
    engine:stop()
  end)

  -- Without the right to mount there is no disk to fill.
  local function on_small_disk(what, test)
    it(what, function()
      if not mounted then return pending("needs a mount") end
      test()
    end)
  end

  -- Without skopeo and with an empty data directory on a full disk: what a new user has.
  on_small_disk("the first image is missing because of that, and says so", function()
    engine:kill("TERM")
    wire.run(("rm -r %s/*"):format(engine.data))
    fill()
    wire.run(("truncate -s -800K %s/filler"):format(engine.data))
    engine.prefix = "PATH=" .. wire.run("dirname $(command -v contree-engine)")
    engine:launch()
    local reply = engine:post("/v1/images/import", { tag = "busybox:latest",
      registry = { url = "docker://busybox:latest" } })
    check_error(reply)
    assert.matches("could not make busybox:latest .*No space left", reply.json.error)
    local other = engine:post("/v1/images/import", { tag = "other:1",
      registry = { url = "docker://other:1" } })
    assert.are.equal(501, other.status)
    assert.matches("skopeo", other.json.error)
  end)

  on_small_disk("an upload is refused and leaves nothing", function()
    local reply = engine:request("POST", "/v1/files", { body = ("x"):rep(28 * MB) })
    check_error(reply)
    assert.are.equal(0, count("b"))
    works()
  end)

  on_small_disk("a volume is refused and leaves nothing; a run that fills one fails", function()
    local function volumes() return engine:get("/v1/volumes").json.volumes end
    fill()
    local reply
    for i = 1, 200 do -- there may be room in pages that the database has already
      reply = engine:post("/v1/volumes", { name = "v" .. i })
      if reply.status ~= 200 then break end
    end
    check_error(reply)
    assert.are.equal(#volumes(), tonumber(wire.run(("ls %s/v | wc -l"):format(engine.data))))
    make_room()
    local done = engine:run{ shell = true, disposable = true, timeout = 20,
      command = "head -c 60000000 /dev/zero > /v/f; sleep 5", volumes = { ["/v"] = "full" } }
    assert.are.equal("FAILED", done.status)
    fill() -- its own removal has to find the room
    assert.are.equal(204, engine:request("DELETE", "/v1/volumes/full").status)
    make_room()
    for _, volume in ipairs(volumes()) do
      assert.are.equal(204, engine:request("DELETE", "/v1/volumes/" .. volume.name).status)
    end
    wire.eventually("the space", function() return count("trash") == 0 end)
    works()
  end)

  on_small_disk("an archive that arrives is refused and leaves nothing", function()
    local before = layers()
    local writer = {}
    local file = { write = function(_, bytes) writer[#writer + 1] = bytes; return true end,
      flush = function() return true end }
    local archive = tar.writer(file)
    local data = ("x"):rep(28 * MB)
    archive:add({ name = "big", type = "file", mode = 420, uid = 0, gid = 0, mtime = 0,
      size = #data }, function() return data end)
    archive:finish()
    local image = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
    check_error(engine:request("POST", ("/v1/images/%s/layers"):format(image),
      { body = table.concat(writer) }))
    wire.eventually("the space", function() return engine:is_clean() end)
    assert.are.equal(before, layers())
    works()
  end)

  on_small_disk("a run that fills it fails or is told, and leaves nothing", function()
    local before = layers()
    local done = engine:run{ shell = true, disposable = false, timeout = 20,
      command = "head -c 60000000 /dev/zero > /f; sleep 5; echo over > /g" }
    assert.are.equal("FAILED", done.status)
    assert.is_truthy(done.error)
    assert.is_nil(done.result_image_uuid ~= wire.null and done.result_image_uuid or nil)
    wire.eventually("the space", function()
      return tonumber(wire.run(("df --output=avail -k %s | tail -1"):format(engine.data))) > 15000
    end)
    assert.are.equal(before, layers())
    works()
  end)

  on_small_disk("a layer is published whole or not at all", function()
    local before = layers()
    local id = engine:spawn{ shell = true, disposable = false,
      command = "while ! test -e /go; do sleep 0.02; done; rm /go; mkdir /many; "
        .. "i=0; while test $i -lt 200; do echo > /many/$i; i=$((i+1)); done" }
    wire.eventually("the run", function()
      return engine:post(("/v1/operations/%s/subprocesses"):format(id),
        { command = "touch", args = { "/go" } }).status == 201
    end)
    fill()
    local done = engine:wait(id)
    make_room()
    if done.status == "SUCCESS" then
      -- There was still room for its rows, so the image exists.
      assert.are.equal(200, engine:get(("/v1/inspect/%s/list?path=/many"):format(
        done.result_image_uuid)).status)
    else
      assert.are.equal("FAILED", done.status)
      assert.is_truthy(done.error)
      -- Nothing is left, with one exception: the disk had room for the image but not for
      -- the end of the operation. Such an image is whole, and is garbage.
      for _, image in ipairs(engine:get("/v1/images").json.images) do
        if image.operation_uuid == id then
          before = nil
          assert.are.equal(200, engine:get(("/v1/inspect/%s/list?path=/many"):format(
            image.uuid)).status)
        end
      end
      if before then assert.are.equal(before, layers()) end
    end
    works()
  end)

  on_small_disk("the database refuses, keeps what it had, and goes on", function()
    local image = engine:run{ shell = true, disposable = false, command = "echo 1 > /f" }
      .result_image_uuid
    local function tag(name)
      return engine:request("PATCH", ("/v1/images/%s/tag"):format(image),
        { body = ('{"tag":"%s"}'):format(name) })
    end
    assert.are.equal(200, tag("before").status)
    fill()
    local refused, last
    for i = 1, 400 do
      local reply = tag("full" .. i)
      if reply.status ~= 200 then
        refused = reply
        break
      end
      last = "full" .. i
    end
    assert.is_truthy(refused, "the disk was not full")
    check_error(refused)
    check_error(engine:request("POST", "/v1/files", { body = ("x"):rep(MB) }))
    -- Reading still works.
    assert.are.equal(200, engine:get("/v1/images").status)
    assert.are.equal("1\n", engine:get(("/v1/inspect/%s/download?path=/f"):format(image)).body)
    -- A run whose id was not reported to anybody is ended.
    check_error(engine:post("/v1/instances", wire.spawn{ command = "sleep", args = { "1000" } }))
    wire.eventually("the run to end", function()
      return engine:get("/v1/whoami").json.operations_stat.running_instances == 0
    end)
    make_room()
    assert.are.equal(last or "before", engine:get("/v1/images?uuid=" .. image).json.images[1].tag)
    assert.are.equal(200, tag("after").status)
    works()
    assert.are.equal("after", engine:get("/v1/images?uuid=" .. image).json.images[1].tag)
  end)
end)
