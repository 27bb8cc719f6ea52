-- Volumes and mounts by the module, on real sandboxes.
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local safe = require("contree.safe")

describe("volumes and mounts", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  local CACHE = { ["/cache"] = "cache" }

  it("outlive runs of every kind", function()
    local first = image:run{ shell = "echo 1 >> /cache/f; cat /cache/f", volumes = CACHE }
    assert.equal("1\n", first.stdout)
    local operation = image:start{ shell = "echo 2 >> /cache/f", volumes = CACHE }
    operation:wait()
    local process = image:popen({ "tee", "-a", "/cache/f" }, { volumes = CACHE })
    assert.equal("3\n", (process:communicate("3\n")))
    local prepared = image:prepare{ shell = "echo 4 >> /cache/f", volumes = CACHE }
    prepared()
    prepared()
    assert.equal("1\n2\n3\n4\n4\n", image:run{ shell = "cat /cache/f", volumes = CACHE }.stdout)
  end)

  it("are no part of a session's images", function()
    local session = image:session()
    session:run{ shell = "echo x > /cache/s; echo y > /kept", volumes = CACHE }
    session:run{ shell = "test -e /cache/s && cp /cache/s /copy", volumes = CACHE, check = true }
    assert.equal("y\n", session:read("/kept"))
    assert.equal("x\n", session:read("/copy"))
    assert.same({}, session:ls("/cache"))
    session:rollback(1)
    assert.equal("x\n", session:run{ shell = "cat /cache/s", volumes = CACHE }.stdout)
    local paths = {}
    for _, change in ipairs(session.image:diff(image)) do paths[#paths + 1] = change.path end
    assert.same({ "/cache", "/kept" }, paths)
  end)

  it("are used in a workspace, and bring nothing home", function()
    local folder = directory .. "/folder"
    disk.capture("mkdir -p " .. folder .. " && echo main > " .. folder .. "/main")
    local workspace = image:workspace{ path = folder }
    local result = workspace:run{ shell = "echo built > target/out; cat main target/out /data/main",
      volumes = { ["/work/target"] = "target" }, mounts = { ["/data"] = folder } }
    assert.equal("main\nbuilt\nmain\n", result.stdout)
    for _, change in ipairs(workspace:changes()) do
      assert.is_nil(change.path:find("out", 1, true))
    end
    assert.equal("built\n", workspace:run{ shell = "cat target/out",
      volumes = { ["/work/target"] = "target" } }.stdout)
  end)

  it("are listed, found, limited and removed", function()
    image:run{ shell = "head -c 5000 /dev/zero > /v/f", volumes = { ["/v"] = "managed" } }
    local found = client.volumes:get("managed")
    assert.equal(5000, found.size)
    assert.is_false(found.in_use)
    assert.is_nil(found.quota)
    assert.is_string(found.used_at)
    local names = {}
    for _, each in ipairs(client.volumes:list()) do names[each.name] = each end
    assert.same(found, names.managed)
    assert.equal(7000, client.volumes:create("managed", { quota = 7000 }).quota)
    local operation = image:start{ shell = "sleep 60", volumes = { ["/v"] = "managed" } }
    assert.is_true(client.volumes:get("managed").in_use)
    local gone, err = safe.new{ engine = { data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }.volumes:remove("managed")
    assert.is_nil(gone)
    assert.equal("conflict", err.kind)
    assert.matches("used by 1 run", err.message)
    operation:cancel()
    pcall(operation.wait, operation)
    client.volumes:remove("managed")
    local ok, missing = pcall(client.volumes.get, client.volumes, "managed")
    assert.is_false(ok)
    assert.equal("not_found", missing.kind)
  end)

  it("end a run at their quota, and say so", function()
    client.volumes:create("tight", { quota = 1000000 })
    local ok, err = pcall(image.run, image, { shell = "head -c 3000000 /dev/zero > /v/f; sleep 60",
      volumes = { ["/v"] = "tight" } })
    assert.is_false(ok)
    assert.equal("operation_failed", err.kind)
    assert.matches("quota of 1000000", err.message)
  end)

  it("show directories of this machine, read-only", function()
    local folder = directory .. "/shown"
    disk.capture("mkdir -p " .. folder .. " && chmod 755 " .. directory .. " " .. folder
      .. " && echo x > " .. folder .. "/f")
    local result = image:run{ shell = "cat /data/f; echo y > /data/f",
      mounts = { ["/data"] = folder } }
    assert.equal("x\n", result.stdout)
    assert.matches("Read%-only file system", result.stderr)
    assert.equal("x\n", disk.read(folder .. "/f"))
    local ok, err = pcall(image.run, image, { shell = "true", mounts = { ["/x"] = "/nowhere" } })
    assert.is_false(ok)
    assert.equal("unprocessable", err.kind)
    ok, err = pcall(image.run, image, { shell = "true", mounts = { ["/x"] = directory } })
    assert.is_false(ok)
    assert.matches("data directory", err.message)
  end)
end)
