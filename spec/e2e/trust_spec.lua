-- What the programs of a sandbox trust where the airlock reads TLS: the files, and the variables
-- that name them. Real programs with them are in spec/programs/network_spec.lua.
local home = require("spec.support.home")
local outside = require("spec.support.outside")

-- Prints how many certificates the PEM has, and whether the keystore of Java has the same.
local COMPARE = [[
import os, re, ssl, struct
pem = open(os.environ["SSL_CERT_FILE"]).read()
ders = [ssl.PEM_cert_to_DER_cert(x) for x in
        re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.S)]
path = re.search(r"trustStore=(\S+)", os.environ["JAVA_TOOL_OPTIONS"]).group(1)
data, at, found = open(path, "rb").read(), 12, []
magic, version, count = struct.unpack(">III", data[:12])
assert (hex(magic), version) == ("0xfeedfeed", 2), data[:12]
for i in range(count):
    tag, size = struct.unpack(">IH", data[at:at + 6]); at += 6
    assert tag == 1 + 1
    name, at = data[at:at + size].decode(), at + size
    assert name == str(i), name
    time, size = struct.unpack(">QH", data[at:at + 10]); at += 10
    assert data[at:at + size] == b"X.509"; at += size
    size, = struct.unpack(">I", data[at:at + 4]); at += 4
    found.append(data[at:at + size]); at += size
assert len(data) == at + 20, (len(data), at)
print(len(ders), found == ders)
]]

describe("what a sandbox trusts", function()
  local world, client, image, mounts, stop

  setup(function()
    world = outside.start()
    local directory
    client, directory, stop = home.client{ engine = { path = world:engine() } }
    image, mounts = world:image(client, directory)
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  local RULES = { allow = { { host = "tls.example", paths = { "/**" } } } }

  local function run(line, more)
    local given = { shell = "exec 2>&1; " .. line, mounts = mounts, networking = RULES,
      files = { ["/compare.py"] = { data = COMPARE } } }
    for name, value in pairs(more or {}) do given[name] = value end
    given.image = nil
    local result = (more and more.image or image):run(given)
    return result.stdout, result
  end

  it("is what its image trusts, and the airlock, in PEM and for Java", function()
    assert.equal("2 True\n", (run("python3 /compare.py")))
    -- Whatever is between the certificates, and with one that is cut off.
    local bundle = ("# noise\n-----BEGIN X-----\nAAAA\n-----END X-----\n%s\n"):rep(3)
    local _, made = run([[cd /etc/ssl/certs && one=$(cat ca-certificates.crt) &&
      { printf ']] .. bundle:gsub("\n", "\\n") .. [[' "$one" "$one" "$one"
        printf -- '-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n'
        printf -- '-----BEGIN CERTIFICATE-----\nAAAA'; } > x && mv x ca-certificates.crt]],
      { disposable = false, networking = false })
    assert.equal("4\n", (run([[python3 -c 'import struct
print(struct.unpack(">I", open("/dev/shm/contree-ca.jks", "rb").read()[8:12])[0])']],
      { image = made })))
    -- An image without certificates, or with a strange file in their place.
    for _, line in ipairs{ "rm -r /etc/ssl/certs", "cd /etc/ssl/certs && rm *.crt && mkfifo "
      .. "ca-certificates.crt", "cd /etc/ssl/certs && ln -sf /proc/kmsg ca-certificates.crt" } do
      _, made = run(line, { disposable = false, networking = false })
      assert.equal("1 True\n", (run("python3 /compare.py", { image = made })), line)
    end
  end)

  it("is named by variables, beside what else they have", function()
    local line = "echo $JAVA_TOOL_OPTIONS; echo $SSL_CERT_FILE"
    local OURS = "-Djavax.net.ssl.trustStore=/dev/shm/contree-ca.jks"
    assert.equal(OURS .. "\n/dev/shm/contree-ca.pem\n", (run(line)))
    assert.equal(OURS .. " -Xmx64m\n/own.pem\n", (run(line,
      { env = { JAVA_TOOL_OPTIONS = "-Xmx64m", SSL_CERT_FILE = "/own.pem" } })))
    local _, made = run("true", { disposable = false, networking = false, preserve_env = true,
      env = { JAVA_TOOL_OPTIONS = "-Xss1m", SSL_CERT_FILE = "/image.pem" } })
    assert.equal(OURS .. " -Xss1m\n/dev/shm/contree-ca.pem\n", (run(line, { image = made })))
    assert.equal(OURS .. " -Xmx64m\n/dev/shm/contree-ca.pem\n", (run(line,
      { image = made, env = { JAVA_TOOL_OPTIONS = "-Xmx64m" } })))
    -- Without TLS that is read there is nothing of it.
    assert.equal("-Xss1m\n/image.pem\nnone\n", (run(line .. "; ls /dev/shm/contree-ca.pem "
      .. "2>/dev/null || echo none", { image = made, networking = { allow = { "a.example" } } })))
    assert.equal("\n\n", (run(line, { networking = false })))
  end)
end)
