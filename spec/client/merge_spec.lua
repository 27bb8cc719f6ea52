-- image:merge asks a server that can, and says so of one that cannot.
local contree = require("contree")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("image:merge", function()
  local OTHER = "11111111-2222-4333-8444-555555555555"
  local server, client, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    image = client.images:use(fake.IMAGE)
  end)

  local function rule(uuid, status)
    return { path = ("/v1/inspect/%s/"):format(uuid),
      replies = { { status = status, json = { uuid = uuid } } } }
  end

  local function answers(json)
    server:rules{ { path = "/v1/merge", replies = { { status = 200, json = json } } } }
  end

  it("sends what it was asked for", function()
    answers{ image = { uuid = fake.KEPT, tag = "a:1", created_at = "2024" }, conflicts = {},
      conflict_count = 0 }
    local merged, conflicts = image:merge(OTHER:upper(), { base = "x:1", prefer = "ours",
      tag = "a:1", timeout = 7 })
    assert.equal(fake.KEPT, merged.uuid)
    assert.equal("a:1", merged.tag)
    assert.same({}, conflicts)
    assert.same({ ours = fake.IMAGE, theirs = OTHER, base = "tag:x:1", prefer = "ours",
      tag = "a:1", timeout = 7 }, server:requests()[1].json)
  end)

  it("raises conflicts", function()
    local found = {}
    for i = 1, 5 do
      found[i] = { path = "/p" .. i, conflict = "content", base = fake.null,
        ours = { kind = "symlink", size = 1, mode = 41471, uid = 0, gid = 5 },
        theirs = { kind = "file", size = 1, mode = 33188, uid = 0, gid = 5 } }
    end
    found[1].path, found[1].path_encoding = "/p%FF", "percent"
    answers{ image = fake.null, conflicts = found, conflict_count = 1234 }
    local err = failure(image.merge, image, OTHER)
    assert.equal("conflict", err.kind)
    assert.truthy(tostring(err):find("/p3 and 1231 more", 1, true), tostring(err))
    assert.equal(5, #err.conflicts)
    assert.equal("/p\255", err.conflicts[1].path)
    assert.same({ path = "/p2", conflict = "content",
      ours = { type = "link", size = 1, mode = 511, uid = 0, gid = 5 },
      theirs = { type = "file", size = 1, mode = 420, uid = 0, gid = 5 } }, err.conflicts[2])
  end)

  it("is not done by a server that does not know how to", function()
    for _, status in ipairs{ 404, 405 } do
      local cannot = { path = "/v1/merge", replies = { { status = status, json = {} } } }
      server:rules{ cannot, rule(fake.IMAGE, 200), rule(OTHER, 200) }
      local err = failure(image.merge, image, OTHER)
      assert.equal("not_supported", err.kind)
      assert.matches("the local engine does", tostring(err))
    end
    server:rules{ rule(fake.IMAGE, 200), rule(OTHER, 404) }
    assert.equal("not_found", failure(image.merge, image, OTHER).kind)
  end)

  it("refuses what is no image", function()
    for _, wrong in ipairs{ false, 1, "", {} } do
      assert.is_true(failure(image.merge, image, wrong).misuse)
      assert.is_true(failure(image.merge, image, OTHER, { base = wrong }).misuse)
    end
    assert.matches('did you mean "prefer"', tostring(failure(image.merge, image, OTHER,
      { prefr = "ours" })))
    assert.is_true(failure(image.merge, image, OTHER, { prefer = "mine" }).misuse)
  end)
end)
