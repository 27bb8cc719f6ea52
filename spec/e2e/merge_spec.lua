-- image:merge: two images that came from one become one again.
local home = require("spec.support.home")
local safe = require("contree.safe")

describe("image:merge", function()
  local client, directory, stop, base, ours, theirs

  setup(function()
    client, directory, stop = home.client()
    base = client.images:use("busybox:latest"):run{ disposable = false,
      shell = "mkdir -p /w/d; cd /w; seq 9 > list; echo 1 > both; touch d/f 'a b'; ln -s x l" }
    ours = base:run{ disposable = false, shell = [[cd /w; sed -i s/2/two/ list; echo 22 > both
      rm 'a b'; touch mine]] }
    theirs = base:run{ disposable = false, shell = [[cd /w; sed -i s/8/eight/ list
      echo 333 > both; chmod 600 'a b'; rm -r d; touch d yours]] }
  end)
  teardown(function() stop() end)

  local function paths(image)
    local names = {}
    for _, entry in ipairs(image:ls("/w")) do names[#names + 1] = entry.name end
    return table.concat(names, " ")
  end

  local function fails(kind, ...)
    local ok, err = pcall(ours.merge, ours, ...)
    assert.is_false(ok)
    assert.equal(kind, err.kind, tostring(err))
    return err
  end

  it("brings changes together", function()
    local left = base:run{ disposable = false, shell = "sed -i s/2/two/ /w/list; rm /w/both" }
    local right = base:run{ disposable = false, shell = "sed -i s/8/eight/ /w/list; touch /w/n" }
    local both, conflicts = left:merge(right, { tag = "both:v1" })
    assert.same({}, conflicts)
    assert.equal("both:v1", both.tag)
    assert.equal("1\ntwo\n3\n4\n5\n6\n7\neight\n9\n", both:read("/w/list"))
    assert.equal("a b d l list n", paths(both))
    assert.equal("9\n", both:run("wc -l < /w/list").stdout)
    local lineage = both:lineage()
    assert.equal("import merge:" .. right.uuid, lineage[1].kind .. " " .. lineage[1].title)
    assert.same({ left.uuid, base.uuid }, { lineage[2].uuid, lineage[3].uuid })
  end)

  it("raises conflicts, with the versions", function()
    local err = fails("conflict", theirs)
    assert.truthy(tostring(err):find("/w/a b, /w/both", 1, true))
    assert.matches("prefer", err.hint)
    local list = {}
    for _, each in ipairs(err.conflicts) do
      list[#list + 1] = ("%s %s"):format(each.conflict, each.path)
    end
    assert.same({ "removed /w/a b", "content /w/both" }, list)
    local both = err.conflicts[2]
    assert.same({ 2, 3, 4 }, { both.base.size, both.ours.size, both.theirs.size })
    assert.same({ "file", 420, 0, 0 },
      { both.ours.type, both.ours.mode, both.ours.uid, both.ours.gid })
    assert.is_nil(err.conflicts[1].ours)
    assert.equal(384, err.conflicts[1].theirs.mode)
  end)

  it("lets one side win", function()
    local merged, conflicts = ours:merge(theirs, { prefer = "ours" })
    assert.equal(2, #conflicts)
    assert.equal("22\n", merged:read("/w/both"))
    assert.equal("both d l list mine yours", paths(merged))
    assert.equal("file", merged:stat("/w/d").type)
    merged = ours:merge(theirs, { prefer = "theirs" })
    assert.equal("333\n", merged:read("/w/both"))
    assert.equal("a b both d l list mine yours", paths(merged))
  end)

  it("moves a session, which then has what both have done", function()
    local session = base:session()
    session:run("echo s > /w/session")
    local other = session:fork()
    other:run("echo o > /w/other")
    session:run("echo t > /w/third")
    local image, conflicts = session:merge(other)
    assert.are.same({}, conflicts)
    assert.equal(image.uuid, session.image.uuid)
    assert.equal("s\no\nt\n", session:run("cd /w; cat session other third").stdout)
    local history = session:history()
    assert.equal("merge merge main", history[4].kind .. " " .. history[4].title)
    session:rollback(2)
    assert.is_false(session:exists("/w/other"))
    -- A conflict moves nothing, and leaves it free.
    session:run("echo x > /w/other")
    local at = session.image.uuid
    local ok, err = pcall(session.merge, session, other)
    assert.is_true(not ok and err.kind == "conflict" and #err.conflicts == 1)
    assert.equal(at, session.image.uuid)
    session:merge(other, { prefer = "theirs" })
    assert.equal("o\n", session:read("/w/other"))
  end)

  it("takes sessions, uuids, tags, and a base", function()
    local session = base:session()
    session:run("echo s > /w/session")
    assert.equal("s\n", ours:merge(session):read("/w/session"))
    local empty = client.images:use("busybox:latest")
    -- Compared with an image that has none of it, all is new on both sides.
    local _, conflicts = ours:merge(theirs.uuid, { base = empty, prefer = "ours" })
    local kinds = {}
    for _, each in ipairs(conflicts) do kinds[each.path] = each.conflict end
    assert.equal("content", kinds["/w/both"])
    -- A tag, of an ancestor: nothing is to be done.
    assert.equal(ours:read("/w/list"), ours:merge("busybox:latest"):read("/w/list"))
  end)

  it("says what is wrong", function()
    local nothing = "01a22463-0000-7000-8000-000000000000"
    fails("not_found", nothing)
    fails("not_found", theirs, { base = nothing })
    assert.matches("prefer", tostring(fails("invalid_argument", theirs, { prefer = "mine" })))
    assert.matches("base", tostring(fails("invalid_argument", theirs, { bass = base })))
    fails("invalid_argument")
    local twin = safe.new{ engine = { data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }
    local image, err = twin.images:use(ours.uuid):merge(theirs)
    assert.is_nil(image)
    assert.equal("conflict", err.kind)
    twin:close()
  end)
end)
