-- File names that are not UTF-8, on the wire.
local wire = require("spec.support.wire")

describe("B6: on the wire a name that is not UTF-8", function()
  local engine, image

  setup(function()
    engine = wire.start()
    image = engine:run{ shell = true, disposable = false, command = [[
      mkdir /d; cd /d; n=$(printf 'b\344r'); echo raw > "$n"; ln -s "$n" link
      echo literal > 'b%E4r'; echo other > 'c%E4r'; echo plain > plain
      m=$(printf 'c\344%%'); echo sign > "$m"]] }.result_image_uuid
  end)
  teardown(function() engine:stop() end)

  local function inspect(what, query)
    return engine:get(("/v1/inspect/%s/%s?%s"):format(image, what, query))
  end

  it("is percent-encoded, and said to be", function()
    local by_path = {}
    for _, item in ipairs(inspect("list", "path=/d").json.files) do
      by_path[item.path .. (item.path_encoding and "!" or "")] = item
    end
    assert.are.equal("percent", by_path["b%E4r!"].path_encoding)
    assert.is_nil(by_path["b%E4r"].path_encoding)
    assert.is_nil(by_path["plain"].path_encoding)
    assert.are.equal("percent", by_path["c%E4%25!"].path_encoding)
    assert.are.equal("b%E4r", by_path["link"].symlink_to)
    assert.are.equal("percent", by_path["link"].symlink_to_encoding)
    assert.is_nil(by_path["plain"].symlink_to_encoding)
    local paths = {}
    for _, match in ipairs(inspect("grep", "pattern=raw&path=/d").json.matches) do
      paths[#paths + 1] = { match.path, match.path_encoding }
    end
    assert.are.same({ { "d/b%E4r", "percent" } }, paths)
    local changed = {}
    for _, change in ipairs(inspect("diff", "base=tag:busybox:latest").json.changes) do
      changed[change.path .. (change.path_encoding and "!" or "")] = true
    end
    assert.is_true(changed["/d/b%E4r!"] and changed["/d/b%E4r"] and changed["/d/c%E4%25!"])
  end)

  it("is found by its bytes, and by what a client was told, if no file is called so", function()
    assert.are.equal("raw\n", inspect("download", "path=/d/b%E4r").body)
    assert.are.equal("literal\n", inspect("download", "path=/d/b%25E4r").body)
    assert.are.equal("sign\n", inspect("download", "path=/d/c%E4%25").body)
    -- A client that does not know the encoding asks like this.
    assert.are.equal("sign\n", inspect("download", "path=/d/c%25E4%2525").body)
    assert.are.equal(200, inspect("archive", "path=/d/c%25E4%2525").status)
    assert.are.equal("other\n", inspect("download", "path=/d/c%25E4r").body)
    -- Names in UTF-8 are never encoded like this.
    wire.refuses(404, "", inspect("download", "path=/d/%2570lain"))
    wire.refuses(404, "", inspect("download", "path=/d%252Fplain"))
    wire.refuses(404, "", inspect("download", "path=/d/%25FF%252F"))
  end)
end)
