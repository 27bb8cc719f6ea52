-- Contents that the engine copies from a descriptor of its client (http-api.md §4.6).
local core = require("contree.core")
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("a file that the client has open", function()
  local engine, directory

  setup(function()
    directory = disk.directory()
    engine = wire.start("--listen 127.0.0.1:0 --token-file "
      .. disk.write(directory .. "/token", "s3cret"))
  end)
  teardown(function()
    engine:stop()
    disk.remove(directory)
  end)

  local function open(name, bytes)
    local file = assert(core.open_file(disk.write(directory .. "/" .. name, bytes)))
    return file, file:describe()
  end

  local function adopt(body)
    return engine:post("/v1/files/descriptor", body)
  end

  it("is copied and hashed", function()
    local bytes = ("0123456789abcde\n"):rep(300000)
    local file, what = open("large", bytes)
    local reply = adopt{ fd = what.fd, inode = what.inode }
    assert.equal(201, reply.status)
    assert.equal(core.sha256(bytes), reply.json.sha256)
    assert.equal(#bytes, reply.json.size)
    local found = engine:get("/v1/files/" .. reply.json.sha256)
    assert.equal(reply.json.uuid, found.json.uuid)
    file:close()
    assert.equal(422, adopt{ fd = what.fd, inode = what.inode }.status)
  end)

  it("is that file, and a regular one", function()
    local file, what = open("small", "x")
    local _, other = open("other", "y")
    assert.equal(422, adopt{ fd = what.fd, inode = other.inode }.status)
    assert.equal(422, adopt{ fd = 99999, inode = what.inode }.status)
    disk.capture("mkfifo " .. directory .. "/fifo")
    assert.equal(422, adopt{ fd = 0, inode = core.lstat("/dev/null").inode }.status)
    assert.equal(422, adopt{ fd = 0, inode = core.lstat(directory .. "/fifo").inode }.status)
    for _, body in ipairs{ {}, { fd = what.fd }, { inode = what.inode },
      { fd = -1, inode = what.inode }, { fd = "1", inode = what.inode } } do
      assert.equal(400, adopt(body).status)
    end
    file:close()
  end)

  it("is on this machine: not over TCP", function()
    local file, what = open("remote", "x")
    engine.port = tonumber(disk.read(engine.log):match("http://127%.0%.0%.1:(%d+)"))
    local reply = engine:post("/v1/files/descriptor", { fd = what.fd, inode = what.inode },
      { Authorization = "Bearer s3cret" })
    engine.port = nil
    wire.refuses(403, "over the Unix socket only", reply)
    file:close()
  end)
end)
