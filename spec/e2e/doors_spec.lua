-- Every door by which a run gets rules of the network: the command, the tools for agents, builds,
-- workspaces, boxes, sessions, defaults. Behind each the same airlock stands.
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local mcp = require("spec.support.mcp")
local outside = require("spec.support.outside")
local program = require("spec.support.program")

-- One line that shows what is allowed, what is not, and the secret.
local TRY = 'curl -sS -H "X-Token: $TOKEN" https://tls.example/token; '
  .. "curl -sS -m 5 http://other.example/who || echo no other"
local SAID = "yes\nno other\n"

describe("rules of the network hold", function()
  local world, client, directory, image, mounts, stop, rules, secrets

  setup(function()
    world = outside.start()
    client, directory, stop = home.client{ engine = { path = world:engine() } }
    image, mounts = world:image(client, directory)
    rules = { allow = { "tls.example", "plain.example" }, resolve = world:resolve() }
    secrets = { TOKEN = { value = outside.TOKEN, hosts = { "tls.example" } } }
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  local function said(result)
    return (result.stdout:gsub("curl: [^\n]*\n", ""))
  end

  local function with_rules(more)
    local given = { shell = TRY, mounts = mounts, networking = rules, secrets = secrets }
    for name, value in pairs(more or {}) do given[name] = value end
    return given
  end

  describe("at a shell and for agents,", function()
    local place, before

    setup(function()
      place = disk.directory()
      disk.capture(("contree-engine import %s/image.tar --tag outside:here --data-dir %s/data")
        :format(world.directory, place))
      disk.write(place .. "/network.ini", ([[
[base]
allow = plain.example
resolve = plain.example 127.0.0.1:%d
[here]
allow = @base tls.example
deny = plain.example
resolve = tls.example 127.0.0.1:%d
]]):format(world.http, world.https))
      before = "TOKEN=" .. outside.TOKEN .. " CONTREE_ENGINE=" .. world:engine() .. " "
    end)
    teardown(function()
      home.stop_engine(place .. "/data")
      disk.remove(place)
    end)

    local function run(options, line, image_name)
      return program.run(place, ("run %s --mount /usr:/usr %s -- /bin/sh -c %s"):format(options,
        image_name or "outside:here", disk.quote(line)), { before = before })
    end

    it("by presets, and what they contain", function()
      local out, err, code = run("--allow @here --secret TOKEN=tls.example", TRY)
      assert.same({ SAID, 0 }, { out, code }, err)
      assert.matches("other.example", err, 1, true)
      -- What a preset denies stays denied, whatever else allows it.
      out, err = run("--allow @here --allow plain.example",
        "curl -sS http://plain.example/who; true")
      assert.equal("", out)
      assert.matches("plain.example", err, 1, true)
      assert.equal("- plain.example GET /who\n",
        (run("--allow @base", "curl -sS http://plain.example/who")))
    end)

    it("by hosts, and are refused with a reason", function()
      for words, options in pairs{ ["@her"] = "--allow @her", ["a..b"] = "--allow a..b",
        ["leave one of them out"] = "--allow a.example --net",
        ["NO_SUCH"] = "--allow a.example --secret NO_SUCH=a.example",
        ["networking"] = "--secret TOKEN=tls.example" } do
        local out, err, code = run(options, "echo ran")
        assert.equal("", out, options)
        assert.is_true(code ~= 0, options)
        assert.is_not_nil(err:find(words, 1, true), options .. ": " .. err)
        assert.is_nil(err:find(outside.TOKEN, 1, true))
      end
      local out, err = run("--allow nobody.example:8443", "curl -sS https://nobody.example:8443 "
        .. "|| echo failed")
      assert.equal("failed\n", out)
      assert.matches("nobody.example:8443", err, 1, true)
    end)

    it("as an agent's argument", function()
      local agent = mcp.start(place)
      agent:initialize()
      local answer = agent:call("run", { image = "tag:outside:here", mounts = nil,
        command = "getent hosts nope.example; true", allow = { "plain.example", "@base" } })
      local text = require("cjson").encode(answer)
      agent:close()
      assert.is_not_nil(text:find("airlock", 1, true), text)
    end)
  end)

  it("in the RUN of a build", function()
    local folder = disk.directory()
    disk.write(folder .. "/Dockerfile", "FROM busybox:latest\n"
      .. "RUN wget -qO /got http://plain.example/who\n"
      .. "RUN wget -T 5 -qO- http://other.example/who || echo no other >> /got\n")
    local built = client.images:build{ context = folder, networking = rules,
      cache_dir = folder .. "/cache" }
    assert.equal("- plain.example GET /who\nno other\n", built:read("/got"))
    -- Without rules, and without a network.
    local ok = pcall(client.images.build, client.images, { context = folder, networking = false,
      no_cache = true, cache_dir = folder .. "/cache" })
    assert.is_false(ok)
    disk.remove(folder)
  end)

  it("in a workspace", function()
    local folder = disk.directory()
    local workspace = image:workspace{ path = folder }
    local result = workspace:run(with_rules{ shell = "{ " .. TRY .. "; } > said 2>&1" })
    assert.equal("other.example", result.denied[1].name)
    workspace:apply()
    assert.equal(SAID, said{ stdout = disk.read(folder .. "/said") })
    disk.remove(folder)
  end)

  it("in a box, whose connections outlast a pause", function()
    local box = image:open{ mounts = mounts, networking = rules, secrets = secrets }
    assert.equal(SAID, said(box:run(TRY)))
    local process = box:popen({ "python3", "-u", "-c", [[
import socket, sys
s = socket.create_connection(("plain.example", 80))
ask = b"GET /who HTTP/1.1\r\nHost: plain.example\r\n\r\n"
for line in sys.stdin:
    s.sendall(ask); print(s.recv(4096).split(b"\r\n")[0].decode(), flush=True)
]] })
    process.stdin:write("\n")
    assert.equal("HTTP/1.1 200 OK", process.stdout:read("l"))
    box.operation:pause()
    contree.sleep(0.2)
    box.operation:resume()
    process.stdin:write("\n")
    assert.equal("HTTP/1.1 200 OK", process.stdout:read("l"))
    process:kill()
    assert.equal(SAID, said(box:run(TRY)))
    local snapshot = box:snapshot()
    box:close()
    -- An image has no rules.
    assert.equal("none\n", snapshot:run{ shell = "ls /sys/class/net/eth0 2>/dev/null || echo none",
      mounts = mounts }.stdout)
  end)

  it("in sessions, and by a client's defaults", function()
    local session = image:session()
    assert.equal(SAID, said(session:run(with_rules())))
    assert.equal(SAID, said(session:run(with_rules())))
    local options = home.options(directory)
    options.networking, options.secrets = rules, secrets
    local other = contree.new(options)
    local base = other.images:use(image.uuid)
    local ways = {
      run = base:run{ shell = TRY, mounts = mounts },
      start = base:start{ shell = TRY, mounts = mounts }:wait(),
      prepare = base:prepare{ shell = TRY, mounts = mounts }(),
      session = base:session():run{ shell = TRY, mounts = mounts },
    }
    for name, result in pairs(ways) do assert.equal(SAID, said(result), name) end
    local box = base:open{ mounts = mounts }
    assert.equal(SAID, said(box:run(TRY)))
    box:close()
    -- A run that says something itself does not get them.
    assert.equal("none\nno other\n", said(base:run{ shell = "echo ${TOKEN:-none}; "
      .. "curl -sS -m 5 http://other.example/who || echo no other", mounts = mounts,
      networking = { allow = {} }, secrets = {} }))
    other:close()
  end)

  it("whatever a sandbox does to change them", function()
    local operation = image:start(with_rules{ shell = "sleep 60" })
    local result = operation:spawn([[exec 2>&1
      ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c airlock
      for each in /dev/shm/contree-*; do rm -f $each; echo changed > $each; done
      echo 'nameserver 192.0.2.1' > /etc/resolv.conf
      find / -xdev -type s | head; ip link set lo down; iptables -P OUTPUT ACCEPT
      curl -sS -m 5 http://other.example/who || echo no other]]):wait()
    assert.matches("no other\n$", result.stdout)
    assert.matches("^0\n", result.stdout)
    operation:cancel()
    -- The next run has its own.
    assert.equal(SAID, said(image:run(with_rules())))
  end)
end)
