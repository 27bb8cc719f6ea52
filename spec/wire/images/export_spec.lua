-- Images in and out by the command line.
local wire = require("spec.support.wire")

describe("contree-engine export and import", function()
  local engine, directory

  -- Runs the program on the engine's data directory; returns its output and whether it
  -- succeeded.
  local function command(line)
    local name, rest = line:match("^(%S+)(.*)$")
    local output = wire.run(("bash -c 'cd %s; exec 2>&1; contree-engine %s --data-dir data %s; "
      .. "echo $?'"):format(directory, name, rest))
    local text, code = output:match("^(.-)\n?(%d+)$")
    return text, code == "0"
  end

  local function done(line)
    local text, ok = command(line)
    assert.is_true(ok, text)
    return text
  end

  local function refused(pattern, line)
    local text, ok = command(line)
    assert.is_false(ok, text)
    assert.matches(pattern, text)
    assert.is_nil(text:find("\n", 1, true))
  end

  local function sh(image, script)
    local operation = engine:run{ image = image, command = script, shell = true }
    assert.are.equal("SUCCESS", operation.status, operation.error)
    return wire.bytes(operation.metadata.result.stdout)
  end

  -- Makes an image with two layers on top of busybox, then stops the engine.
  setup(function()
    engine = wire.start()
    directory = engine.directory
    local first = engine:run{ shell = true, disposable = false, preserve_env = true,
      env = { GREETING = "hello there" }, command = "mkdir -p /srv/app /gone; echo 1 > /srv/app/a; "
        .. "echo 2 > /gone/b; chmod 4711 /srv/app/a; ln /srv/app/a /srv/app/link" }
    local second = engine:run{ shell = true, disposable = false, image = first.result.image,
      command = "rm -r /gone; echo new > /srv/app/c; chown 12:34 /srv/app/c" }
    local reply = engine:request("PATCH", "/v1/images/" .. second.result.image .. "/tag",
      { body = '{"tag":"made:1"}' })
    assert.are.equal(200, reply.status)
    engine:kill("TERM")
  end)
  teardown(function() engine:stop() end)

  local LOOK = "cd /srv/app; stat -c '%n %a %u:%g %h' a c link; cat a c; ls -d /gone; "
    .. "echo $GREETING"
  local SAME = "a 4711 0:0 2\nc 644 12:34 1\nlink 4711 0:0 2\n1\nnew\n"

  it("writes a tar that can be imported again", function()
    done("export made:1 -o made.tar")
    assert.are.equal("", wire.run("ls -d " .. directory .. "/*.part " .. directory
      .. "/.contree-export-* 2>/dev/null"))
    assert.are.equal("srv/app/c", wire.run(("tar -tf %s/made.tar | grep app/c"):format(directory)))
    done("export tag:made:1 > out.tar")
    assert.are.equal("", wire.run(("cd %s && cmp made.tar out.tar"):format(directory)))
    done("import made.tar --tag again:tar")
    done("import - --tag again:stdin < made.tar")
    engine:launch()
    for _, tag in ipairs{ "again:tar", "again:stdin" } do
      assert.are.equal(SAME .. "\n", sh("tag:" .. tag, LOOK))
    end
    engine:kill("TERM")
  end)

  it("touches no file but the one that it writes", function()
    local function here(line)
      return wire.run(("cd %s/own && umask 027 && %s 2>&1"):format(directory, line))
    end
    wire.run("mkdir " .. directory .. "/own")
    here("echo mine > out.tar.part; echo mine > out.tar; chmod 600 out.tar")
    refused("no image has the tag", "export nothing:1 -o own/out.tar")
    assert.are.equal("mine", here("cat out.tar"))
    assert.are.equal("", here("contree-engine export made:1 -o out.tar --data-dir ../data"))
    assert.are.equal("out.tar\nout.tar.part", here("ls -A"))
    assert.are.equal("640\nsrv/app/c", here("stat -c %a out.tar; tar -tf out.tar | grep app/c"))
    assert.are.equal("mine", here("cat out.tar.part"))
  end)

  it("writes an OCI layout that others take", function()
    done("export made:1 --oci layout")
    refused("not an empty directory", "export made:1 --oci layout")
    done("import oci:layout --tag again:oci")
    done("import oci:layout:made:1 --tag again:named")
    refused("no image of the name", "import oci:layout:other")
    wire.run(("cd %s && skopeo --insecure-policy copy -q oci:layout:made:1 "
      .. "docker-archive:saved.tar"):format(directory))
    done("import docker-archive:saved.tar --tag again:saved")
    if wire.run("id -u") == "0" then
      local unpacked = wire.run(("cd %s && umoci unpack --image layout:made:1 bundle 2>&1 && "
        .. "cat bundle/rootfs/srv/app/c && grep -o GREETING.*there bundle/config.json")
        :format(directory))
      assert.are.equal("new\nGREETING=hello there", unpacked)
    end
    engine:launch()
    for _, tag in ipairs{ "again:oci", "again:named", "again:saved" } do
      assert.are.equal(SAME .. "hello there\n", sh("tag:" .. tag, LOOK))
    end
    engine:kill("TERM")
  end)

  it("says what is wrong in one line", function()
    refused("no image has the tag", "export nothing:1")
    refused("no image", "export 00000000-0000-0000-0000-000000000000")
    refused("wants an image", "export")
    refused("needs no %-o", "export made:1 -o x --oci y")
    refused("wants a value", "export made:1 -o")
    refused("no option", "import x -o y")
    refused("cannot read", "import nothing.tar")
    refused("cannot read", "import oci:nowhere")
    refused("cannot read .*nothing.tar: No such file", "import docker-archive:nothing.tar")
    refused("no OCI layout", "import oci:.")
    refused("malformed tag", "import oci:. --tag Bad")
    refused("registry.url", "import docker://")
    refused("No space left", "export made:1 -o /dev/full")
  end)

  it("F14: tells a file that is not there, or not for us, from a fault of its own", function()
    engine:launch()
    wire.run(("cd %s && mkdir -p some && echo x > file"):format(directory))
    local function answers(status, what, body)
      local reply = engine:post("/v1/" .. what, body)
      assert.are.equal(status, reply.status, reply.body)
    end
    local function here(path) return directory .. "/" .. path end
    for _, kind in ipairs{ "", "oci:", "oci-archive:", "docker-archive:" } do
      answers(404, "import", { operand = kind .. here("nothing") })
      answers(404, "import", { operand = kind .. here("file/below") })
      answers(404, "import", { operand = kind .. "/" .. ("a"):rep(300) })
      if kind ~= "oci:" then answers(422, "import", { operand = kind .. here("some") }) end
    end
    answers(404, "import", { operand = "oci:" .. here("file") })
    for _, member in ipairs{ "output", "oci" } do
      answers(404, "export", { operand = "made:1", [member] = here("nothing/x") })
      answers(404, "export", { operand = "made:1", [member] = here("file/x") })
    end
    answers(422, "export", { operand = "made:1", output = here("some") })
    answers(409, "export", { operand = "made:1", oci = "/etc" })
    engine:kill("TERM")
  end)

  it("has it done by the engine that serves", function()
    done("export made:1 -o before.tar")
    done("export made:1 --oci before")
    engine:launch()
    local at = " --socket s"
    done("export made:1 -o beside.tar" .. at)
    done("export made:1" .. at .. " > stdout.tar")
    done("export made:1" .. at .. " | cat > pipe.tar")
    for _, name in ipairs{ "beside", "stdout", "pipe" } do
      assert.are.equal("", wire.run(("cd %s && cmp before.tar %s.tar"):format(directory, name)))
    end
    done("export made:1 --oci beside" .. at)
    assert.are.equal("", wire.run(("diff -r %s/before %s/beside"):format(directory, directory)))
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", done("import beside.tar --tag b:tar" .. at))
    done("import - --tag b:file < beside.tar" .. at)
    done("import - --tag b:pipe" .. at .. " < <(cat beside.tar)")
    done("import oci:beside --tag b:oci" .. at)
    for _, tag in ipairs{ "tar", "file", "pipe", "oci" } do
      assert.matches(SAME, sh("tag:b:" .. tag, LOOK), 1, true)
    end
    refused("no image has the tag", "export nothing:1 -o x.tar" .. at)
    refused("no image has the tag", "export nothing:1" .. at .. " > empty")
    refused("cannot read /.*/nothing.tar", "import nothing.tar" .. at)
    refused("bad archive", "import - < /dev/null" .. at)
    refused("malformed tag", "import - --tag Bad < beside.tar" .. at)
    refused("not an empty directory", "export made:1 --oci beside" .. at)
    refused("No space left", "export made:1 -o /dev/full" .. at)
    refused("not on /nowhere: say %-%-socket", "export made:1 -o x.tar --socket /nowhere")
    assert.are.equal("", wire.run("ls " .. directory .. "/x.tar* 2>/dev/null"))
    assert.are.equal(400, engine:post("/v1/import", '{"operand":"-"}').status)
    assert.are.equal(400, engine:post("/v1/export", '{"operand":"made:1"}').status)
    -- A client that hangs up leaves no part of its import.
    wire.run(("cd %s; export TMPDIR=$PWD; (head -c 100000 beside.tar; sleep 1) 2>&- | "
      .. "contree-engine import - --tag never --data-dir data --socket s 2>/dev/null & "
      .. "sleep 0.3; kill $!; wait $! 2>/dev/null"):format(directory))
    assert.are.equal(0, #engine:get("/v1/images?tag=never").json.images)
    engine:kill("TERM")
  end)
end)

describe("what an archive cannot hold", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function made(script)
    local operation = engine:run(wire.shell(script, { disposable = false }))
    assert.are.equal("SUCCESS", operation.status, operation.error)
    assert.are.equal(0, operation.metadata.result.state.exit_code)
    return operation.result.image
  end

  local function export(image, rest)
    return wire.run(("contree-engine export %s --data-dir %s --socket %s %s 2>&1")
      :format(image, engine.data, engine.path, rest))
  end

  it("B8: is refused in a layer, where a name .wh.X removes X", function()
    local image = made("mkdir /d && echo 1 > /d/.wh.x && echo 2 > /d/x")
    local place = engine.directory .. "/layout"
    assert.matches("^contree%-engine: /d/%.wh%.x: .*Rename it, or export the image as a tar",
      export(image, "--oci " .. place))
    assert.are.equal("", wire.run("ls " .. place .. " 2>/dev/null"))
    assert.are.equal("", export(image, "-o " .. engine.directory .. "/whole.tar"))
    assert.are.equal("d/.wh.x",
      wire.run("tar -tf " .. engine.directory .. "/whole.tar | grep -F .wh."))
  end)

  it("B8: is told before anything is sent", function()
    local image = made("n=$(printf 'n%.0s' $(seq 250)); for i in $(seq 16); do "
      .. "mkdir $n && cd $n || exit 1; done; touch f; mkdir /fine")
    local function archive(path)
      return engine:get(("/v1/inspect/%s/archive?path=%s"):format(image, path))
    end
    wire.refuses(422, "deeper than 4000 bytes", archive("/"))
    assert.are.equal(200, archive("/fine").status)
    assert.matches("deeper than 4000 bytes", export(image, "-o " .. engine.directory .. "/o.tar"))
    assert.are.equal("", wire.run("ls " .. engine.directory .. "/o.tar* 2>/dev/null"))
  end)
end)
