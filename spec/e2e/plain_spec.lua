-- A server that has no more than the hosted service (serve --plain-api): what users do works
-- there, too. The specs of the other files run again, on such a server.
local home = require("spec.support.home")

local FILES = { "run", "names", "files", "directories", "download", "streams", "process",
  "session_store", "stage", "workspace" }

describe("on a server without extensions", function()
  setup(function() home.plain = true end)
  teardown(function() home.plain = false end)

  home.plain = true
  for _, name in ipairs(FILES) do
    local path = ("spec/e2e/%s_spec.lua"):format(name)
    assert(loadfile(path, "t", _ENV or getfenv(1)))() -- luacheck: ignore 113
  end
  home.plain = false

  it("may be the engine of this machine", function()
    home.plain = false
    local client, _, stop = home.client{ engine = { plain_api = true } }
    home.plain = true
    local image = client.images:use("busybox:latest")
    local result = image:run{ shell = "id -u; test -t 0 || cat", user = "root", stdin = "in" }
    assert.equal("0\nin", result.stdout)
    assert.is_nil(result.isolation)
    local ok, err = pcall(image.diff, image, image)
    assert.is_false(ok)
    assert.equal("not_supported", err.kind)
    stop()
  end)
end)
