-- What a REPL shows: each object, and each list and record, prints as words.
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("printed,", function()
  local client, directory, stop, image, UUID

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest")
    UUID = "%x+%-%x+%-%x+%-%x+%-%x+"
  end)
  teardown(function() stop() end)

  -- One pattern for all of the text.
  local function shows(pattern, value)
    local text = tostring(value)
    assert.is_truthy(text:find("^" .. pattern:gsub("UUID", (UUID:gsub("%%", "%%%%"))) .. "$"), text)
  end

  it("the module and the managers say what they have", function()
    shows("contree [%d.]+: PIPE, array, .*, new, .*", contree)
    shows("contree.Images: .*build, .*list.*", client.images)
    shows("contree.Files: .*upload", client.files)
    shows("contree.Volumes: .*create.*", client.volumes)
  end)

  it("a result says how it ended and what was written", function()
    local result = image:run("echo 'a \"word\"'; printf 'b\\33' >&2; exit 3")
    shows([[contree.Result%(exit 3, not kept, stdout "a \"word\"\n", stderr "b%?"%)]], result)
    local long = image:run("yes word | head -n 100")
    assert.is_true(#tostring(long) < 120)
    shows('.*stdout "word\\n.*…"%)', long)
    shows(".*user_cpu_time = [%d.]+.*", result.resources)
  end)

  it("files, as ls and grep print them", function()
    local made = image:run{ shell = "mkdir /d; echo one >/d/x; ln -s x /d/y; chmod 750 /d/x",
      disposable = false }
    shows("%-rwxr%-x%-%-%- root:root +4  x\nlrwxrwxrwx root:root +1  y %-> x", made:ls("/d"))
    shows("contree.FileEntry%(/d/x, file%)", made:stat("/d/x"))
    local found = made:grep{ pattern = "on", path = "/d" }
    shows("/d/x:1:one", found)
    shows("/d/x:1:one", found.matches[1])
    shows("%(none%)", made:grep{ pattern = "two", path = "/d" })
    shows("added /d\nadded /d/x\nadded /d/y\n", made:diff(image))
    shows("added /d", made:diff(image)[1])
  end)

  it("images, their lineage and operations, a line each", function()
    local made = image:run{ shell = "touch /made", disposable = false }
    shows("UUID  run  touch /made\nUUID  start  busybox:latest", made:lineage())
    shows("UUID  run  touch /made", made:lineage(1)[1])
    shows(".*busybox:latest  UUID  %d+%-%d+%-%d+T.*", client.images:list())
    shows("%-  UUID  %S+", client.images:list{ limit = 1 })
    shows("UUID  SUCCESS  instance  %d+ ms", client.operations:list{ limit = 1 })
  end)

  it("a tree of images: as text, as DOT, as SVG", function()
    local base = image:run{ shell = "touch /base", tag = "base" }
    local first = base:run{ shell = "touch '<a & b>'", disposable = false }
    base:run{ shell = "touch \\second", tag = "second" }
    local tree = client.images:tree()
    local short = first.uuid:sub(1, 8)
    local lines = {}
    -- Other tests have made other children of the root.
    for line in tostring(tree):gmatch("[^\n]+") do
      lines[#lines + 1] = line:match("^   [|`]%- (base.*)") or line:match("^   [| ]  (.*)")
    end
    assert.are.same({ "base  touch /base", ("|- %s  touch '<a & b>'"):format(short),
      "`- second  touch \\second" }, lines)
    assert.matches("^`%- busybox:latest\n", tostring(tree))
    assert.are.same(tostring(tree), table.concat(tree:lines(), "\n"))
    local marked = table.concat(tree:lines(function(name, is_tag)
      return is_tag and "<" .. name .. ">" or name
    end), "\n")
    assert.is_truthy(marked:find("<second>", 1, true))
    assert.is_truthy(marked:find("- " .. short, 1, true))
    local dot = tree:dot()
    assert.is_truthy(dot:find(('"%s" -> "%s" [label = "touch \'<a & b>\'"];')
      :format(base.uuid, first.uuid), 1, true), dot)
    assert.is_truthy(dot:find([[label = "touch \\second"]], 1, true), dot)
    local svg = tree:svg()
    assert.is_truthy(svg:find("touch '&lt;a &amp; b&gt;'", 1, true), svg)
    assert.are.equal("svg\n", disk.capture("python3 -c 'import sys, xml.dom.minidom as dom; "
      .. "print(dom.parse(sys.argv[1]).documentElement.tagName)' "
      .. disk.write(directory .. "/tree.svg", svg)))
    assert.are.equal("(none)", tostring(client.images:tree{ tag = "nothing" }))
  end)

  it("events, what an operation uses, its ports", function()
    local operation = image:start("echo x; sleep 60")
    local lines = {}
    for event in operation:events() do
      lines[#lines + 1] = tostring(event)
      if event.type == "stdout" then
        shows(".*cpu_seconds = [%d.]+\nmemory_bytes = .*", operation:usage())
        operation:forward(80)
        shows("127.0.0.1:%d+ %-> 80  0 connections", operation:ports())
        operation:cancel()
      end
    end
    shows('.*\n2  stdout  "x\\n"\n.*completion  CANCELLED', table.concat(lines, "\n"))
    local _, details = operation:status()
    shows('.*status = "CANCELLED".*', details)
  end)

  it("a box and what runs in it", function()
    local box = image:open()
    shows("contree.Box%(UUID%)", box)
    shows('contree.SubprocessResult%(exit 0, stdout "in it\\n"%)', box:run("echo in it"))
    local ok, err = pcall(function() return box.rum end)
    assert.is_false(ok)
    assert.are.equal('did you mean "run"?', err.hint)
    box:close()
  end)

  it("a session with its history, branches and tests", function()
    local session = image:session()
    session:run("touch /a; exit 3")
    session:run("touch /b")
    session:branch("side")
    shows("1  start  start\n2  run  touch /a; exit 3  exit 3\n3  run  touch /b", session:history())
    shows("2  run  touch /a; exit 3  exit 3", session:history()[2])
    shows("main\nside", session:list_branches())
    shows("%(none%)", session:pending())
    local entry, tests = session:bisect("! test -e /b")
    shows("3  run  touch /b", entry)
    shows("bad   touch /b\ngood  start\n.*", tests)
    local store = contree.sessions(directory .. "/s.db")
    image:session{ store = store, id = "demo" }
    shows("demo  on main  %S+  busybox:latest", store:list())
  end)

  it("volumes, the owner of a token, commands that run beside others", function()
    client.volumes:create("cargo", { quota = 2 ^ 20 })
    shows("cargo  0 of 1.0M  not in use", client.volumes:list())
    shows(".*permissions = { .*list = true.* }\ntoken_uuid = .*", client:whoami())
    local operation = image:start("sleep 60")
    shows('contree.SubprocessResult%(exit 0, stdout "sub\\n"%)', operation:spawn("echo sub"):wait())
    operation:cancel()
  end)

  it("progress and the steps of a build", function()
    local steps, far = {}, nil
    client.images:build{ dockerfile = { data = "FROM busybox:latest\nRUN echo  x >/x\n" },
      no_cache = true, on_step = function(step) steps[#steps + 1] = tostring(step) end }
    shows("Dockerfile:1: FROM busybox:latest: [%d.]+ m?s\nDockerfile:2: RUN echo x >/x: "
      .. "[%d.]+ m?s", table.concat(steps, "\n"))
    image:run{ shell = "true", files = { ["/f"] = { data = ("x"):rep(3 * 2 ^ 20) } },
      progress = function(now) far = now end }
    shows("sending 3.0M of 3.0M", far)
  end)

  it("a list of thousands stops", function()
    local made = image:run{ shell = "mkdir /d; cd /d; for i in $(seq 300); do : >$i; done",
      disposable = false }
    shows(".*\n… and 100 more", made:ls("/d"))
  end)
end)
