-- Starts support/core_peer.py for a spec, and drives loops with a time limit, so that no
-- spec hangs.
local core = require("contree.core")
local disk = require("spec.support.disk")

local core_peer = {}

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

--- The command of the interpreter that runs this.
core_peer.interpreter = rawget(_G, "jit") and "luajit" or "lua5.4"

--- The names in a directory, sorted, one a line.
function core_peer.list(directory)
  return disk.capture("ls -A '" .. directory .. "'")
end

--- Open files of this process, as text.
function core_peer.open_files()
  collectgarbage() -- closes files that were forgotten
  collectgarbage()
  -- List them in a child, which lacks those that are close-on-exec. Inodes are left out.
  local list = "cd /proc/" .. core.getpid() .. "/fd; for f in *; do readlink $f; done"
  return (disk.capture(list):gsub("%[%d+%]", ""))
end

--- A field of /proc/self/status in KiB.
function core_peer.memory(field)
  local status = disk.read("/proc/" .. core.getpid() .. "/status")
  return tonumber(status:match(field .. ":%s*(%d+)"))
end

local function certificate(directory)
  local ok = os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
    .. "-nodes -days 2 -subj /CN=peer -addext subjectAltName=IP:127.0.0.1 "
    .. "-keyout %s/key.pem -out %s/cert.pem 2>/dev/null"):format(directory, directory))
  return ok == true or ok == 0
end

--- Starts a peer; options.tls gives it a certificate. Returns the peer, with directory,
--- socket, url, tls_url and ca_file.
function core_peer.start(options)
  local directory = disk.directory()
  local peer = {directory = directory, socket = directory .. "/peer.sock"}
  local arguments = peer.socket
  if options and options.tls then
    assert(certificate(directory), "no certificate; is openssl installed?")
    peer.ca_file = directory .. "/cert.pem"
    arguments = ("%s %s/cert.pem %s/key.pem"):format(arguments, directory, directory)
  end
  local command = "exec python3 " .. here .. "core_peer.py "
  peer.pipe = assert(io.popen(command .. arguments))
  local line = assert(peer.pipe:read("*l"), "the peer did not start")
  local pid, port, tls_port = line:match("(%d+) (%d+) (%d+)")
  peer.pid = pid
  peer.url = "http://127.0.0.1:" .. port
  peer.tls_url = "https://127.0.0.1:" .. tls_port

  function peer.stop()
    os.execute("kill -9 " .. peer.pid .. " 2>/dev/null")
    peer.pipe:close()
    os.execute("rm -rf '" .. directory .. "'")
  end

  --- A request over the Unix socket.
  function peer.request(path, fields)
    local request = {url = "http://peer" .. path, unix_socket = peer.socket}
    for key, value in pairs(fields or {}) do request[key] = value end
    return request
  end

  --- A counter of the peer.
  function peer.count(loop, name)
    local request = peer.request("/count?of=" .. name:gsub(" ", "+"))
    local result = core_peer.finish(loop, loop:add(request))
    return tonumber(result.body)
  end

  return peer
end

--- Steps the loop until condition() holds; an error after `seconds` (30).
function core_peer.wait_until(loop, condition, seconds)
  local deadline = core.now() + (seconds or 30)
  while not condition() do
    assert(core.now() < deadline, "waited too long")
    loop:wait(100)
    -- The spec needs none of them, but a full queue makes wait() return at once.
    while loop:next_ready() do end
  end
end

--- Runs the transfer to its end and returns its result.
function core_peer.finish(loop, transfer, seconds)
  core_peer.wait_until(loop, function() return transfer:done() end, seconds)
  local result = transfer:result()
  result.headers = transfer:headers()
  return result
end

--- Steps the loop for `seconds`.
function core_peer.linger(loop, seconds)
  local deadline = core.now() + seconds
  core_peer.wait_until(loop, function() return core.now() >= deadline end)
end

return core_peer
