-- Names that this machine resolves in strange ways: an engine in a network namespace of its own,
-- with a name server and web servers at addresses that are public everywhere else.
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local outside = require("spec.support.outside")
local wire = require("spec.support.wire")

local PUBLIC, PRIVATE, SIX = "93.184.216.34", "10.77.0.1", "2600:1::1"

-- Answers from DIR/zone, which is read anew each time, and writes down what it was asked.
local NAME_SERVER = [=[
import json, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 53))
while True:
    data, peer = s.recvfrom(4096)
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode()); at += 1 + data[at]
    kind, = struct.unpack("!H", data[at + 1:at + 3])
    name = ".".join(labels).lower()
    open(sys.argv[1] + "/asked", "a").write("%s %d\n" % (name, kind))
    zone = json.load(open(sys.argv[1] + "/zone"))
    found = [a for a in zone.get(name, []) if (":" in a) == (kind == 28)] if kind in (1, 28) else []
    out = data[:2] + struct.pack("!HHHHH", 0x8180 + (0 if name in zone else 3), 1, len(found), 0, 0)
    out += data[12:at + 5]
    for a in found:
        raw = socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a)
        out += struct.pack("!HHHIH", 0xc00c, kind, 1, 0, len(raw)) + raw
    s.sendto(out, peer)
]=]

-- Says at which address it was reached.
local WEB = [[
import http.server, socket, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("reached %s\n" % self.connection.getsockname()[0].replace("::ffff:", "")).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
class S(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
S(("::", 80), H).serve_forever()
]]

-- The hole takes packets and answers nothing.
local NETWORK = [[
[ -n "${CONTREE_INSIDE:-}" ] || CONTREE_INSIDE=1 exec unshare -m -n "$0" "$@"
ip link set lo up
ip addr add PUBLIC/32 dev lo
ip addr add PRIVATE/32 dev lo
ip addr add SIX/128 dev lo nodad
ip link add hole type dummy
ip link set hole up
for each in 2600:2::1 2600:2::2; do
  ip route add $each/128 dev hole src SIX
  ip neigh add $each lladdr 02:00:00:00:00:01 dev hole nud permanent
done
ip route add 93.184.217.0/24 dev hole src PUBLIC
ip neigh add 93.184.217.1 lladdr 02:00:00:00:00:01 dev hole nud permanent
mount --bind DIR/resolv.conf /etc/resolv.conf
mount --bind DIR/hosts /etc/hosts
for each in names web; do
  setsid /usr/bin/python3 DIR/$each.py DIR >>DIR/$each.log 2>&1 & echo $! >>DIR/pids
done
sleep 0.3
]]

local is_root = disk.capture("id -u") == "0\n"

describe("a name", function()
  if not is_root then
    pending("needs root: a network namespace with addresses of its own")
    return
  end
  local world, client, image, mounts, stop, place, early

  local function zone(names)
    disk.write(place .. "/zone.new", require("cjson").encode(names))
    os.rename(place .. "/zone.new", place .. "/zone")
  end

  -- Runs curl for URLs; returns what each said, and the result.
  local function run(allow, line, more)
    local given = { shell = "exec 2>&1; " .. line, mounts = mounts, timeout = 100,
      networking = { allow = allow } }
    for name, value in pairs(more or {}) do given[name] = value end
    local result = image:run(given)
    return result.stdout, result
  end

  local GET = "curl -sS -m 20 http://%s/ || echo failed\n"

  setup(function()
    world = outside.start()
    place = world.directory
    disk.write(place .. "/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    disk.write(place .. "/hosts", "127.0.0.1 localhost\n")
    disk.write(place .. "/names.py", NAME_SERVER)
    disk.write(place .. "/web.py", WEB)
    disk.write(place .. "/asked", "")
    local early_names = { ["later.example"] = { PUBLIC }, ["early.example"] = { PUBLIC } }
    zone(early_names)
    local directory
    client, directory, stop = home.client{ engine = { path = world:engine((NETWORK:gsub("%u+",
      { PUBLIC = PUBLIC, PRIVATE = PRIVATE, SIX = SIX, DIR = place }))) } }
    image, mounts = world:image(client, directory)
    -- It goes on while the other tests run: a name is kept for half a minute.
    early = image:start{ shell = GET:format("later.example") .. "touch /first; sleep 33; "
      .. GET:format("later.example") .. GET:format("later.example"), mounts = mounts,
      networking = { allow = { "later.example" } } }
    wire.eventually("the first question", function()
      return disk.read(place .. "/asked"):find("later.example", 1, true)
    end)
  end)
  teardown(function()
    if stop then stop() end
    for pid in (place and disk.peek(place .. "/pids") or ""):gmatch("%d+") do
      os.execute("kill " .. pid .. " 2>/dev/null")
    end
    if world then world:stop() end
  end)

  it("is resolved by this machine, when it is connected to", function()
    zone{ ["a.example"] = { PUBLIC } }
    local said, result = run({ "a.example", "b.example" }, GET:format("a.example")
      .. GET:format("b.example"))
    assert.equal("reached " .. PUBLIC .. "\n", said:match("^[^\n]+\n"))
    assert.equal("unresolved", outside.reasons(result))
    local asked = disk.read(place .. "/asked")
    assert.is_not_nil(asked:find("\na.example 1\n"))
    -- Whatever the sandbox asks its name server, this machine's is asked for addresses alone.
    assert.is_nil(asked:find(" 1[^\n]"), asked)
  end)

  it("that has become private is refused, from one run to the next", function()
    zone{ ["r.example"] = { PUBLIC } }
    assert.equal("reached " .. PUBLIC .. "\n", (run({ "r.example" }, GET:format("r.example"))))
    zone{ ["r.example"] = { PRIVATE } }
    local said, result = run({ "r.example" }, GET:format("r.example"))
    assert.matches("failed", said)
    assert.equal("private", outside.reasons(result))
    -- Unless a rule says that it may be.
    assert.equal("reached " .. PRIVATE .. "\n",
      (run({ { host = "r.example", private = true } }, GET:format("r.example"))))
    assert.equal("reached " .. PRIVATE .. "\n",
      (run({ "r.example", "10.77.0.0/24" }, GET:format("r.example"))))
  end)

  it("with addresses of both kinds is connected at the public ones alone", function()
    for _, others in ipairs{ { PRIVATE }, { "127.0.0.1", "::1" }, { "169.254.169.254", "fe80::1" },
      { "::ffff:" .. PRIVATE, "64:ff9b::a4d:1", "fd00:ec2::254" }, { "0.0.0.0", "::" } } do
      zone{ ["m.example"] = others }
      local said, result = run({ "m.example" }, GET:format("m.example"))
      assert.matches("failed", said)
      assert.equal("private", outside.reasons(result), others[1])
      others[#others + 1] = PUBLIC
      zone{ ["m.example"] = others }
      said, result = run({ "m.example" }, GET:format("m.example"), { trace = true })
      assert.equal("reached " .. PUBLIC .. "\n", said)
      assert.equal(PUBLIC, result.tried[1].address)
    end
  end)

  it("with IPv6 addresses is connected at one that answers", function()
    zone{ ["six.example"] = { SIX }, ["both.example"] = { SIX, PUBLIC },
      ["hole.example"] = { "2600:2::1", "2600:2::2", PUBLIC },
      ["none.example"] = { "2600:3::1", PUBLIC }, ["four.example"] = { "93.184.217.1", PUBLIC } }
    local names = { "six", "both", "hole", "none", "four" }
    local lines = {}
    for i, name in ipairs(names) do lines[i] = GET:format(name .. ".example") end
    local said, result = run({ "*.example" }, table.concat(lines))
    local out = {}
    for each in said:gmatch("[^\n]+") do out[#out + 1] = each:match("reached (.*)") or each end
    assert.equal("", outside.reasons(result))
    assert.equal(SIX, out[1])
    assert.is_true(out[2] == SIX or out[2] == PUBLIC, said)
    assert.same({ PUBLIC, PUBLIC, PUBLIC }, { out[3], out[4], out[5] })
    -- The sandbox itself sees no IPv6, so no program tries it first.
    assert.matches("^198%.18%.[%d.]+%s", (run({ "*.example" }, "getent ahosts both.example")))
    local six = run({ "*.example" }, "getent ahostsv6 six.example || true")
    assert.is_nil(six:find("2600", 1, true))
  end)

  it("is as long as names can be", function()
    local label = ("a"):rep(63)
    local longest = table.concat({ label, label, label, ("b"):rep(61) }, ".")
    assert.equal(253, #longest)
    zone{ [longest] = { PUBLIC }, [label .. ".example"] = { PUBLIC } }
    for _, name in ipairs{ longest, label .. ".example" } do
      for _, rule in ipairs{ name, name .. ".", name:upper(), "*" .. name:match("%..*") } do
        assert.equal("reached " .. PUBLIC .. "\n", (run({ rule }, GET:format(name))), rule)
      end
    end
    assert.equal("reached " .. PUBLIC .. "\n", (run({ longest }, GET:format(longest:upper()))))
    for _, rule in ipairs{ longest .. "c", "a" .. label .. ".example", ("a."):rep(127) .. "example",
      "*." .. longest .. "c" } do
      local err = failure(image.run, image, { command = "true", networking = { allow = { rule } } })
      assert.equal("unprocessable", err.kind, rule)
    end
    -- In a question such a name does not exist; nobody is asked.
    local before = disk.read(place .. "/asked")
    run({ "*.example" }, ("getent hosts a%s.example; getent hosts %sexample; true"):format(label,
      ("a."):rep(124)))
    assert.equal(before, disk.read(place .. "/asked"))
  end)

  it("is compared label by label", function()
    local names = { "example", "a.example", "b.a.example", "xn--bcher-kva.example", "aexample",
      "co.uk", "x.co.uk", "example.a" }
    local known, lines = {}, {}
    for i, name in ipairs(names) do
      known[name], lines[i] = { PUBLIC }, GET:format(name)
    end
    zone(known)
    local function reached(allow, deny)
      local said = run(nil, table.concat(lines), { networking = { allow = allow, deny = deny } })
      local list, i = {}, 0
      for line in said:gmatch("[^\n]+") do
        if line == "failed" or line:find("reached", 1, true) then
          i = i + 1
          if line ~= "failed" then list[#list + 1] = names[i] end
        end
      end
      return table.concat(list, " ")
    end
    assert.equal("a.example b.a.example xn--bcher-kva.example", reached{ "*.example" })
    assert.equal("b.a.example", reached{ "*.A.EXAMPLE." })
    assert.equal("example", reached{ "EXAMPLE" })
    assert.equal("xn--bcher-kva.example", reached{ "XN--Bcher-KVA.example" })
    assert.equal("x.co.uk", reached{ "*.co.uk" })
    assert.equal("co.uk x.co.uk", reached{ "*.uk" })
    -- What is denied is denied, in whatever order and width.
    assert.equal("a.example xn--bcher-kva.example", reached({ "*.example", "b.a.example" },
      { "*.a.example" }))
    assert.equal("b.a.example xn--bcher-kva.example", reached({ "*.example", "a.example:80" },
      { "a.example" }))
    assert.equal("a.example", reached({ "a.example" }, { "a.example:443" }))
    assert.equal("", reached({ "a.example" }, { "a.example:80" }))
    assert.equal("", reached({ "*.example" }, { "*.example" }))
    -- By the address that it has, too.
    assert.equal("", reached({ "*.example" }, { "93.184.216.0/24" }))
    assert.equal("", reached({ "*.example", PUBLIC }, { PUBLIC .. ":80" }))
    assert.equal("a.example", reached({ "a.example" }, { "93.184.217.0/24" }))
    for _, rule in ipairs{ "*", "*.", "*.*.example", "a.*.example", "a*.example", "bücher.example",
      "a..example", ".example", "-", "a b.example", "1.2.3", "0x7f.1" } do
      local ok = pcall(image.run, image, { command = "true", networking = { allow = { rule } } })
      if rule ~= "-" then assert.is_false(ok, rule) end
    end
  end)

  it("is denied by the address where it is said to be", function()
    local rules = { allow = { "pinned.example" }, deny = { PRIVATE },
      resolve = { ["pinned.example"] = PRIVATE } }
    local said, result = run(nil, GET:format("pinned.example"), { networking = rules })
    assert.matches("failed", said)
    assert.equal("rule", outside.reasons(result))
    rules.deny = nil
    assert.equal("reached " .. PRIVATE .. "\n",
      (run(nil, GET:format("pinned.example"), { networking = rules })))
  end)

  it("that becomes private while a run goes on is refused", function()
    zone{ ["later.example"] = { PRIVATE } }
    local result = early:wait()
    assert.equal("reached " .. PUBLIC .. "\n", result.stdout:match("^[^\n]+\n"), result.stdout)
    assert.equal("failed\nfailed\n", result.stdout:match("\n(.*)$"))
    assert.equal("private", outside.reasons(result))
  end)
end)
