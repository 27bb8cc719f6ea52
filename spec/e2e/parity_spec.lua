-- The rows of docs/proofs/parity.md, the features that users of the Python SDK know, on the
-- embedded engine. Rows that other specs test are left out.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("what the Python SDK does,", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  local function write(name, data) return disk.write(directory .. "/" .. name, data) end

  local function kept(files) return image:apply_files(files) end

  it("get_token_info: token, rights and limits", function()
    local who = client:get_token_info()
    assert.is_string(who.token_uuid)
    assert.is_true(who.permissions.list)
    assert.is_true(who.limits.instance_max_timeout >= 60)
    assert.are.equal(0, who.operations_stat.running_imports)
    assert.are.equal(who, client:get_token_info())
    assert.are_not.equal(who, client:get_token_info{ refresh = true })
  end)

  it("images(): lists and iterates", function()
    local first = kept{ ["/list-1"] = { data = "1" } }:tag_as("parity/list:1")
    kept{ ["/list-2"] = { data = "2" } }:tag_as("parity/list:2")
    assert.are.equal(1, #client.images{ limit = 1 })
    assert.are.equal(2, #client.images:list{ tag = "parity/list", tagged = true })
    assert.are.equal(first.uuid, client.images:list{ uuid = first.uuid }[1].uuid)
    assert.are.equal(0, #client.images:list{ tag = "parity/list", before = "1h" })
    assert.are.equal(2, #client.images:list{ tag = "parity/list", since = "1h" })
    local seen = {}
    for one in client.images:each{ tag = "parity/list" } do seen[one.tag] = one.created_at end
    assert.is_string(seen["parity/list:1"])
    assert.is_string(seen["parity/list:2"])
  end)

  it("images.oci: takes what is there, under each of its names", function()
    for _, name in ipairs{ "oci", "docker", "podman", "pull_by_oci", "pull" } do
      assert.are.equal("busybox:latest", client.images[name](client.images, "busybox").tag)
    end
    local uuid = client.images:oci("docker://docker.io/library/busybox").uuid
    assert.are.equal(uuid, client.images:oci(uuid).uuid)
    assert.are.equal(uuid, client.images:oci("tag:busybox:latest").uuid)
  end)

  it("files.upload: a path or bytes, told by its hash", function()
    local file = client.files:upload(write("up.txt", "uploaded\n"))
    assert.are.equal(64, #file.sha256)
    assert.are.equal(9, file.size)
    local again = client.files:upload{ data = "uploaded\n" }
    assert.are.equal(file.uuid, again.uuid)
    assert.are.equal(file.uuid, client.files:find(file.sha256).uuid)
    assert.are.equal("uploaded\n", image:run{ shell = "cat /script.sh",
      files = { ["script.sh"] = file } }.stdout)
  end)

  it("files=: lists, maps, specs, with mode and owner", function()
    local path = write("tool.sh", "#!/bin/sh\necho tool $(stat -c %a $0)\n")
    assert.are.equal("/tool.sh\n", image:run{ shell = "ls /tool.sh", files = { path } }.stdout)
    assert.are.equal("/dest.txt\n", image:run{ shell = "ls /dest.txt",
      files = { ["dest.txt"] = path } }.stdout)
    assert.are.equal("tool 755\n", image:run{ command = "/bin/tool",
      files = { { source = path, path = "/bin/tool", mode = "0755" } } }.stdout)
    assert.are.equal("640 0\n", image:run{ shell = "stat -c '%a %u' /d",
      files = { ["/d"] = { data = "", mode = 416, uid = 0, gid = 0 } } }.stdout)
  end)

  it("an image: uuid, tag, client; a tag is named without a request", function()
    local one = kept{ ["/one"] = { data = "1" } }
    assert.is_string(one.uuid)
    assert.are.equal(client, one.client)
    assert.are.equal("x:1", client.images:use("x:1").tag)
    assert.are.equal(one, one:tag_as("parity/one:1"))
    assert.are.equal("parity/one:1", one.tag)
    assert.is_nil(one:untag().tag)
    local ok, err = pcall(client.images.use, client.images, "parity/one:1", { strict = true })
    assert.is_false(ok)
    assert.are.equal("not_found", err.kind)
  end)

  it("run: a prepared run runs anew each time it is called", function()
    local run = image:prepare{ shell = "cat /proc/sys/kernel/random/uuid" }
    local first, second = run(), run:run()
    assert.are_not.equal(first.stdout, second.stdout)
    assert.are.equal(37, #run:start():wait().stdout)
  end)

  it("a lone iteration over output, as it comes", function()
    local op = image:start("echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three")
    local seen = {}
    for bytes, stream in op:output() do seen[#seen + 1] = stream .. ":" .. bytes end
    assert.are.same({ "stdout:one\n", "stderr:two\n", "stdout:three\n" }, seen)
    assert.are.equal("one\nthree\n", op:wait().stdout)
  end)

  it("a result: exit code, time, cost, and what was cut off", function()
    local result = image:run{ shell = "echo 123456789; exit 3", truncate_output_at = 4 }
    assert.are.equal(3, result.exit_code)
    assert.are.equal("1234", result.stdout)
    assert.is_true(result.stdout_truncated)
    assert.is_false(result.stderr_truncated)
    assert.is_true(result.duration > 0)
    assert.are.equal(0, result.resources.cost)
    assert.is_true(result.resources.max_rss > 0)
  end)

  it("output that is no text never costs the result", function()
    local result = image:run{ shell = "printf '\\377\\000x'; exit 2" }
    assert.are.equal("\255\0x", result.stdout)
    assert.are.equal(2, result.exit_code)
  end)

  it("what is in an image: entries that read, load and list themselves", function()
    local found = kept{ ["/srv/a/text"] = { data = "one\ntwo\n", mode = "0600" },
      ["/srv/a/deep/b"] = { data = "b" } }
    local entries = found:ls("/srv/a")
    assert.are.equal(2, #entries)
    local deep, text = entries[1], entries[2]
    if deep.name ~= "deep" then deep, text = text, deep end
    assert.is_true(deep.is_dir and not deep.is_file)
    assert.is_true(text.is_file and not text.is_dir and not text.is_symlink)
    assert.are.equal("/srv/a/text", text.path)
    assert.are.equal(8, text.size)
    assert.are.equal(tonumber("600", 8), text.mode)
    assert.are.equal("one\ntwo\n", text:read())
    local lines = {}
    for line in text:lines() do lines[#lines + 1] = line end
    assert.are.same({ "one", "two" }, lines)
    assert.are.equal("one\ntwo\n", disk.read(text:download(directory .. "/loaded")))
    assert.are.equal("/srv/a/deep/b", deep:ls()[1].path)
    assert.are.equal("/srv/a/deep/b", found:stat("/srv"):ls("a/deep")[1].path)
    assert.are.equal("/", found:stat("/").name)
    assert.are.equal(2, #found:stat("/"):ls("srv/a"))
  end)

  it("download: under its own name, into the working directory", function()
    local name = ("parity-%d.tmp"):format(core.getpid())
    local found = kept{ ["/srv/" .. name] = { data = "here" } }
    assert.are.equal(name, found:download("/srv/" .. name))
    assert.are.equal("here", disk.read(name))
    os.remove(name)
  end)

  it("apply_files: one path, a list, a map", function()
    local path = write("applied.txt", "a")
    assert.are.equal("a", image:apply_files(path):read("/applied.txt"))
    local both = image:apply_files{ path, { data = "b", path = "/b" } }
    assert.are.equal("ab", both:read("/applied.txt") .. both:read("/b"))
    local session = image:session()
    session:apply_files(path)
    assert.are.equal("a", session:read("/applied.txt"))
  end)

  it("a session has all that an image has", function()
    local image_methods = require("contree.image").methods
    local session = image:session()
    for name in pairs(image_methods) do assert.is_function(session[name], name) end
  end)

  it("PIPE, buffers, objects, handles and paths take output; all but PIPE give input", function()
    local result = image:run{ shell = "echo out; echo err >&2", stdout = contree.PIPE,
      stderr = contree.PIPE }
    assert.are.equal("out", result.stdout:read("l"))
    assert.are.equal("err\n", result.stderr:read("a"))
    local log = {}
    function log:write(chunk) self[#self + 1] = chunk end
    result = image:run{ shell = "echo object", stdout = log }
    assert.are.equal(log, result.stdout)
    assert.are.equal("object\n", table.concat(log))
    local source = { "ab", "cd" }
    function source:read() return table.remove(self, 1) end
    assert.are.equal("abcd", image:run{ command = "cat", stdin = source }.stdout)
    local handle = assert(io.open(write("in.txt", "from a handle"), "rb"))
    assert.are.equal("from a handle", image:run{ command = "cat", stdin = handle }.stdout)
    handle:close()
    result = image:run{ shell = "printf file", stdout = { path = directory .. "/out.txt" } }
    assert.are.equal("file", disk.read(result.stdout))
  end)

  it("popen ends with the scope that closes it", function()
    local p = image:popen{ "sleep", "60" }
    local scope = load("local closing <close> = ...") or p.kill
    scope(p)
    assert.are.equal(-9, p:wait())
  end)

  it("an agent's tools over a session: execute, upload, download", function()
    local session = image:session()
    session:apply_files{ ["/work/in.txt"] = { data = "3\n1\n2\n" } }
    local result = session:run{ shell = "sort in.txt | tee out.txt", cwd = "/work",
      truncate_output_at = 10485760 }
    assert.are.equal("1\n2\n3\n", result.stdout .. result.stderr)
    assert.are.equal("1\n2\n3\n", session:read("/work/out.txt"))
    assert.is_false(session:exists("/work/none"))
  end)
end)
