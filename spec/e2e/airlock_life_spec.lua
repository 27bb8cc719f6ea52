-- What becomes of open connections when something of a run with rules ends by force: the engine,
-- the airlock, init, the run itself. Nothing is left, and whoever waits is told.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local outside = require("spec.support.outside")
local wire = require("spec.support.wire")

-- Holds connections, and says how many are open.
local HOLDER = [[
import socket, ssl, sys, threading
count, lock, tls = 0, threading.Lock(), sys.argv[1] != "-"
def tell(change):
    global count
    with lock:
        count += change
        open(sys.argv[2], "w").write(str(count))
def serve(c):
    try:
        if tls: c = context.wrap_socket(c, server_side=True)
        tell(1)
        try:
            while c.recv(4096): pass
        finally: tell(-1)
    except OSError: pass
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1] + "/server.pem", sys.argv[1] + "/server.key")
tell(0)
s = socket.create_server(("127.0.0.1", 0), backlog=200); print(s.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()]]

-- Opens 40 connections, half of them with TLS, says so, and what became of the first.
local OPEN = [[
import socket, ssl, sys, os
kept = []
for i in range(20):
    kept.append(socket.create_connection(("plain.example", 7000)))
    kept[-1].sendall(b"x")
    c = ssl.create_default_context().wrap_socket(socket.create_connection(("tls.example", 443)),
        server_hostname="tls.example")
    c.sendall(b"GET / HTTP/1.1\r\nHost: tls.example\r\n\r\n")
    kept.append(c)
print("open", flush=True)
for c in kept[:2]:
    try: print("got", c.recv(1), flush=True)
    except OSError as e: print(type(e).__name__, flush=True)
try: socket.create_connection(("plain.example", 7000), timeout=5); print("connected")
except OSError as e: print(type(e).__name__, e, flush=True)
]]

describe("an airlock with open connections", function()
  local world, client, directory, image, mounts, stop, networking, secrets
  local count -- of open connections

  local function start_engine()
    client, directory, stop = home.client{ engine = { path = world:engine() } }
    image, mounts = world:image(client, directory)
  end

  setup(function()
    world = outside.start()
    local plain, tls = world.directory .. "/plain.count", world.directory .. "/tls.count"
    local ports = { world:python(HOLDER, "-", plain), world:python(HOLDER, world.directory, tls) }
    networking = { allow = { "plain.example:7000", "tls.example" }, resolve = {
      ["plain.example"] = "127.0.0.1:" .. ports[1], ["tls.example"] = "127.0.0.1:" .. ports[2] } }
    secrets = { TOKEN = { value = outside.TOKEN, hosts = { "tls.example" } } }
    function count() return tonumber(disk.read(plain)) or -1, tonumber(disk.read(tls)) or -1 end
    start_engine()
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  -- Starts a run with all its connections; returns the operation.
  local function begin(more)
    local given = { shell = "python3 -c " .. disk.quote(OPEN) .. "; echo on; "
      .. (more or "sleep 60"), mounts = mounts, timeout = 100, networking = networking,
      secrets = secrets }
    local operation = image:start(given)
    wire.eventually("40 connections", function()
      local a, b = count()
      return a == 20 and b == 20
    end)
    return operation
  end

  local function all_end()
    wire.eventually("the end of the connections", function()
      local a, b = count()
      return a == 0 and b == 0
    end)
  end

  local function engine_pid() return home.pid(directory .. "/data") end

  -- The processes below the engine, by name.
  local function below(name)
    return disk.capture(([[pids() { for p in $(pgrep -P $1); do echo $p; pids $p; done; }
      for p in $(pids %d); do [ "$(cat /proc/$p/comm)" = %s ] && echo $p; done]]):format(
      engine_pid(), name)):match("%d+")
  end

  -- Whether one is there, and no zombie.
  local function lives(pid)
    return disk.capture(("ps -o stat= -p %s | grep -v Z"):format(pid)) ~= ""
  end

  local function namespace_of(pid)
    return disk.capture("readlink /proc/" .. pid .. "/ns/net"):match("%S+")
  end

  -- Whether a process of a sandbox or an airlock is in it. The forkserver, the engine's child, may
  -- be: it enters a namespace before it makes a cell there.
  local function is_used(namespace, engine)
    return disk.capture(([=[for p in /proc/[0-9]*; do
      [ "$(readlink $p/ns/net)" = '%s' ] && ! grep -q '^PPid:[[:space:]]%s$' $p/status && echo $p
      done 2>/dev/null]=]):format(namespace, engine)) ~= ""
  end

  local function interfaces() return disk.capture("ls /sys/class/net") end

  it("ends them at once when the run is cancelled", function()
    local before = interfaces()
    local operation = begin()
    local airlock, command = below("contree-airlock"), below("python3")
    local namespace, engine = namespace_of(command), engine_pid()
    assert.is_true(is_used(namespace, engine))
    operation:cancel()
    all_end()
    wire.eventually("the end of its processes", function()
      return not lives(airlock) and not lives(command) and not is_used(namespace, engine)
    end)
    assert.equal(before, interfaces())
  end)

  it("ends them when it is killed, and the run goes on without a network", function()
    local operation = begin("true")
    local airlock = below("contree-airlock")
    disk.capture("kill -KILL " .. airlock)
    all_end()
    local result = operation:wait()
    assert.matches("^open\n[^\n]+\n[^\n]+\n%a+ [^\n]*\non\n$", result.stdout)
    assert.is_nil(result.stdout:find("got b'[^']"))
    assert.is_nil(result.stdout:find("connected", 1, true))
    local reasons = {}
    for _, each in ipairs(result.denied) do reasons[each.reason] = true end
    assert.is_true(reasons.lost)
  end)

  it("ends with init of the sandbox, and the run fails with a reason", function()
    local operation = begin()
    local airlock, command = below("contree-airlock"), below("python3")
    local namespace, engine = namespace_of(command), engine_pid()
    -- PID 1 of the sandbox is the parent of its shell.
    local init
    for pid in disk.capture(([[p=%s; while [ $p -gt 1 ]; do echo $p
      p=$(awk '/^PPid/ { print $2 }' /proc/$p/status); done]]):format(command)):gmatch("%d+") do
      if disk.capture("grep -c '^NSpid:.*[[:space:]]1$' /proc/" .. pid .. "/status"):find("1") then
        init = init or pid
      end
    end
    disk.capture("kill -KILL " .. init)
    all_end()
    local ok, result = pcall(operation.wait, operation)
    if ok then
      assert.is_not_equal(0, result.exit_code or 0, tostring(result))
    else
      assert.equal("operation_failed", result.kind, tostring(result))
      assert.is_true(#result.message > 10)
    end
    wire.eventually("the end of its processes", function()
      return not lives(airlock) and not is_used(namespace, engine)
    end)
  end)

  it("ends with the engine, however that ends", function()
    local before = interfaces()
    local operation = begin()
    local airlock, command = below("contree-airlock"), below("python3")
    local namespace, engine = namespace_of(command), engine_pid()
    home.stop_engine(directory .. "/data", "KILL")
    all_end()
    wire.eventually("the end of its processes", function()
      return not lives(airlock) and not lives(command) and not is_used(namespace, engine)
    end)
    assert.equal(before, interfaces())
    -- The next engine says what became of the run, and makes others.
    local err = failure(operation.wait, operation)
    assert.is_true(err.kind == "operation_failed" or err.kind == "connection_failed", tostring(err))
    local stored = client.operations:get(operation.uuid)
    assert.equal("FAILED", (stored:status()))
    begin():cancel()
    all_end()
  end)

  it("leaves nothing of many runs that end in all these ways", function()
    begin():cancel()
    all_end()
    local function descriptors()
      return tonumber((disk.capture("ls /proc/" .. engine_pid() .. "/fd | wc -l")))
    end
    local before, most = interfaces(), 0
    for _ = 1, 5 do -- sandboxes that are made ahead come a moment later
      most = math.max(most, descriptors())
      contree.sleep(0.1)
    end
    for i = 1, 6 do
      local operation = begin()
      if i % 3 == 0 then
        disk.capture("kill -KILL " .. below("contree-airlock"))
        all_end()
      elseif i % 3 == 1 then
        disk.capture("kill -KILL " .. below("python3"))
        all_end()
      end
      operation:cancel()
      all_end()
    end
    wire.eventually("the end of all airlocks", function() return not below("contree-airlock") end)
    assert.equal(before, interfaces())
    wire.eventually("descriptors as before", function() return descriptors() <= most + 2 end)
  end)
end)
