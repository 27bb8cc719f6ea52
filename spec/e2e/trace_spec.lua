-- What a run tried, as result.tried tells it with `trace` (docs/use/network.md#what-it-tried).
local contree = require("contree")
local home = require("spec.support.home")

describe("a run that is traced", function()
  local client, image, stop

  setup(function()
    client, _, stop = home.client()
    image = client.images:use("busybox:latest")
  end)
  teardown(function() if stop then stop() end end)

  local function trace(shell, given)
    given = given or {}
    given.shell = shell
    if given.trace == nil then given.trace = true end
    return image:run(given)
  end

  -- The count of the entry; nil: there is none.
  local function told(result, name, value)
    for _, entry in ipairs(result.tried or {}) do
      if entry[name] == value then return entry.count end
    end
  end

  it("tells programs and refused calls", function()
    local result = trace("mount -t tmpfs none /mnt; ls / >/dev/null; ls /bin >/dev/null; exit 3")
    assert.equal(3, result.exit_code)
    print(result.tried)
    assert.is_truthy(told(result, "call", "mount"))
    assert.is_truthy(told(result, "program", "/bin/sh"))
    print(result.duration)
  end)

  it("tells files", function()
    local result = trace([[echo a >/new; cat /new /etc/passwd /nowhere; cd /etc; cat ../none/./x;
      test -e /gone; cat /proc/self/status >/dev/null]], { trace = "files" })
    print(result.tried)
    print(result.stderr)
  end)
end)
