-- Lineage and blame on a server that knows less than the local engine.
local contree = require("contree")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

local function uuid(i) return ("%08d-9abc-4aba-8eda-0123456789ab"):format(i) end

describe("lineage", function()
  local server, client

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function() client = contree.new{ url = server.url, token = "t" } end)

  local function reply(path, json, status)
    return { path = path, replies = { { status = status or 200, json = json } } }
  end

  -- Image i was made from image i - 1 by operation i.
  local function chain(count)
    local rules = {}
    for i = 1, count do
      rules[#rules + 1] = reply(("/v1/inspect/%s/"):format(uuid(i)), { uuid = uuid(i),
        created_at = "2026-01-01T00:00:00Z", operation_uuid = i > 1 and "op-" .. i or fake.null,
        tag = i == 1 and "base:1" or fake.null })
      local operation = fake.operation{ uuid = "op-" .. i, image_uuid = uuid(i - 1),
        result = uuid(i), exit_code = i }
      operation.metadata.command, operation.metadata.args = "run", { tostring(i) }
      rules[#rules + 1] = reply("/v1/operations/op-" .. i, operation)
    end
    return rules
  end

  local function list(path, size)
    return { { path = path, size = size, mode = 33188, mtime = size, uid = 0, gid = 0,
      is_regular = true, is_dir = false, is_symlink = false, symlink_to = "" } }
  end

  it("ends where the server knows no further", function()
    local rules = chain(4)
    server:rules(rules)
    local entries = client.images:use(uuid(4)):lineage()
    assert.are.equal(4, #entries)
    assert.are.same({ "run", "run 4", 4, "op-4" }, { entries[1].kind, entries[1].title,
      entries[1].exit_code, entries[1].operation.uuid })
    assert.are.same({ "start", "base:1" }, { entries[4].kind, entries[4].title })
    table.remove(rules, 6) -- operation 3
    server:rules(rules)
    entries = client.images:use(uuid(4)):lineage()
    assert.are.same({ 2, "start" }, { #entries, entries[2].kind })
    table.remove(rules, 5) -- image 3
    server:rules(rules)
    assert.are.equal(1, #client.images:use(uuid(4)):lineage())
    server:rules{}
    local image = client.images:use(uuid(4))
    assert.are.equal("not_found", failure(image.lineage, image).kind)
    server:rules{ reply(("/v1/inspect/%s/"):format(uuid(4)), {}, 403) }
    assert.are.equal("forbidden", failure(image.lineage, image).kind)
  end)

  it("tells what was imported", function()
    server:rules{ reply(("/v1/inspect/%s/"):format(uuid(1)), { uuid = uuid(1),
      operation_uuid = "op-1" }), reply("/v1/operations/op-1", { uuid = "op-1",
      kind = "image_import", metadata = { registry = { url = "docker://x/y:1" } } }) }
    local entry = client.images:use(uuid(1)):lineage()[1]
    assert.are.same({ "import", "docker://x/y:1" }, { entry.kind, entry.title })
  end)

  it("is not endless for a server that goes round", function()
    server:rules{ reply(("/v1/inspect/%s/"):format(uuid(1)), { uuid = uuid(1),
      operation_uuid = "op-1" }), reply("/v1/operations/op-1", fake.operation{
      uuid = "op-1", image_uuid = uuid(1) }) }
    assert.are.equal(1, #client.images:use(uuid(1)):lineage())
  end)

  it("is asked for what the entries of directories tell, without a comparison", function()
    local rules = chain(5)
    for i, size in ipairs{ 1, 1, 2, 2, 2 } do
      rules[#rules + 1] = { path = ("/v1/inspect/%s/list"):format(uuid(i)),
        replies = { { status = 200, json = { path = "/d", files = list("f", size) } } } }
    end
    server:rules(rules)
    local entry, change = client.images:use(uuid(5)):blame("/d/f")
    assert.are.equal("run 3", entry.title)
    assert.are.same({ "changed", 2, 1 }, { change.change, change.size, change.was.size })
    server:rules(rules)
    local image = client.images:use(uuid(5))
    assert.are.equal("not_found", failure(image.blame, image, "/d/none").kind)
  end)
end)
