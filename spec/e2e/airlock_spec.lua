-- What a run with rules reaches, by real programs of this machine, and what it does not, by
-- every way round that we know (docs/proofs/airlock.md has the table).
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local outside = require("spec.support.outside")

describe("a run with rules of the network", function()
  local world, client, image, mounts, stop, ways
  local slow -- a request that never ends, from the beginning on: it takes 10 seconds

  setup(function()
    world = outside.start()
    local directory
    client, directory, stop = home.client()
    image, mounts = world:image(client, directory)
    ways = { ["/ways.py"] = "spec/support/ways_round.py" }
    slow = image:start{ shell = "python3 /ways.py slow plain.example 80", mounts = mounts,
      files = ways, networking = { allow = { "plain.example" }, resolve = world:resolve() } }
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  -- Runs a line of shell that may reach `allow`; returns its output (of both streams) and the
  -- result.
  local function run(allow, line, more)
    local given = { shell = "exec 2>&1; " .. line, mounts = mounts, files = ways, timeout = 50,
      networking = { allow = allow, resolve = world:resolve() } }
    for name, value in pairs(more or {}) do given[name] = value end
    local result = image:run(given)
    return result.stdout, result
  end

  -- The parts of an output that has "== NUMBER" after each.
  local function parts_of(said, count)
    local parts, at = {}, 1
    for i = 1, count do
      local from, to = said:find(("== %d\n"):format(i), at, true)
      assert(from, said)
      parts[i] = said:sub(at, from - 1)
      at = to + 1
    end
    return parts
  end

  -- Runs lines in one sandbox; returns the output of each, and the result.
  local function run_all(allow, lines)
    local marked = {}
    for i, line in ipairs(lines) do marked[i] = ("%s; echo '== %d'"):format(line, i) end
    local said, result = run(allow, table.concat(marked, "\n"))
    return parts_of(said, #lines), result
  end

  -- How often something was told that has these members.
  local function times_told(result, expected)
    local count = 0
    for _, entry in ipairs(result.denied) do
      local fits = true
      for name, value in pairs(expected) do fits = fits and entry[name] == value end
      if fits then count = count + entry.count end
    end
    return count
  end

  local function key_of(expected)
    local members = {}
    for name, value in pairs(expected) do members[#members + 1] = name .. "=" .. value end
    table.sort(members)
    return table.concat(members, " ")
  end

  -- Tries ways round in one sandbox, and checks that nothing came of any and that each refusal
  -- was told. A way has what is tried, the members of an entry of result.denied (nil: nothing is
  -- told), and what is said instead of nothing.
  ---@param ways_round { [1]: string, [2]: table?, [3]: string? }[]
  local function tries_all(allow, ways_round)
    local words, told = {}, {}
    for i, each in ipairs(ways_round) do words[i] = each[1] end
    local all, result = run(allow, ("python3 /ways.py %s +"):format(table.concat(words, " + ")))
    local outputs = parts_of(all, #words)
    for i, each in ipairs(ways_round) do
      local way, expected, said = each[1], each[2], outputs[i]
      if each[3] then
        assert.matches(each[3], said, way)
      else
        assert.is_nil(said:find("answer: HTTP/1.1 200", 1, true), way .. ": " .. said)
        assert.is_nil(said:find("timeout", 1, true), way .. ": " .. said)
      end
      if expected then
        local key = key_of(expected)
        told[key] = (told[key] or 0) + 1
        if times_told(result, expected) < told[key] then
          error(("%s: %s\nnot told, but:\n%s"):format(way, said, tostring(result.denied)), 2)
        end
      end
    end
    return outputs, result
  end

  -- The same for one way.
  local function tries(allow, way, expected, output)
    local outputs, result = tries_all(allow, { { way, expected, output } })
    return outputs[1], result
  end

  local WEB = { "plain.example", "tls.example" }
  local ASK = "'GET /who HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n'"
  local function get(host) return ASK:format(host) end

  describe("reaches what they allow", function()
    it("with curl, wget and Python, over HTTP and TLS", function()
      local said, result = run(WEB, [[curl -sS http://plain.example/who
        curl -sS https://tls.example/who
        wget -qO- https://tls.example/who
        python3 -c 'from urllib.request import urlopen
print(urlopen("https://tls.example/who").read().decode(), end="")'
        curl -sS -X POST -d x http://plain.example/echo/a http://plain.example/echo/b]])
      assert.equal("- plain.example GET /who\n" .. ("tls.example tls.example GET /who\n"):rep(3)
        .. "POST /echo/a\nPOST /echo/b\n", said)
      assert.same({}, { (table.unpack or unpack)(result.denied) })
      assert.equal("(none)", tostring(result.denied))
      assert.is_nil(result.tried)
    end)

    it("with git over https", function()
      disk.capture(([[cd %s/www && rm -rf repo.git && git init -q --bare repo.git &&
        git clone -q repo.git /dev/null 2>/dev/null; d=$(mktemp -d) && cd $d && git init -q . &&
        echo content > file && git add file &&
        git -c user.name=a -c user.email=a@example commit -qm one &&
        git push -q %s/www/repo.git HEAD:refs/heads/main &&
        git -C %s/www/repo.git symbolic-ref HEAD refs/heads/main &&
        git -C %s/www/repo.git update-server-info; rm -rf $d]]):format(world.directory,
          world.directory, world.directory, world.directory))
      local said = run(WEB, "git clone -q https://tls.example/repo.git /tmp/r && cat /tmp/r/file")
      assert.equal("content\n", said)
    end)

    it("with much data, in both directions", function()
      disk.capture("head -c 50000000 /dev/urandom > " .. world.directory .. "/www/big")
      local sum = disk.capture("sha256sum < " .. world.directory .. "/www/big"):match("%x+")
      for _, url in ipairs{ "http://plain.example/big", "https://tls.example/big" } do
        local said = run(WEB, ("curl -sS %s | sha256sum"):format(url))
        assert.equal(sum, said:match("^%x+"), said)
      end
      local port = world:python([[
import http.server, hashlib
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        h, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read(min(left, 65536)); left -= len(piece); h.update(piece)
        out = h.hexdigest().encode()
        self.send_response(200); self.send_header("Content-Length", str(len(out)))
        self.end_headers(); self.wfile.write(out)
    def log_message(self, *args): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()]])
      local said = run({ "up.example" }, "head -c 20000000 /usr/bin/python3.* /usr/lib/*/libc.a "
        .. "/usr/bin/git 2>/dev/null | head -c 3000000 > /tmp/f; sha256sum < /tmp/f; "
        .. "curl -sS --data-binary @/tmp/f http://up.example/",
        { networking = { allow = { "up.example" },
          resolve = { ["up.example"] = "127.0.0.1:" .. port } } })
      local here, there = said:match("^(%x+).-\n(%x+)$")
      assert.equal(here, there, said)
    end)

    it("on other ports, where the server may speak first, and at addresses", function()
      local port = world:python([[
import socket
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True)
while True:
    c = s.accept()[0]; c.sendall(b"hello first\r\n"); c.recv(100); c.close()]])
      -- Nobody answers at these addresses, which may take long to find out.
      local said, result = run({}, ("python3 /ways.py tcp greet.example %d + tcp 192.0.2.7 2000 x "
        .. "0.3 + tcp 192.0.2.8 2000 x 0.3"):format(port), { networking = {
          allow = { "greet.example:" .. port, "192.0.2.7/32:2000" },
          resolve = { ["greet.example"] = "127.0.0.1" } } })
      assert.matches("^answer: hello first\n", said)
      assert.is_nil(said:find("answer.-answer: hello"))
      local reasons = {}
      for _, entry in ipairs(result.denied) do reasons[entry.address or ""] = entry.reason end
      assert.equal("rule", reasons["192.0.2.8"])
      assert.are_not.equal("rule", reasons["192.0.2.7"])
    end)

    it("with all forms of names", function()
      local said = run({ "*.sub.example", "PLAIN.Example." }, [[
        curl -sS http://plain.example/who http://PLAIN.EXAMPLE/who http://plain.example./who
        curl -sS http://a.sub.example/who http://b.c.sub.example/who]],
        { networking = { allow = { "*.sub.example", "PLAIN.Example." }, resolve = world:resolve{
          ["a.sub.example"] = "127.0.0.1:" .. world.http,
          ["b.c.sub.example"] = "127.0.0.1:" .. world.http } } })
      assert.matches("^%- plain.example GET /who\n%- plain.example GET /who\n", said)
      assert.matches("%- a.sub.example GET /who\n%- b.c.sub.example GET /who\n$", said)
    end)

    it("request by request, with methods and paths", function()
      local rules = { { host = "plain.example", methods = { "GET" },
        paths = { "/who", "/echo/**" } } }
      local said, result = run(rules, [[curl -sS http://plain.example/who
        curl -sS http://plain.example/echo/a/b
        curl -sS -X DELETE -w '%{http_code}\n' -o /dev/null http://plain.example/echo/a
        curl -sS -w '%{http_code}\n' http://plain.example/hello
        curl -sS -w '%{http_code}\n' -o /dev/null --path-as-is http://plain.example/echo/../hello]])
      assert.matches("^%- plain.example GET /who\nGET /echo/a/b\n403\n.-403\n403\n$", said)
      local reasons = {}
      for _, entry in ipairs(result.denied) do
        reasons[entry.method .. " " .. entry.path] = entry.reason
      end
      assert.equal("method", reasons["DELETE /echo/a"])
      assert.equal("path", reasons["GET /hello"])
    end)

    it("and what it connected is told, with trace", function()
      local _, result = run(WEB, "curl -sS http://plain.example/who http://plain.example/who; "
        .. "curl -sS https://tls.example/who", { trace = true })
      local names = {}
      for _, entry in ipairs(result.tried) do
        if entry.name then names[entry.name] = entry end -- others are programs
      end
      assert.equal("127.0.0.1", names["plain.example"].address)
      assert.is_not_nil(names["tls.example"])
      assert.matches("tls.example:%d+", tostring(result.tried))
    end)

    it("500 connections at once", function()
      local said = run(WEB, [[python3 -c 'import socket
socks = []
for i in range(500):
    s = socket.create_connection(("plain.example", 80), timeout=20)
    s.sendall(b"GET /who HTTP/1.1\r\nHost: plain.example\r\n\r\n")
    socks.append(s)
print(sum(s.recv(4096).startswith(b"HTTP/1.1 200") for s in socks))']])
      assert.equal("500\n", said)
    end)
  end)

  describe("reaches nothing else", function()
    it("by raw addresses", function()
      tries_all(WEB, {
        { "tcp 192.0.2.9 80 " .. get("plain.example"), { address = "192.0.2.9", port = 80 } },
        { "tcp 192.0.2.9 443", { address = "192.0.2.9", port = 443, reason = "rule" } },
        { "tcp 192.0.2.9 22", { address = "192.0.2.9", port = 22, reason = "rule" },
          "ECONNREFUSED" } })
      tries({}, "tcp 192.0.2.9 443", { address = "192.0.2.9", port = 443 }, "ECONNREFUSED")
    end)

    it("by names that no rule allows", function()
      local list = {}
      for i, name in ipairs{ "nope.example", "x.plain.example", "example", "sub.example",
        "evilsub.example", "a.sub.example.evil", "plain.example.evil" } do
        list[i] = { "tcp " .. name .. " 80", { protocol = "dns", name = name, reason = "rule" },
          "^gaierror\n$" }
      end
      tries_all({ "plain.example", "*.sub.example" }, list)
      tries({ "*.sub.example" }, "tcp a.sub.example 80 " .. get("a.sub.example"),
        { name = "a.sub.example", reason = "unresolved" })
    end)

    it("by a port that is not allowed", function()
      tries({ "plain.example:80" }, "tcp plain.example 8080",
        { name = "plain.example", port = 8080 }, "ECONNREFUSED")
      tries({ "plain.example:80", "other.example:81" }, "tcp plain.example 81 " ..
        get("plain.example"), { name = "plain.example", port = 81, reason = "rule" })
    end)

    it("what a rule of deny has", function()
      local networking = { allow = { "*.example" }, deny = { "plain.example", "tls.example:443" },
        resolve = world:resolve() }
      local said, result = run({}, "curl -sS http://plain.example/who; "
        .. "curl -sS https://tls.example/who; curl -sS http://other.example/who",
        { networking = networking })
      assert.matches("%- other.example GET /who\n$", said)
      assert.is_nil(said:find("tls.example GET", 1, true))
      assert.is_true(#result.denied >= 2)
    end)

    it("by other name servers, by UDP and TCP", function()
      local list = {}
      for _, server in ipairs{ "8.8.8.8", "10.0.2.2", "10.0.2.3", "192.0.2.53" } do
        for _, how in ipairs{ "udp", "tcp" } do
          list[#list + 1] = { ("dns %s nope.example A %s"):format(server, how),
            { protocol = "dns", name = "nope.example" }, "code 3 answers 0" }
          list[#list + 1] = { ("dns %s plain.example A %s"):format(server, how), nil,
            "code 0 answers 1 198%.1[89]%." }
        end
      end
      tries_all(WEB, list)
    end)

    it("by DNS over HTTPS and TLS", function()
      tries_all(WEB, { { "tls 1.1.1.1 443 dns.example", { address = "1.1.1.1", port = 443 } },
        { "tls 9.9.9.9 853 dns.example", { address = "9.9.9.9", port = 853 } } })
    end)

    it("by other records, or by data in questions", function()
      local list = {}
      for i, kind in ipairs{ "AAAA", "HTTPS", "TXT", "MX", "NS", "NULL", "CNAME" } do
        list[i] = { "dns 10.0.2.3 plain.example " .. kind, nil, "code 0 answers 0" }
      end
      tries_all(WEB, list)
      local said, result = run({ "*.sub.example" },
        "python3 /ways.py tunnel nope.example 2000; python3 /ways.py tunnel sub.example 4000")
      assert.equal("asked 2000\nasked 4000\n", said)
      assert.is_true(#result.denied <= 300)
    end)

    it("by a name that has a private address, now or later", function()
      -- The airlock resolves as this machine does; "localhost" is 127.0.0.1 everywhere.
      tries({ "localhost" }, ("dns_then localhost 80 %s"):format(get("localhost")),
        { name = "localhost", reason = "private" })
      tries({ "localhost:" .. world.http }, ("dns_then localhost %d %s"):format(world.http,
        get("localhost")), { name = "localhost", reason = "private" })
      -- `private` is for private networks; this machine itself has to be named.
      local line = ("dns_then localhost %d %s"):format(world.http, get("localhost"))
      tries({ { host = "localhost", ports = world.http, private = true } }, line,
        { name = "localhost", reason = "private" })
      local said = run({ "localhost:" .. world.http, "127.0.0.1:" .. world.http },
        "python3 /ways.py " .. line)
      assert.matches("answer: HTTP/1.1 200", said)
    end)

    it("by addresses in other spellings", function()
      local hosts = { "2130706433", "0177.0.0.1", "0x7f000001", "127.1", "0", "0.0.0.0",
        "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::]" }
      local lines = {}
      for i, host in ipairs(hosts) do
        lines[i] = ("curl -sS -g -m 5 http://%s:%d/who"):format(host, world.http)
      end
      for i, said in ipairs((run_all(WEB, lines))) do
        assert.is_nil(said:find("GET /who", 1, true), hosts[i] .. said)
      end
      hosts, lines = { "3221225993", "0300.0.02.011", "0xc0000209", "[::ffff:192.0.2.9]" }, {}
      for i, host in ipairs(hosts) do lines[i] = ("curl -sS -g -m 5 http://%s/who"):format(host) end
      local outputs, result = run_all(WEB, lines)
      for i, said in ipairs(outputs) do
        assert.is_nil(said:find("GET /who", 1, true), hosts[i] .. said)
      end
      assert.equal(#hosts, times_told(result, { address = "192.0.2.9", port = 80 }))
    end)

    it("by IPv6", function()
      local list = {}
      for _, host in ipairs{ "2001:db8::1", "fd00:ec2::254", "fe80::1%eth0", "ff02::1%eth0",
        "64:ff9b::7f00:1", "2002:7f00:1::" } do
        list[#list + 1] = { ("tcp %s 80"):format(host), nil, "^E[A-Z]+\n$" }
        list[#list + 1] = { ("udp %s 443"):format(host), nil, "^E[A-Z]+\n$" }
      end
      tries_all(WEB, list)
    end)

    it("of this machine and its networks", function()
      local list = {}
      for i, host in ipairs{ "10.0.2.2", "10.0.2.3", "10.0.2.1", "192.168.0.1", "172.17.0.1",
        "100.64.0.1", "169.254.169.254", "100.100.100.200", "198.18.255.254", "255.255.255.254" } do
        list[i] = { ("tcp %s 80 %s"):format(host, get(host)), { address = host }, "^E[A-Z]+\n$" }
      end
      tries_all({ "plain.example", "10.0.0.1" }, list)
      tries(WEB, ("tcp 10.0.2.2 %d %s"):format(world.http, get("x")), { address = "10.0.2.2" },
        "ECONNREFUSED")
      -- A wide network names no address of this machine.
      tries({ "0.0.0.0/0:80" }, "tcp 169.254.169.254 80 " .. get("x"),
        { address = "169.254.169.254" })
      tries({ "0.0.0.0/0:" .. world.http }, ("tcp 10.0.2.2 %d %s"):format(world.http, get("x")),
        { address = "10.0.2.2" })
    end)

    it("by redirects", function()
      for path, host in pairs{ ["to-metadata"] = "169.254.169.254",
        ["to-other"] = "other.example" } do
        local said, result = run({ "plain.example" },
          "curl -sSL -m 10 http://plain.example/" .. path)
        assert.is_nil(said:find("GET /who", 1, true))
        local entry = result.denied[1]
        assert.equal(host, entry.address or entry.name)
      end
      local said = run({ "plain.example" }, "curl -sSL -m 10 http://plain.example/to-private")
      assert.is_nil(said:find("GET /who", 1, true))
    end)

    it("by UDP, QUIC and pings", function()
      tries_all(WEB, {
        { "udp 192.0.2.9 5353", { protocol = "udp", address = "192.0.2.9", port = 5353 },
          "ECONNREFUSED" },
        { "quic tls.example", { protocol = "udp", name = "tls.example", port = 443 },
          "ECONNREFUSED" },
        { "ping 192.0.2.9", { protocol = "icmp", address = "192.0.2.9" }, "^[%a]+\n$" } })
      local list = {}
      for i, host in ipairs{ "224.0.0.251", "255.255.255.255", "10.0.2.255" } do
        list[i] = { "udp " .. host .. " 5353 x 0.5", nil, "^[%u%l]+\n$" } -- an error, or "timeout"
      end
      tries_all(WEB, list)
    end)

    it("by another name in TLS, none, or a hidden one", function()
      local refused = { name = "tls.example", reason = "sni" }
      tries_all(WEB, {
        { "tls tls.example 443 other.example", refused }, { "tls tls.example 443 ''", refused },
        { "ech tls.example 443 tls.example", { name = "tls.example", reason = "ech" } },
        { "hello_in_pieces tls.example 443 other.example 1", refused },
        { "hello_in_pieces tls.example 443 tls.example 1", nil, "answer: handshake" },
        { "tls tls.example 443 tls.example", nil, "answer: HTTP/1.1 200" } })
    end)

    it("by TLS where HTTP has to be, and the other way round", function()
      tries_all(WEB, {
        { "tcp tls.example 443 " .. get("tls.example"),
          { name = "tls.example", port = 443, reason = "protocol" } },
        { "tcp plain.example 80 'SSH-2.0-x\\r\\n\\r\\n'",
          { name = "plain.example", port = 80, reason = "protocol" } },
        { "tcp plain.example 80 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'",
          { name = "plain.example", port = 80, reason = "protocol" } } })
      local said = run(WEB, "curl -sS -m 10 --http2-prior-knowledge http://plain.example/who")
      assert.is_nil(said:find("GET /who", 1, true))
      -- TLS is read there, so its certificate has to be one that this machine trusts.
      tries({ { host = "plain.example", ports = 443, paths = { "/**" } } },
        "tls plain.example 443 plain.example", { name = "plain.example", reason = "certificate" })
    end)

    it("by requests for another host", function()
      local list, before = {}, #world:asked()
      local function request(text, reason)
        list[#list + 1] = { ("tcp plain.example 80 '%s'"):format(text),
          { name = "plain.example", port = 80, reason = reason } }
      end
      local HOST = "Host: plain.example\\r\\n"
      request("GET /who HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n", "host")
      request("GET /who HTTP/1.1\\r\\n\\r\\n", "host")
      request("GET /who HTTP/1.0\\r\\n\\r\\n", "host")
      request("GET http://other.example/who HTTP/1.1\\r\\n" .. HOST .. "\\r\\n", "host")
      request("GET /who HTTP/1.1\\r\\n" .. HOST .. "Host: other.example\\r\\n\\r\\n")
      request("CONNECT other.example:443 HTTP/1.1\\r\\nHost: other.example:443\\r\\n\\r\\n")
      request("CONNECT plain.example:80 HTTP/1.1\\r\\nHost: plain.example:80\\r\\n\\r\\n")
      -- Requests that servers read in two ways.
      request("GET /who HTTP/1.1\\r\\n" .. HOST .. "Content-Length: 5\\r\\n"
        .. "Transfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nGET /who HTTP/1.1\\r\\n\\r\\n")
      request("GET /who HTTP/1.1\\r\\n" .. HOST .. "Content-Length: 5\\r\\nContent-Length: 0"
        .. "\\r\\n\\r\\n")
      request("GET /who HTTP/1.1\\r\\n" .. HOST .. "X: y\\r\\n Host: other.example\\r\\n"
        .. "Transfer-Encoding : chunked\\r\\n\\r\\n")
      for _, line in ipairs{ "GET /who HTTP/1.1\\nHost: other.example\\n\\n",
        "\\r\\n\\r\\nGET /who HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n",
        "GET\\t/who HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n" } do
        request(line)
      end
      local _, result = tries_all(WEB, list)
      assert.equal(#list, times_told(result, { name = "plain.example", port = 80 }))
      assert.is_nil(world:asked():sub(before + 1):find("other.example", 1, true))
    end)

    it("by later requests of a connection", function()
      local first = "GET /echo/1 HTTP/1.1\\r\\nHost: plain.example\\r\\n\\r\\n"
      local said = tries(WEB, ("tcp plain.example 80 '%s%s'"):format(first,
        "GET /secret-2 HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n"),
        { name = "plain.example", reason = "host" }, "answer")
      assert.is_not_nil(said)
      tries(WEB, ("tcp plain.example 80 '%s%s'"):format(
        "POST /echo/1 HTTP/1.1\\r\\nHost: plain.example\\r\\nContent-Length: 4\\r\\n\\r\\nbody",
        "GET /secret-3 HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n"),
        { name = "plain.example", reason = "host" }, "answer")
      assert.is_nil(world:asked():find("secret", 1, true))
    end)

    it("by changing protocols", function()
      -- The wish is taken away or refused, so nothing follows that is not read.
      for _, protocol in ipairs{ "h2c", "websocket", "TLS/1.0" } do
        tries(WEB, ("tcp plain.example 80 '%s'"):format("GET /who HTTP/1.1\\r\\n"
          .. "Host: plain.example\\r\\nConnection: Upgrade, HTTP2-Settings\\r\\nUpgrade: "
          .. protocol .. "\\r\\nHTTP2-Settings: AAMAAABk\\r\\n\\r\\n"
          .. "GET /secret-4 HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n"),
          { name = "plain.example", protocol = "http" }, "answer")
      end
      assert.is_nil(world:asked():find("secret", 1, true))
    end)

    it("with data in the first packet", function()
      local said = tries(WEB, "fast_open 192.0.2.9 80 " .. get("plain.example"))
      assert.matches("^E[A-Z]+\n$", said)
    end)

    it("with sockets of other kinds", function()
      local said = run(WEB, "python3 /ways.py raw; python3 /ways.py vsock 2 22; "
        .. "python3 /ways.py vsock 1 22")
      assert.is_nil(said:find("answer", 1, true), said)
    end)

    it("by changing the network", function()
      local said = run(WEB, [[ip route add 192.0.2.0/24 dev lo; ip addr add 10.9.9.9/8 dev eth0
        ip link set eth0 down; ip link add x type dummy; ip route del default
        unshare -n true && echo made; unshare -Urn true && echo made
        curl -sS http://plain.example/who]])
      assert.matches("%- plain.example GET /who\n$", said)
    end)

    it("in other sandboxes", function()
      local other = image:start{ shell = "python3 -m http.server 80", mounts = mounts,
        networking = { allow = {} } }
      contree.sleep(0.3)
      for _, host in ipairs{ "10.0.2.100", "10.0.2.101", "10.0.2.2" } do
        local said = run(WEB, "curl -sS -m 5 http://" .. host .. "/")
        assert.is_nil(said:find("Directory listing", 1, true), host .. said)
      end
      other:cancel()
    end)

    it("by names of its own", function()
      -- /etc/hosts and --resolve name addresses, which are decided as such.
      local said, result = run(WEB, "echo 192.0.2.9 plain.example >> /etc/hosts; "
        .. "curl -sS -m 5 http://plain.example/who", { image_etc = false })
      assert.is_nil(said:find("GET /who", 1, true))
      assert.equal("192.0.2.9", result.denied[1].address)
      said = run(WEB, ("curl -sS -m 5 --resolve plain.example:80:127.0.0.1 "
        .. "http://plain.example/who"))
      assert.is_nil(said:find("GET /who", 1, true))
    end)
  end)

  describe("harms nobody", function()
    it("with connections that say nothing", function()
      local flood = image:start{
        shell = "python3 /ways.py half_open plain.example 80 5000; sleep 20", mounts = mounts,
        files = ways, networking = { allow = WEB, resolve = world:resolve() } }
      contree.sleep(0.5)
      assert.matches("%- plain.example GET /who\n",
        (run(WEB, "curl -sS http://plain.example/who")))
      flood:cancel()
    end)

    it("with requests that never end", function()
      assert.equal("ended\n", slow:wait().stdout)
    end)

    it("and its connections end with it", function()
      local port = world:python([[
import socket
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True)
while True:
    c = s.accept()[0]; print("open", flush=True); c.sendall(b"x")
    try:
        while c.recv(100): pass
    except OSError: pass
    print("closed", flush=True)]])
      local told = world.directory .. "/server" .. (#world.pids - 1) .. ".port"
      local operation = image:start{ shell = "python3 -c 'import socket, time; "
        .. "s = socket.create_connection((\"long.example\", " .. port .. ")); s.recv(1); "
        .. "s.send(b\"x\"); time.sleep(60)'", mounts = mounts,
        networking = { allow = { "long.example:" .. port },
          resolve = { ["long.example"] = "127.0.0.1" } } }
      local function count(word)
        return select(2, disk.read(told):gsub(word, ""))
      end
      while count("open") == 0 do contree.sleep(0.02) end
      assert.equal(0, count("closed"))
      operation:cancel()
      for _ = 1, 200 do
        if count("closed") > 0 then break end
        contree.sleep(0.02)
      end
      assert.equal(1, count("closed"))
    end)
  end)

  describe("can be", function()
    local LINE = "curl -sS http://plain.example/who; curl -sS http://nope.example/ 2>/dev/null; "
      .. "true"
    local SAID = "- plain.example GET /who\n"
    local rules
    setup(function() rules = { allow = { "plain.example" }, resolve = world:resolve() } end)

    it("started, opened, spawned in, prepared and one of a session", function()
      local given = { shell = LINE, mounts = mounts, networking = rules }
      local result = image:start(given):wait()
      assert.same({ SAID, 1 }, { result.stdout, #result.denied })
      local process = image:popen(LINE, { shell = true, mounts = mounts, networking = rules })
      assert.equal(SAID, (process:communicate()))
      local operation = image:start{ shell = "sleep 20", mounts = mounts, networking = rules }
      local spawned = operation:spawn(LINE):wait()
      assert.equal(SAID, spawned.stdout)
      operation:cancel()
      assert.equal(SAID, image:prepare(given)().stdout)
      local session = image:session()
      assert.equal(SAID, session:run(given).stdout)
      local again = client.operations:get(result.operation.uuid):wait()
      assert.equal("nope.example", again.denied[1].name)
    end)

    it("watched by its events", function()
      local told = {}
      local result = image:run{ shell = LINE, mounts = mounts, networking = rules, trace = true,
        on_event = function(event)
          if event.type == "denied" or event.type == "tried" then
            told[#told + 1] = event.data.name
          end
        end }
      assert.same({ "plain.example", "nope.example" }, { told[1], told[2] })
      assert.equal("nope.example", result.denied[1].name)
      assert.equal("plain.example", result.tried[1].name)
    end)

    it("of a client that always has rules", function()
      local options = home.options(stop and client.engine and client.engine.data_dir
        and client.engine.data_dir:gsub("/data$", ""))
      options.networking = rules
      local other = contree.new(options)
      local result = other.images:use("outside:here"):run{ shell = LINE, mounts = mounts }
      assert.same({ SAID, 1 }, { result.stdout, #result.denied })
      other:close()
    end)
  end)

  it("says what is wrong with them", function()
    local err = failure(image.run, image, { shell = "x", networking = { allow = { "a..b" } } })
    assert.equal("unprocessable", err.kind)
    assert.matches("networking.allow%[0%]", err.message)
  end)
end)
