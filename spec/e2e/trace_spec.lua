-- What a run tried, as result.tried tells it (docs/use/trace.md).
local contree = require("contree")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

describe("a run that is traced", function()
  local client, image, stop

  setup(function()
    local _
    client, _, stop = home.client()
    image = client.images:use("busybox:latest")
  end)
  teardown(function() if stop then stop() end end)

  local function trace(shell, what, more)
    local given = { shell = shell, trace = what }
    for name, value in pairs(more or {}) do given[name] = value end
    return image:run(given)
  end

  -- How often it was told; 0: never.
  local function told(result, name, value)
    for _, entry in ipairs(result.tried or {}) do
      if entry[name] == value then return entry.count end
    end
    return 0
  end

  it("tells programs, and calls that were refused", function()
    local result = trace("mount -t tmpfs none /tmp; env true; env true; exit 3", true)
    assert.equal(3, result.exit_code)
    assert.matches("permission denied", result.stderr)
    assert.equal(1, told(result, "program", "/bin/sh"))
    assert.is_true(told(result, "program", "/bin/busybox") >= 2)
    assert.equal(1, told(result, "call", "mount"))
    assert.matches("executed /bin/sh\n", tostring(result.tried) .. "\n", 1, true)
    assert.matches("refused mount", tostring(result.tried), 1, true)
    assert.equal(0, told(result, "missing", "/none"))
  end)

  it("tells files, with trace = files", function()
    local result = trace("echo a >/new; cat /new; cat /app.conf; cd /etc; cat ../none/./x", "files")
    assert.equal("a\n", result.stdout)
    assert.equal(1, told(result, "written", "/new"))
    assert.equal(1, told(result, "read", "/new"))
    assert.equal(1, told(result, "missing", "/app.conf"))
    assert.equal(1, told(result, "missing", "/none/x"))
    -- What was found in the end was not missing.
    for _, entry in ipairs(result.tried) do
      assert.is_nil(entry.missing and entry.missing:match("/sh$"), entry.missing)
    end
  end)

  it("tells nothing without it", function()
    assert.is_nil(image:run("mount -t tmpfs none /tmp").tried)
    assert.is_nil(trace("true", false).tried)
  end)

  it("knows only these words", function()
    local err = failure(image.run, image, { shell = "true", trace = "file" })
    assert.equal("invalid_argument", err.kind)
    assert.matches('trace', err.message)
    assert.matches('"files"', err.message)
  end)

  it("tells it in events, too, and they sum up to the result", function()
    local counted = 0
    local result = trace("cat /a; cat /a; cat /b", "files", { on_event = function(event)
      if event.type == "tried" and event.data.missing then
        counted = counted + event.data.count
      end
    end })
    assert.equal(2, told(result, "missing", "/a"))
    assert.equal(told(result, "missing", "/a") + told(result, "missing", "/b"), counted)
    -- A run that is looked up tells the same as one that was followed.
    local again = client.operations:get(result.operation.uuid):wait()
    assert.equal(tostring(result.tried), tostring(again.tried))
  end)

  it("has paths that are not UTF-8 left out, and long ones cut", function()
    local result = trace([[cat "$(printf '/\377\376')"; cat /]] .. ("x"):rep(250) .. "/y"
      .. "; cat /plain", "files")
    assert.equal(1, told(result, "missing", "/plain"))
    local all = tostring(result.tried)
    assert.is_nil(all:find("\255", 1, true))
    assert.matches(("x"):rep(240), all, 1, true)
  end)

  it("is in a directory that was entered, opened or changed root to", function()
    local result = trace("mkdir -p /r/bin; cp /bin/busybox /r/bin/cat; cd /r; cat gone;"
      .. "chroot /r /bin/cat /lost", "files")
    assert.equal(1, told(result, "missing", "/r/gone"), tostring(result.tried))
    assert.equal(1, told(result, "missing", "/r/lost"), tostring(result.tried))
    assert.equal(1, told(result, "program", "/r/bin/cat"))
  end)

  it("holds for many at once, ends with them, and leaves nothing", function()
    local tasks = {}
    for i = 1, 12 do
      tasks[i] = contree.spawn(function()
        return trace("cat /n" .. i .. "; test -e /m" .. i, "files")
      end)
    end
    for i, task in ipairs(tasks) do
      local result = task:wait()
      assert.equal(1, told(result, "missing", "/n" .. i))
      assert.equal(1, told(result, "missing", "/m" .. i))
      for _, entry in ipairs(result.tried) do -- nothing of another one
        local number = entry.missing and entry.missing:match("^/[nm](%d+)$")
        assert.is_true(number == nil or number == tostring(i), entry.missing)
      end
    end
  end)

  it("can be cancelled, and its time can be up, while calls wait", function()
    local LOOP = "while :; do test -e /x; done"
    local result = trace(LOOP, "files", { timeout = 1 })
    assert.is_true(result.timed_out)
    assert.is_true(told(result, "missing", "/x") > 0)
    local operation = image:start{ shell = LOOP, trace = "files" }
    contree.sleep(0.1)
    operation:cancel()
    assert.equal("cancelled", failure(operation.wait, operation).kind)
  end)

  it("may be a box, which tells it at its end", function()
    local box = image:open{ trace = "files" }
    assert.equal(1, box:run("cat /one").exit_code)
    box.operation:pause()
    box.operation:resume()
    assert.equal(1, box:run("cat /two").exit_code)
    box:close{ keep = true }
    local result = box.operation:wait()
    assert.equal(1, told(result, "missing", "/one"), tostring(result.tried))
    assert.equal(1, told(result, "missing", "/two"))
  end)

  it("may be a session's, whose history stays", function()
    local session = image:session()
    local result = session:run{ shell = "echo a >/kept", trace = "files" }
    assert.equal(1, told(result, "written", "/kept"))
    assert.equal("a\n", session:run("cat /kept").stdout)
  end)
end)
