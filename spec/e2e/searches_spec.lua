-- Searches for a secret, everywhere that it must not be: what a sandbox can read while another
-- of its processes uses the secret, what comes out of a run, what the engine says, keeps and
-- leaves when it crashes, what a client prints and writes. Each search is for all the forms that
-- spec/support/searches.py knows. The last test counts them (docs/proofs/airlock.md).
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local mcp = require("spec.support.mcp")
local outside = require("spec.support.outside")
local program = require("spec.support.program")
local wire = require("spec.support.wire")

-- Letters that other forms write in another way.
local VALUE = "Zq7/Kp2+Xw9=Lm4-Rt6.Vb8_Ny1~Hc3d"

-- Says back what it was sent, in many ways, and writes it down.
local SERVER = [[
import http.server, os, ssl, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body, code=200, headers={}, reason=None, length=True):
        self.send_response(code, reason)
        for name, value in headers.items():
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if length and self.command != "HEAD":
            self.wfile.write(body)
    def do_GET(self):
        token = self.headers.get("Authorization", "") + self.headers.get("X-Token", "")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(sys.argv[2], "a") as f:
            f.write("%s %s\n%s\n%s\n" % (self.command, self.path, str(self.headers).strip(),
                body.decode("latin-1")))
        told, path = token.encode("latin-1"), self.path.split("?")[0]
        if path == "/headers":
            self.answer(b"", headers={"X-Echo": token, "Set-Cookie": "t=" + token})
        elif path == "/reason": self.answer(b"", reason=token)
        elif path == "/redirect":
            self.answer(told, 302, {"Location": "https://tls.example/?" + token})
        elif path == "/denied": self.answer(b"not you: " + told, 401, {"WWW-Authenticate": token})
        elif path == "/hold":
            while os.path.exists(sys.argv[2] + ".hold"): time.sleep(0.02)
            self.answer(told)
        elif path in ("/chunks", "/trailers"):
            self.answer(b"", headers={"Transfer-Encoding": "chunked"}, length=False)
            for i in range(0, len(told), 5):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(told[i:i + 5]), told[i:i + 5]))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(told), told))
            trailer = b"X-Echo: " + told + b"\r\n" if path == "/trailers" else b""
            self.wfile.write(b"0\r\n" + trailer + b"\r\n")
        elif path == "/slowly":
            self.answer(b"", headers={"Connection": "close"}, length=False)
            for byte in told:
                self.wfile.write(bytes([byte])); self.wfile.flush(); time.sleep(0.002)
            self.close_connection = True
        elif path == "/part":
            a, b = self.headers.get("Range", "bytes=0-9999")[6:].split("-")
            self.answer(told[int(a):int(b) + 1], 206 if "Range" in self.headers else 200)
        else: self.answer(told + b"\n" + body + b"\n" + str(self.headers).encode("latin-1"))
    do_POST = do_HEAD = do_PUT = do_TRACE = do_GET
    def log_message(self, *args): pass
]]

describe("a secret is not found", function()
  local world, client, directory, image, mounts, stop, told, scratch, rules, secrets
  local all = {} -- the places, in order
  local is_root = disk.capture("id -u") == "0\n"

  setup(function()
    world = outside.start()
    told = world.directory .. "/told"
    local port = world:tls_server(SERVER, told)
    client, directory, stop = home.client{ engine = { path = world:engine("ulimit -c unlimited") } }
    image, mounts = world:image(client, directory)
    scratch = disk.directory()
    local disguised = VALUE:gsub(".", function(c)
      local byte, mask, sum, bit = c:byte(), 0xa5, 0, 1
      for _ = 1, 8 do
        if byte % 2 ~= mask % 2 then sum = sum + bit end
        byte, mask, bit = math.floor(byte / 2), math.floor(mask / 2), bit * 2
      end
      return string.char(sum)
    end)
    disk.write(scratch .. "/needles", disguised)
    rules = { allow = { "tls.example", "plain.example" },
      resolve = world:resolve{ ["tls.example"] = "127.0.0.1:" .. port } }
    secrets = { TOKEN = { value = VALUE, hosts = { "tls.example" } } }
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
    if scratch then disk.remove(scratch) end
  end)
  before_each(function() disk.write(told, "") end)

  -- Counts the places of a search's lines, and fails if one has the secret.
  local function check(lines)
    local count = 0
    for place, size, found in lines:gmatch("([^\t\n]+)\t(%d+)\t([^\n]*)\n") do
      all[#all + 1] = ("%s (%s bytes)"):format(place, size)
      count = count + 1
      assert.equal("", found, place)
    end
    assert.is_true(count > 0, lines)
  end

  local function search(kind, ...)
    local words = { "/usr/bin/python3 spec/support/searches.py", scratch .. "/needles", kind }
    for _, each in ipairs{ ... } do words[#words + 1] = disk.quote(tostring(each)) end
    return disk.capture(table.concat(words, " ") .. " 2>&1")
  end

  -- Searches texts, by places.
  local function texts(list)
    local place = disk.directory()
    local paths = {}
    for name, text in pairs(list) do
      assert.is_true(#text > 0, name)
      paths[#paths + 1] = name
      disk.write(place .. "/" .. name, text)
    end
    table.sort(paths)
    local quoted = {}
    for i, name in ipairs(paths) do quoted[i] = disk.quote(name) end
    check(disk.capture(("cd %s && /usr/bin/python3 %s/spec/support/searches.py %s/needles files %s "
      .. "2>&1"):format(place, program.root, scratch, table.concat(quoted, " "))))
    disk.remove(place)
  end

  local function given(more)
    local options = { mounts = mounts, timeout = 100, networking = rules, secrets = secrets,
      files = { ["/opt/searches.py"] = "spec/support/searches.py",
        ["/opt/needles"] = scratch .. "/needles" } }
    for name, value in pairs(more) do options[name] = value end
    return options
  end

  local function run(line, more)
    more = more or {}
    more.shell = "exec 2>&1; " .. line
    local result = image:run(given(more))
    return result.stdout, result
  end

  local CURL = [[curl -sS -i -m 30 -H "X-Token: $TOKEN" ]]

  it("unless it is there", function()
    for _, text in ipairs{ VALUE, VALUE:upper(), (VALUE:gsub(".", "%0\0")), VALUE:reverse(),
      require("mime").b64("me:" .. VALUE), require("mime").b64("x" .. VALUE .. "x"),
      require("mime").b64(VALUE), "..." .. VALUE:sub(1, 16), VALUE:sub(17), VALUE:sub(8, 24),
      (VALUE:gsub("/", "\\/")), (VALUE:gsub("[^%w%-%._~]", function(c)
        return ("%%%02X"):format(c:byte())
      end)), (VALUE:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) } do
      disk.write(scratch .. "/there", text)
      assert.matches("\t[^\n]+\n$", (search("files", scratch .. "/there")), text)
    end
    os.remove(scratch .. "/there")
  end)

  it("in what the server says back", function()
    local answers = {}
    for _, path in ipairs{ "body", "headers", "reason", "redirect", "denied", "chunks", "trailers",
      "slowly", "part" } do
      answers["answer: " .. path] = run(CURL .. "https://tls.example/" .. path)
      local login = run('curl -sS -i -m 30 -u "me:$TOKEN" https://tls.example/' .. path)
      answers["answer to a login: " .. path] = login
    end
    for i, range in ipairs{ "0-15", "16-31", "-1000" } do
      answers["answer: a part " .. i] = run(CURL .. "-r " .. range .. " https://tls.example/part")
      answers["answer: a part of a login " .. i] =
        run(('curl -sS -i -u "a:$TOKEN" -r %s https://tls.example/part'):format(range))
    end
    for _, method in ipairs{ "HEAD", "PUT", "TRACE" } do
      answers["answer to " .. method] = run(CURL .. (method == "HEAD" and "-I " or "-X " .. method)
        .. " https://tls.example/headers")
    end
    answers["answer to a body"] = run(CURL .. [[-d "x=$TOKEN" https://tls.example/]],
      { secrets = { TOKEN = { value = VALUE, hosts = { "tls.example" },
        places = { "header", "body" } } } })
    answers["answer to many requests of a connection"] =
      run(CURL .. "https://tls.example/a https://tls.example/headers https://tls.example/chunks")
    answers["answer to a compressed wish"] = run(CURL .. "--compressed https://tls.example/body")
    answers["what a refused request is told"] = run(CURL .. "http://plain.example/who")
    assert.matches(VALUE, disk.read(told), 1, true)
    texts(answers)
  end)

  it("in the sandbox that uses it", function()
    disk.write(told .. ".hold", "")
    local operation = image:start(given{ disposable = false, shell = [[
      printf %s "$TOKEN" > /kept; echo "$TOKEN" >> /root/history
      curl -sS -u "me:$TOKEN" https://tls.example/hold > /answer.login &
      python3 -c 'import os
from urllib.request import Request, urlopen
request = Request("https://tls.example/hold", headers={"X-Token": os.environ["TOKEN"]})
open("/answer.python", "wb").write(urlopen(request).read())' &
      curl -sS -H "X-Token: $TOKEN" https://tls.example/hold > /answer & wait; sleep 1]] })
    wire.eventually("three requests", function()
      return select(2, disk.read(told):gsub("GET /hold", "")) == 3
    end)
    local said = operation:spawn("exec 2>&1; s='python3 /opt/searches.py /opt/needles'; "
      .. "$s processes; $s directories / /dev /dev/shm /tmp /run /proc/1/net /proc/sys/kernel; "
      .. "$s files /proc/keys /proc/mounts /proc/net/tcp /proc/net/unix /proc/cmdline; "
      .. "{ env; set; export -p; } | $s text 'the variables of a shell'"):wait().stdout
    -- A shell, two curls, Python and the search's own shell. Nobody there may read init.
    local processes = select(2, said:gsub("memory of ", ""))
    assert.is_true(processes >= 5, said)
    check(said)

    -- What this machine sees of it. The airlock has the secret, and the engine's memory has it.
    local engine = home.pid(directory .. "/data")
    local pids, names = {}, {}
    for pid, name in disk.capture(([[pids() { for p in $(pgrep -P $1); do echo $p; pids $p; done; }
      for p in %d $(pids %d); do echo $p $(cat /proc/$p/comm); done]]):format(engine, engine))
      :gmatch("(%d+) ([^\n]+)\n") do
      if not name:find("^contree%-[ae]") then pids[#pids + 1] = pid end
      names[name] = true
    end
    assert.is_true(names["contree-engine"] and names["contree-airlock"] and names["curl"])
    check(search("processes", (table.unpack or unpack)(pids)))
    check(search("outside_of", engine))
    check(search("everywhere"))
    check(disk.capture(("ps axewwf | /usr/bin/python3 spec/support/searches.py %s/needles text ps")
      :format(scratch)))
    check(search("directories", directory, "/dev/shm", "/run"))
    if is_root then
      -- The root of the machine can read the airlock's memory; no other user can.
      local airlock = disk.capture("pgrep -P " .. engine .. " contree-airlock"):match("%d+")
      assert.matches("cannot", disk.capture(("setpriv --reuid 65534 --clear-groups cat "
        .. "/proc/%s/environ /proc/%s/maps 2>&1 || echo cannot"):format(airlock, airlock)))
    end

    os.remove(told .. ".hold")
    local result = operation:wait()
    assert.equal(0, result.exit_code, result.stderr)
    texts{ ["a file of the image"] = result:read("/kept"),
      ["what a login got, kept in the image"] = result:read("/answer.login"),
      ["what Python got, kept in the image"] = result:read("/answer.python"),
      ["what curl got, kept in the image"] = result:read("/answer") }

    -- The image, as it leaves.
    local out = disk.directory()
    disk.capture(("contree-engine export %s %s/image.tar --data-dir %s/data 2>&1; "
      .. "contree-engine export %s oci:%s/oci --data-dir %s/data 2>&1"):format(result.uuid, out,
        directory, result.uuid, out, directory))
    check(search("files", out .. "/image.tar"))
    check(search("directories", out))
    disk.remove(out)
    result:tag_as("kept:here")
    local diff = {}
    for _, each in ipairs(result:diff(image)) do diff[#diff + 1] = tostring(each) end
    texts{ ["the diff of the image"] = table.concat(diff, "\n"),
      ["the image, printed"] = result.uuid .. tostring(result:lineage()),
      ["the result, printed"] = tostring(result) .. tostring(result.denied) }

    -- What the engine says of it.
    local function get(path)
      return disk.capture(("curl -s --unix-socket %s/engine.sock http://x/v1/%s"):format(directory,
        path))
    end
    local uuid = operation.uuid
    local answers = {}
    for name, path in pairs{ ["an operation"] = "operations/" .. uuid,
      ["its events"] = ("operations/%s/events"):format(uuid), ["operations"] = "operations",
      ["images"] = "images", ["whoami"] = "whoami", ["inspection"] = "inspect/?image="
        .. result.uuid } do
      answers["the engine's " .. name] = get(path)
    end
    assert.matches("<MASKED>", answers["the engine's an operation"], 1, true)
    texts(answers)
    check(search("directories", directory))
  end)

  it("in boxes, sessions, builds and workspaces", function()
    local box = image:open(given{})
    local said = box:run('echo "$TOKEN" > /of-box; ' .. CURL .. "https://tls.example/body").stdout
    local snapshot = box:snapshot()
    texts{ ["the output of a box"] = said, ["a snapshot of a box"] = snapshot:read("/of-box"),
      ["the box, printed"] = tostring(box) }
    box:close()

    local other = contree.new{ engine = home.options(directory).engine, networking = rules,
      secrets = secrets }
    local base = other.images:use(image.uuid)
    local session = base:session{ store = scratch .. "/sessions.db", id = "searched" }
    local result = session:run{ shell = 'echo "$TOKEN" > /of-session; env; ' .. CURL
      .. "https://tls.example/body", mounts = mounts, preserve_env = true }
    texts{ ["the output of a session"] = result.stdout,
      ["a session's image"] = session.image:read("/of-session"),
      ["a session's history"] = tostring(session:history()) .. tostring(session:tree()),
      ["the variables of an image"] = session.image:run{ shell = "env", mounts = mounts,
        networking = false }.stdout }

    local folder = scratch .. "/folder"
    disk.capture("mkdir -p " .. folder)
    local workspace = base:workspace{ path = folder, store = scratch .. "/workspaces.db", id = "w" }
    workspace:run{ shell = 'echo "$TOKEN" > of-workspace; env > variables; ' .. CURL
      .. "https://tls.example/body > answer", mounts = mounts }
    local changes = tostring(workspace:changes())
    workspace:apply()
    assert.matches("X-Token: contree", disk.read(folder .. "/answer"), 1, true)

    local events = {}
    local built = other.images:build{ context = folder,
      dockerfile = { data = "FROM busybox:latest\nRUN env > /built; echo $TOKEN\n" },
      cache_dir = scratch .. "/cache",
      on_event = function(event)
        for name, value in pairs(event) do events[#events + 1] = name .. "=" .. tostring(value) end
      end }
    texts{ ["the changes of a workspace"] = changes,
      ["the events of a build"] = table.concat(events, "\n"),
      ["what was built"] = built:read("/built"),
      ["a client, printed"] = tostring(other) .. tostring(other.images) .. tostring(session) }
    check(search("directories", folder, scratch .. "/cache"))
    check(search("files", scratch .. "/sessions.db", scratch .. "/workspaces.db"))
    check(search("directories", scratch))
    other:close()
  end)

  it("in errors", function()
    local errors = {}
    local function wrong(name, change, networking)
      local of = { value = VALUE, hosts = { "tls.example" } }
      for key, value in pairs(change) do of[key] = value end
      local err = failure(image.run, image, { command = "true", secrets = { TOKEN = of },
        networking = networking == nil and rules or networking })
      local parts = { tostring(err) }
      for key, value in pairs(err) do
        parts[#parts + 1] = tostring(key) .. "=" .. tostring(value)
      end
      errors["an error: " .. name] = table.concat(parts, "\n")
    end
    wrong("no rules", {}, true)
    wrong("no hosts", { hosts = {} })
    wrong("an address", { hosts = { "10.0.0.1" } })
    wrong("no header", { header = "a b" })
    wrong("an unknown place", { places = { "cookie" } })
    wrong("an unknown member", { hots = { "x" } })
    wrong("a query", { places = { "query" } })
    wrong("control characters", { value = VALUE .. "\n" })
    wrong("too long", { value = VALUE:rep(1000) })
    wrong("a rule", {}, { allow = { "a..b" } })

    -- Requests that other clients may send.
    local function post(name, body)
      disk.write(scratch .. "/request", body)
      errors["an answer: " .. name] = disk.capture(("curl -s --unix-socket %s/engine.sock "
        .. "-H 'Content-Type: application/json' --data-binary @%s/request http://x/v1/instances")
        :format(directory, scratch))
    end
    local REST = '"command":"true","networking":{"allow":["a.example"]},'
    local START = '{"image":"' .. image.uuid .. '",' .. REST
    post("no JSON", START .. '"secrets":{"TOKEN":{"value":"' .. VALUE .. '" "hosts":["a"]}}}')
    post("JSON that is cut off", START .. '"secrets":{"TOKEN":{"value":"' .. VALUE)
    post("a value that is an array", START .. '"secrets":{"TOKEN":{"value":["' .. VALUE
      .. '"],"hosts":["a"]}}}')
    post("a secret that is a string", START .. '"secrets":{"TOKEN":"' .. VALUE .. '"}}')
    post("secrets that are a string", START .. '"secrets":"' .. VALUE .. '"}')
    post("a value beside", START .. '"secret":{"TOKEN":{"value":"' .. VALUE .. '","hosts":["a"]}}}')
    post("a placeholder", START .. '"secrets":{"TOKEN":{"value":"' .. VALUE
      .. '","hosts":["a"],"placeholder":"short"}}}')
    post("twice the same", START .. '"secrets":{"TOKEN":{"value":"' .. VALUE .. '","value":"'
      .. VALUE .. '","hosts":["a"]}}}')
    post("an image that is not there", '{"image":"tag:none",' .. REST
      .. '"secrets":{"TOKEN":{"value":"' .. VALUE .. '","hosts":["a"]}}}')
    os.remove(scratch .. "/request")
    texts(errors)
    check(search("directories", directory))
    check(search("outside_of", home.pid(directory .. "/data")))
  end)

  it("by users of the programs", function()
    -- Both have presets of their own, and the token in their environment alone.
    local place = disk.directory()
    disk.write(place .. "/network.ini", "[here]\nallow = tls.example\nresolve = tls.example "
      .. rules.resolve["tls.example"] .. "\n")
    disk.capture(("contree-engine import %s/image.tar --tag outside:here --data-dir %s/data")
      :format(world.directory, place))
    local before = ("DEPLOY=%s CONTREE_DEBUG=1 CONTREE_ENGINE=%s "):format(disk.quote(VALUE),
      world:engine())
    local out, err = program.run(place, "run --allow @here --secret DEPLOY=tls.example --mount "
      .. "/usr:/usr --tag of:command outside:here -- /bin/sh -c " .. disk.quote(
        'echo "$DEPLOY" > /f; env; curl -sS -i -H "X-Token: $DEPLOY" https://tls.example/body'),
      { before = before })
    assert.matches("X-Token: contree", out, 1, true, err)
    assert.matches(VALUE, disk.read(told), 1, true)
    -- An agent has no secrets, and sees what was made with them.
    local agent = mcp.start(place)
    agent:initialize()
    local answer = agent:call("run", { image = "tag:of:command", command = "cat /f",
      allow = { "tls.example" } })
    agent:close()
    texts{ ["the output of contree run"] = out, ["its debug log"] = err,
      ["contree images"] = program.run(place, "images"),
      ["what an agent is told"] = require("cjson").encode(answer) }
    check(search("directories", place))
    home.stop_engine(place .. "/data")
    disk.remove(place)
  end)

  it("in what crashes leave", function()
    if disk.read("/proc/sys/kernel/core_pattern"):find("^|") then
      pending("core dumps go to a program of this machine")
      return
    end
    local operation = image:start(given{ shell = "echo $TOKEN; sleep 60" })
    local engine = home.pid(directory .. "/data")
    local pid
    wire.eventually("an airlock", function()
      pid = disk.capture("pgrep -P " .. engine .. " contree-airlock"):match("%d+")
      -- It has built its walls; the filter is the last.
      return pid and (disk.peek("/proc/" .. pid .. "/status") or ""):find("Seccomp:\t2", 1, true)
    end)
    local function dumps(process)
      local cwd = disk.capture(("readlink /proc/%s/cwd"):format(process)):gsub("\n", "")
      disk.capture(("kill -ABRT %s; %s"):format(process, disk.wait_for_end(process)))
      local core = disk.capture(("ls %s/core %s/core.%s 2>/dev/null"):format(cwd, cwd, process))
      return core:match("[^\n]+")
    end
    assert.is_nil(dumps(pid), "the airlock has left a core dump")
    -- Where it works, other users than root may write nothing. AddressSanitizer leaves none.
    local core = dumps(engine)
    assert.equal(is_root and not os.getenv("CONTREE_TEST_SANITIZER"), core ~= nil)
    if core then
      local lines = search("files", core)
      os.remove(core)
      check(lines)
    end
    pcall(operation.cancel, operation)
    check(search("directories", directory))
  end)

  it("in this many places", function()
    print(("%d searches for a secret, each for %s forms"):format(#all, 19))
    if os.getenv("CONTREE_SEARCHES") then print(table.concat(all, "\n")) end
    assert.is_true(#all >= 100, #all)
  end)
end)
