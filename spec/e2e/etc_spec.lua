-- /etc/hosts in sandboxes, from Lua, and in images that bring their own.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("A2: /etc of a sandbox", function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  it("names localhost and the host", function()
    local out = busybox:run{ hostname = "db.example.org",
      shell = "for n in localhost db db.example.org; do ping -c1 -w1 $n 2>&1 | head -n1; done" }
    assert.are.equal(3, select(2, out.stdout:gsub("PING %S+ %(127.0.0.1%)", "")), out.stdout)
  end)

  it("is not kept, unless asked for", function()
    local session = busybox:session()
    session:run("mkdir -p /etc; echo 10.1.1.1 one >> /etc/hosts; grep one /etc/hosts")
    assert.is_false(session:exists("/etc/hosts"))
    session:run{ shell = "mkdir -p /etc; echo 10.1.1.1 one >> /etc/hosts", image_etc = true }
    assert.are.equal("10.1.1.1 one\n", session:read("/etc/hosts"))
    assert.matches("127.0.0.1", session:run("cat /etc/hosts").stdout, 1, true)
    assert.are.equal("10.1.1.1 one\n", session:read("/etc/hosts"))
  end)

  it("is what COPY and ADD bring, in the image", function()
    local context = directory .. "/context"
    os.execute(("mkdir -p %s/root/etc && cd %s && echo copied > root/etc/hosts && "
      .. "ln -s ../run/x root/etc/resolv.conf && "
      .. "tar --owner=0 --group=0 --numeric-owner -cf root.tar -C root . && "
      .. "echo first > hosts"):format(context, context))
    disk.write(context .. "/Dockerfile", [[
FROM busybox:latest AS one
COPY hosts /etc/hosts
RUN test "$(head -n 1 /etc/hosts | cut -f 2)" = localhost -o "$(cat /etc/hosts)" = first
FROM busybox:latest AS two
COPY root /
FROM busybox:latest
ADD root.tar /
COPY --from=two /etc/hosts /etc/hostname
RUN grep localhost /etc/hosts
]])
    local function made(target)
      return client.images:build{ context = context, target = target }
    end
    assert.are.equal("first\n", made("one"):read("/etc/hosts"))
    local two = made("two")
    assert.are.equal("copied\n", two:read("/etc/hosts"))
    assert.are.equal("../run/x", two:stat("/etc/resolv.conf").target)
    local three = made()
    assert.are.equal("copied\n", three:read("/etc/hosts"))
    assert.are.equal("copied\n", three:read("/etc/hostname"))
    assert.are.equal("../run/x", three:stat("/etc/resolv.conf").target)
  end)
end)
