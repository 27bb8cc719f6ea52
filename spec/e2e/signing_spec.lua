-- Secrets that are functions of the script: a server with TLS on this machine takes only requests
-- that are signed as AWS has them signed (Signature Version 4), and the key is in no sandbox.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local outside = require("spec.support.outside")

local KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

-- Checks the signature with libraries of its own; says who asked, or 403.
local SERVER = [[
import hashlib, hmac, http.server, ssl, sys
def mac(key, text): return hmac.new(key, text.encode(), hashlib.sha256).digest()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        given = self.headers.get("Authorization", "")
        date = self.headers.get("X-Amz-Date", "")
        digest = hashlib.sha256(body).hexdigest()
        canonical = "\n".join((self.command, path, query, "host:" + self.headers["Host"],
            "x-amz-content-sha256:" + digest, "x-amz-date:" + date, "",
            "host;x-amz-content-sha256;x-amz-date", digest))
        scope = date[:8] + "/eu-north-1/s3/aws4_request"
        text = "\n".join(("AWS4-HMAC-SHA256", date, scope,
            hashlib.sha256(canonical.encode()).hexdigest()))
        key = ("AWS4" + sys.argv[2]).encode()
        for part in (date[:8], "eu-north-1", "s3", "aws4_request"): key = mac(key, part)
        signature = mac(key, text).hex()
        right = given == ("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + scope
            + ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + signature)
        told = "%s %s %s %s\n" % ("signed" if right else "wrong", self.command, self.path,
            self.headers.get("X-Second", "-"))
        self.send_response(200 if right else 403)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())
    do_POST = do_PUT = do_GET
    def log_message(self, *args): pass
]]

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function padded(key, with)
  return (key .. ("\0"):rep(64 - #key)):gsub(".", function(c)
    local a, b, out, bit = c:byte(), with, 0, 1
    for _ = 1, 8 do -- LuaJIT has no operator for it
      if a % 2 ~= b % 2 then out = out + bit end
      a, b, bit = (a - a % 2) / 2, (b - b % 2) / 2, bit * 2
    end
    return string.char(out)
  end)
end

local function hmac(key, text)
  return bytes_of(core.sha256(padded(key, 0x5c)
    .. bytes_of(core.sha256(padded(key, 0x36) .. text))))
end

local NAMES = "host;x-amz-content-sha256;x-amz-date"
local given -- the last signature

local function sign(request)
  local date = os.date("!%Y%m%dT%H%M%SZ")
  local scope = date:sub(1, 8) .. "/eu-north-1/s3/aws4_request"
  local canonical = table.concat({ request.method, request.path, request.query or "",
    "host:" .. request.headers.host, "x-amz-content-sha256:" .. request.sha256,
    "x-amz-date:" .. date, "", NAMES, request.sha256 }, "\n")
  local key = "AWS4" .. KEY
  for _, part in ipairs{ date:sub(1, 8), "eu-north-1", "s3", "aws4_request" } do
    key = hmac(key, part)
  end
  given = hmac(key, table.concat({ "AWS4-HMAC-SHA256", date, scope, core.sha256(canonical) },
    "\n")):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  return { headers = { ["X-Amz-Date"] = date, ["X-Amz-Content-Sha256"] = request.sha256,
    Authorization = ("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/%s, SignedHeaders=%s, Signature=%s")
      :format(scope, NAMES, given) } }
end

describe("a secret that signs", function()
  local world, client, image, mounts, stop, port, directory
  local unanswered, endless -- runs that nobody signs for in time, from the beginning on

  local function rules()
    return { allow = { "tls.example", "plain.example" },
      resolve = world:resolve{ ["tls.example"] = "127.0.0.1:" .. port } }
  end

  local function given_for(line, fn, more)
    local options = { shell = "exec 2>&1; " .. line, mounts = mounts, timeout = 50,
      networking = rules(), secrets = { AWS = { sign = fn or sign, digest = true,
        hosts = { "tls.example" } } } }
    for name, value in pairs(more or {}) do options[name] = value end
    return options
  end

  local GET = "curl -sS https://tls.example/a"
  local SIGNED = "signed GET /a -\n"

  setup(function()
    world = outside.start()
    port = world:tls_server(SERVER, KEY)
    local engine = disk.write(world.directory .. "/engine",
      ("#!/bin/sh\nexport SSL_CERT_FILE=%s/ca.pem\nexec contree-engine \"$@\"\n"):format(
        world.directory))
    os.execute("chmod +x " .. engine)
    client, directory, stop = home.client{ engine = { path = engine } }
    image, mounts = world:image(client, directory)
    endless = image:start(given_for(GET, function() contree.sleep(60) end))
    -- One that a client of another kind has started, and does not follow.
    local reply = disk.capture(("curl -s --unix-socket %s/engine.sock http://x/v1/instances "
      .. "-H 'Content-Type: application/json' -d '{\"image\":\"tag:outside:here\","
      .. "\"command\":\"curl -sS https://tls.example/a\",\"shell\":true,\"disposable\":true,"
      .. "\"mounts\":{\"/usr\":\"/usr\"},\"networking\":{\"enabled\":true,"
      .. "\"allow\":[\"tls.example\"],\"resolve\":{\"tls.example\":\"127.0.0.1:%d\"}},"
      .. "\"secrets\":{\"K\":{\"sign\":true,\"hosts\":[\"tls.example\"]}}}'"):format(directory,
        port))
    unanswered = assert(reply:match('"uuid":"([^"]+)"'), reply)
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  it("is in no sandbox, event, log or store, and the server takes the requests", function()
    local said, result
    result = image:run(given_for([[echo "$AWS"; curl -sS 'https://tls.example/a/b?c=d%20e&f=' \
      -X POST -d 'some body' https://tls.example/post
      head -c 100000 /dev/zero > /tmp/z; curl -sS -T /tmp/z https://tls.example/file
      curl -sS https://tls.example/1 https://tls.example/2 https://tls.example/3
      python3 -c 'from urllib.request import urlopen
print(urlopen("https://tls.example/python").read().decode(), end="")'
      env; cat /proc/[0-9]*/environ | tr '\0' '\n'; cat /proc/[0-9]*/cmdline]], nil,
      { disposable = false }))
    said = result.stdout
    for _, line in ipairs{ "signed POST /a/b?c=d%20e&f= -", "signed POST /post -",
      "signed PUT /file -", "signed GET /1 -", "signed GET /2 -", "signed GET /3 -",
      "signed GET /python -" } do
      assert.matches(line .. "\n", said, 1, true)
    end
    assert.equal("(none)", tostring(result.denied))
    assert.equal(40, #said:match("^%w+"))
    local signature = given
    assert.equal(64, #signature)
    local events = disk.capture(("curl -s --unix-socket %s/engine.sock "
      .. "http://x/v1/operations/%s/events http://x/v1/operations/%s"):format(directory,
      result.operation.uuid, result.operation.uuid))
    for _, secret in ipairs{ KEY, signature } do
      assert.is_nil(said:find(secret, 1, true))
      assert.is_nil(events:find(secret, 1, true))
      assert.equal("", disk.capture(("grep -rlF %s %s 2>/dev/null; true"):format(secret,
        directory)))
    end
  end)

  it("signs in tasks, for spawned commands, terminals, sessions, boxes and clients", function()
    local function told(options) return image:run(options).stdout end
    contree.async(function()
      local tasks = {}
      for i = 1, 4 do
        tasks[i] = contree.spawn(told, given_for(GET, function(request)
          contree.sleep(0.02)
          return sign(request)
        end))
      end
      for i = 1, 4 do assert.equal(SIGNED, tasks[i]:wait()) end
      assert.equal(SIGNED, image:start(given_for(GET)):wait().stdout)
    end)
    local long = image:start(given_for("sleep 30"))
    assert.equal(SIGNED, long:spawn(GET):wait().stdout)
    long:cancel()
    local options = given_for(GET)
    options.shell = true
    assert.equal(SIGNED, (image:popen(GET, options):communicate()))
    assert.equal(SIGNED, image:prepare(given_for(GET))().stdout)
    assert.equal(SIGNED, image:session():run(given_for(GET)).stdout)
    local box = image:open{ mounts = mounts, networking = rules(), secrets = options.secrets }
    assert.equal(SIGNED, box:run(GET).stdout)
    box:close()
    local mine = home.options(directory)
    mine.secrets, mine.networking = options.secrets, rules()
    local other = contree.new(mine)
    assert.equal(SIGNED, other.images:use(image.uuid):run{ shell = GET, mounts = mounts }.stdout)
    other:close()
  end)

  it("signs many requests at once", function()
    local result = image:run(given_for([[for i in $(seq 60); do
      curl -sS https://tls.example/$i & done; wait]]))
    assert.equal(60, select(2, result.stdout:gsub("signed GET /%d+ %-\n", "")), result.stdout)
    assert.equal("(none)", tostring(result.denied))
  end)

  it("refuses what its function refuses, and keeps the error for the caller", function()
    local mine = setmetatable({ code = 5 }, { __tostring = function() return "no key" end })
    local result = image:run(given_for(GET .. "; curl -sS http://plain.example/$AWS", function()
      error(mine)
    end))
    assert.matches("the request could not be signed\n", result.stdout, 1, true)
    assert.is_nil(result.stdout:find("no key", 1, true))
    local first, second = result.denied[1], result.denied[2]
    assert.same({ "sign", "tls.example", "/a" }, { first.reason, first.name, first.path })
    assert.equal(mine, first.error)
    assert.matches("http tls.example:443 GET /a: the request could not be signed: no key",
      tostring(result.denied), 1, true)
    -- Elsewhere its placeholder has no place.
    assert.same({ "secret", "plain.example" }, { second.reason, second.name })
    assert.is_nil(second.error)
  end)

  it("may be one of several, which sign one after another", function()
    local order = {}
    local result = image:run(given_for(GET, nil, { secrets = {
      B = { hosts = { "*.example" }, sign = function(request)
        order[#order + 1] = "B after " .. request.headers["x-second"]
        return { headers = { ["X-Second"] = "both" } }
      end },
      A = { hosts = { "tls.example" }, digest = true, sign = function(request)
        order[#order + 1] = "A"
        local signature = sign(request)
        signature.headers["X-Second"] = "A"
        return signature
      end } } }))
    assert.equal("(none)", tostring(result.denied))
    assert.same({ "A", "B after A" }, order)
    assert.equal("signed GET /a both\n", result.stdout)
  end)

  it("has 10 seconds, and then the request is refused", function()
    local result = endless:wait()
    assert.matches("the request could not be signed", result.stdout, 1, true)
    assert.matches("has not returned after 8 s", tostring(result.denied[1].error), 1, true)
    result = client.operations:get(unanswered):wait()
    assert.matches("the request could not be signed", result.stdout, 1, true)
    assert.equal("sign", result.denied[1].reason)
  end)
end)
