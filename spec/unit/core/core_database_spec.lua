local core = require("contree.core")
local disk = require("spec.support.disk")

describe("core.database", function()
  local directory, path, db

  setup(function() directory = disk.directory() end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)
  before_each(function()
    path = os.tmpname():gsub(".*/", directory .. "/")
    db = assert(core.database(path))
  end)
  after_each(function() db:close() end)

  it("takes and gives values as they are", function()
    local row = db:exec("SELECT ? AS i, ? AS f, ? AS s, ? AS n, ? AS big, ? AS empty",
      7, 1.5, "a\0'\195\164", nil, 2 ^ 53, "")[1]
    assert.are.same({ i = 7, f = 1.5, s = "a\0'\195\164", big = 2 ^ 53, empty = "" }, row)
    if math.type then
      assert.are.equal("integer", math.type(row.i))
      assert.are.equal("integer", math.type(row.big))
    end
    assert.are.equal(1 / 0, db:exec("SELECT ? AS x", 1 / 0)[1].x)
    assert.are.same({}, db:exec("SELECT 1 AS x WHERE 0"))
    assert.is_false(pcall(db.exec, db, "SELECT ?", {}))
  end)

  it("tells what a statement changed, and why it could not", function()
    db:exec("CREATE TABLE t (x UNIQUE)")
    assert.are.equal(2, select(2, db:exec("INSERT INTO t VALUES (1), (2)")))
    assert.are.same({ { x = 1 }, { x = 2 } }, (db:exec("SELECT x FROM t ORDER BY x")))
    local rows, message, kind = db:exec("INSERT INTO t VALUES (1)")
    assert.is_nil(rows)
    assert.matches("UNIQUE", message)
    assert.are.equal("exists", kind)
    assert.are.equal("failed", select(3, db:exec("nonsense")))
    local other = core.database(path)
    other:exec("BEGIN IMMEDIATE")
    assert.are.equal("busy", select(3, db:exec("INSERT INTO t VALUES (3)")))
    other:close()
    assert.are.equal(1, select(2, db:exec("INSERT INTO t VALUES (3)")))
  end)

  it("is closed once and for all", function()
    db:close()
    db:close()
    assert.matches("closed", select(2, pcall(db.exec, db, "SELECT 1")))
    local none, message = core.database(directory .. "/no/such")
    assert.is_nil(none)
    assert.matches("^it cannot be made: No such file", message)
  end)

  it("does not open the file to others, nor touch what is there", function()
    assert.are.equal("600\n", disk.capture("stat -c %a " .. disk.quote(path)))
    local other = directory .. "/mine"
    disk.capture("umask 027; : > " .. disk.quote(other))
    core.database(other):close()
    assert.are.equal("640\n", disk.capture("stat -c %a " .. disk.quote(other)))
  end)
end)
