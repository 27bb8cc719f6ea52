-- Secrets: what a run uses and never sees. Real programs, a server with TLS on this machine that
-- says what it was sent, and searches for the value wherever a sandbox, an image, a log or the
-- store could have it.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local outside = require("spec.support.outside")

local VALUE = "s3cr3t-Value-of-32-bytes-0123456"

-- Says back what it was sent, and writes it down.
local SERVER = [[
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = "%s %s\n%s\n%s" % (self.command, self.path, str(self.headers).strip(),
            body.decode("latin-1"))
        with open(sys.argv[2], "a") as f:
            f.write(told + "\n")
        told = told.encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.send_header("X-Echo", self.headers.get("Authorization", ""))
        self.end_headers()
        self.wfile.write(told)
    do_POST = do_GET
    def log_message(self, *args): pass
]]

describe("a secret", function()
  local world, client, image, mounts, stop, told, port, directory

  setup(function()
    world = outside.start()
    told = world.directory .. "/told"
    port = world:tls_server(SERVER, told)
    -- The airlock trusts what the engine's user trusts.
    client, directory, stop = home.client{ engine = { path = world:engine() } }
    image, mounts = world:image(client, directory)
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  before_each(function() disk.write(told, "") end)

  local function rules(more)
    return { allow = { "tls.example", "plain.example", "other.example" },
      resolve = world:resolve(more or { ["tls.example"] = "127.0.0.1:" .. port }) }
  end

  local SECRETS = { TOKEN = { value = VALUE, hosts = { "tls.example" } } }

  -- Runs a line of shell with the secret; returns its output (of both streams) and the result.
  local function run(line, more)
    local given = { shell = "exec 2>&1; " .. line, mounts = mounts, timeout = 50,
      networking = rules(), secrets = SECRETS }
    for name, value in pairs(more or {}) do given[name] = value end
    local result = image:run(given)
    return result.stdout, result
  end

  it("is in requests to its host, and its placeholder everywhere else", function()
    local said = run([[echo "$TOKEN"; curl -sS -i -H "Authorization: Bearer $TOKEN" \
      https://tls.example/a]])
    local placeholder = said:match("^(%w+)\n")
    assert.equal(#VALUE, #placeholder)
    assert.matches("Authorization: Bearer " .. VALUE, disk.read(told), 1, true)
    assert.matches("GET /a\n", said, 1, true)
    -- What the server says back has the placeholder, in the head and in the body.
    assert.matches("X-Echo: Bearer " .. placeholder, said, 1, true)
    assert.matches("Authorization: Bearer " .. placeholder, said, 1, true)
    assert.is_nil(said:find(VALUE, 1, true))
  end)

  it("is used by programs as they are", function()
    local lines = {
      curl = [[curl -sS -u "me:$TOKEN" https://tls.example/curl >/dev/null]],
      wget = [[wget -qO- --header "X-Token: $TOKEN" https://tls.example/wget >/dev/null]],
      python = [[python3 -c 'import os
from urllib.request import Request, urlopen
urlopen(Request("https://tls.example/python", headers={"X-Token": os.environ["TOKEN"]}))']],
      git = [[git -c http.extraHeader="X-Token: $TOKEN" ls-remote https://tls.example/git || true]],
    }
    for name, line in pairs(lines) do
      disk.write(told, "")
      local said = run(line)
      local seen = disk.read(told)
      if name == "curl" then
        assert.matches("Authorization: Basic bWU6", seen, 1, true)
        assert.is_nil(seen:find("Y29udHJlZ", 1, true), seen) -- a placeholder in base64
      else
        assert.matches("X-Token: " .. VALUE, seen, 1, true, name .. ": " .. said)
      end
    end
  end)

  it("goes where it is allowed to, and nowhere else", function()
    local given = { TOKEN = { value = VALUE, hosts = { "tls.example" }, header = "X-Key",
      places = { "header", "query", "body" } } }
    local said, result = run([[
      curl -sS -H "X-Key: $TOKEN" -d "x=$TOKEN" "https://tls.example/?k=$TOKEN" >/dev/null
      curl -sS -H "X-Other: $TOKEN" https://tls.example/other
      curl -sS "https://tls.example/$TOKEN"
      curl -sS -H "X-Key: $TOKEN" http://plain.example/hello
      curl -sS -d "$TOKEN" http://plain.example/hello]], { secrets = given })
    local seen = disk.read(told)
    assert.matches("POST /?k=" .. VALUE, seen, 1, true)
    assert.matches("X-Key: " .. VALUE, seen, 1, true)
    assert.matches("x=" .. VALUE, seen, 1, true)
    assert.is_nil((seen:find("/other", 1, true)), seen)
    assert.equal(4, select(2, said:gsub("placeholder is where that secret does not go", "")), said)
    for _, each in ipairs(result.denied) do assert.equal("secret", each.reason) end
    assert.is_nil(tostring(result.denied):find(VALUE, 1, true))
  end)

  it("does not go to a server with another's certificate", function()
    local result
    local said = run([[curl -sS -H "X: $TOKEN" https://tls.example/ || echo failed]], {
      networking = rules{ ["tls.example"] = "127.0.0.1:" .. port },
      secrets = { TOKEN = { value = VALUE, hosts = { "tls.example" } } } })
    assert.is_nil(said:find("failed", 1, true))
    said, result = run([[curl -sS -H "X: $TOKEN" https://else.example/ || echo failed]], {
      networking = { allow = { "else.example" },
        resolve = { ["else.example"] = "127.0.0.1:" .. port } },
      secrets = { TOKEN = { value = VALUE, hosts = { "else.example" } } } })
    assert.matches("failed", said)
    assert.equal("certificate", outside.reasons(result))
    assert.is_nil(disk.read(told):find("else.example", 1, true))
  end)

  it("goes to servers that a directory of authorities vouches for", function()
    local certs = world.directory .. "/certs"
    disk.capture(("mkdir -p %s && chmod 755 %s %s && cp %s/ca.pem %s/ && openssl rehash %s")
      :format(certs, world.directory, certs, world.directory, certs, certs))
    local engine = disk.write(world.directory .. "/engine-dir",
      ("#!/bin/sh\nunset SSL_CERT_FILE\nexport SSL_CERT_DIR=%s\nexec contree-engine \"$@\"\n")
        :format(certs))
    os.execute("chmod +x " .. engine)
    local other, place, close = home.client{ engine = { path = engine } }
    local base, its_mounts = world:image(other, place)
    local result = base:run{ shell = [[curl -sS -H "X: $TOKEN" https://tls.example/dir]],
      mounts = its_mounts, networking = rules(), secrets = SECRETS }
    close()
    assert.equal("", outside.reasons(result))
    assert.matches("X: " .. VALUE, disk.read(told), 1, true)
  end)

  it("is in nothing that a sandbox, an image, a log or the store has", function()
    -- Everything that a process of the sandbox can read, while another one uses it.
    local said, result = run([[
      printf %s "$TOKEN" > /kept
      curl -sS -K - <<END >/dev/null
url = "https://tls.example/"
header = "X-Token: $TOKEN"
END
      curl -sS -H "X-Token: $TOKEN" https://tls.example/slow -o /answer &
      for p in /proc/[0-9]*; do
        tr '\0' '\n' < $p/environ; tr '\0' '\n' < $p/cmdline; cat $p/maps
      done
      python3 - <<'END'
import os, re
for pid in os.listdir("/proc"):
    if not pid.isdigit(): continue
    try:
        maps, mem = open("/proc/%s/maps" % pid), open("/proc/%s/mem" % pid, "rb", 0)
        for line in maps:
            a, b, mode = re.match(r"(\w+)-(\w+) (\S)", line).groups()
            if mode != "r": continue
            mem.seek(int(a, 16))
            data = mem.read(min(int(b, 16) - int(a, 16), 1 << 26))
            for word in (b"s3cr3t-V" + b"alue-of-", b"32-byte" + b"s-01234"):
                if data and word in data and int(pid) != os.getpid(): print("FO" + "UND", pid)
    except (OSError, ValueError, OverflowError): pass
END
      wait; cat /answer; grep -rl s3cr3t-[V]alue /dev /tmp /run /etc /root 2>/dev/null; env; set
      true]], { disposable = false })
    assert.is_nil(said:find(VALUE, 1, true))
    assert.is_nil(said:find("FOUND", 1, true), said)
    assert.matches(VALUE, disk.read(told), 1, true)
    assert.is_nil(result:read("/kept"):find(VALUE, 1, true))
    -- The events, the operation, the request as the engine shows it.
    local operation = client.operations:get(result.operation.uuid)
    local events = disk.capture(("curl -s --unix-socket %s/engine.sock "
      .. "http://x/v1/operations/%s/events http://x/v1/operations/%s"):format(directory,
      operation.uuid, operation.uuid))
    assert.matches("<MASKED>", events, 1, true)
    assert.is_nil(events:find(VALUE, 1, true))
    -- The engine's directory as a whole, its log, and its process list.
    assert.equal("", disk.capture(("grep -rl %s %s 2>/dev/null; true"):format(
      VALUE, directory)))
    assert.is_nil(disk.capture("ps axeww"):find(VALUE, 1, true))
  end)

  it("needs rules, and says what is wrong without its value", function()
    local function refuses(words, secrets, networking, kind)
      local err = failure(image.run, image, { command = "true", secrets = secrets,
        networking = networking == nil and rules() or networking })
      assert.equal(kind or "invalid_argument", err.kind)
      assert.matches(words, tostring(err), 1, true)
      assert.is_nil(tostring(err):find(VALUE:sub(1, 12), 1, true))
    end
    refuses("secrets need networking = { allow", SECRETS, true)
    refuses("secrets need networking = { allow", SECRETS, false)
    refuses('did you mean "hosts"', { T = { value = VALUE, host = { "a" } } })
    refuses("hosts = {", { T = { value = VALUE } })
    refuses("16 to 8192 bytes", { T = { value = VALUE:sub(1, 12), hosts = { "a" } } }, nil,
      "unprocessable")
    refuses("control characters", { T = { value = VALUE .. "\n", hosts = { "a" } } }, nil,
      "unprocessable")
    refuses('did you mean "header"', { T = { value = VALUE, hosts = { "a" },
      places = { "headers" } } })
    refuses("names of variables", { ["a b"] = { value = VALUE, hosts = { "a" } } })
    local err = failure(image.run, image, { command = "true", networking = rules(),
      secrets = { T = { value = VALUE, hosts = { "10.0.0.0/8" } } } })
    assert.matches("goes to hosts with a name", tostring(err), 1, true)
  end)

  it("may be a client's, for its runs with rules", function()
    local options = home.options(directory)
    options.secrets, options.networking = SECRETS, rules()
    local other = contree.new(options)
    local base = other.images:use(image.uuid)
    local line = [[curl -sS -H "X: $TOKEN" https://tls.example/c >/dev/null; echo ${TOKEN:-none}]]
    local result = base:run{ shell = line, mounts = mounts }
    assert.equal(#VALUE + 1, #result.stdout)
    assert.matches("X: " .. VALUE, disk.read(told), 1, true)
    assert.equal("none\n", base:run{ shell = "echo ${TOKEN:-none}", mounts = mounts,
      networking = false }.stdout)
    other:close()
  end)

  it("is there for all commands of a run, with one placeholder", function()
    local operation = image:start{ shell = "echo $TOKEN; sleep 30", mounts = mounts,
      networking = rules(), secrets = SECRETS }
    local first = operation:spawn("echo $TOKEN"):wait().stdout
    assert.equal(first, operation:spawn("echo $TOKEN"):wait().stdout)
    assert.equal(#VALUE + 1, #first)
    local other = operation:spawn([[curl -sS -H "X: $TOKEN" https://tls.example/s]]):wait()
    assert.matches("X: " .. VALUE, disk.read(told), 1, true)
    assert.is_nil(other.stdout:find(VALUE, 1, true))
    operation:cancel()
  end)

  it("lets rules on requests hold over TLS, too", function()
    local said, result = run([[curl -sS https://tls.example/v1/x | head -n 1
      curl -sS -X POST https://tls.example/v1/x; curl -sS https://tls.example/other]], {
      secrets = {}, networking = { resolve = { ["tls.example"] = "127.0.0.1:" .. port },
        allow = { { host = "tls.example", methods = { "GET" }, paths = { "/v1/*" } } } } })
    assert.matches("^GET /v1/x\n", said)
    assert.matches("no rule allows this method", said, 1, true)
    assert.matches("no rule allows this path", said, 1, true)
    assert.equal("method path", outside.reasons(result))
  end)
end)
