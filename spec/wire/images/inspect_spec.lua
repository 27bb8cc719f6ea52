-- Reading an image: list, download, archive, grep.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("/inspect/{image}", function()
  local engine, image
  local nothing = "00000000-0000-4000-8000-000000000000"

  setup(function()
    engine = wire.start()
    image = engine:run{ shell = true, disposable = false, command = [[
      mkdir -p /d/sub; printf 'one\ntwo\nthree\n' > /d/a.txt; printf 'TWO\n' > /d/sub/b.bak
      ln -s a.txt /d/link; ln -s /d /dirlink; mkfifo /d/fifo; chmod 4755 /d/a.txt
      chown 7:8 /d/sub/b.bak || true; head -c 300000 /dev/zero | tr '\0' z > /d/large; rm /bin/vi
    ]] }.result_image_uuid
  end)
  teardown(function() engine:stop() end)

  local function inspect(what, query, method, headers)
    return engine:request(method or "GET", ("/v1/inspect/%s/%s%s"):format(image, what, query or ""),
      { headers = headers })
  end
  describe("list", function()
    it("has every field of every entry", function()
      local reply = inspect("list", "?path=/d")
      assert.are.equal(200, reply.status)
      assert.are.equal("/d", reply.json.path)
      local by_name = {}
      for _, item in ipairs(reply.json.files) do
        by_name[item.path] = item
        for _, key in ipairs{ "size", "uid", "gid", "mode", "mtime", "nlink" } do
          assert.is_number(item[key], key)
        end
        for _, key in ipairs{ "is_dir", "is_regular", "is_symlink", "is_socket", "is_fifo" } do
          assert.is_boolean(item[key], key)
        end
        assert.is_string(item.symlink_to)
        assert.is_true(item.owner ~= nil and item.group ~= nil)
      end
      assert.are.equal(14, by_name["a.txt"].size)
      assert.are.equal(35309, by_name["a.txt"].mode) -- 0104755
      assert.is_true(by_name["a.txt"].is_regular)
      assert.is_true(by_name.sub.is_dir)
      assert.is_true(by_name.link.is_symlink)
      assert.are.equal("a.txt", by_name.link.symlink_to)
      assert.is_true(by_name.fifo.is_fifo)
      local owned = inspect("list", "?path=/d/sub").json.files[1]
      assert.are.equal(engine:id(7), owned.uid)
      assert.are.equal(engine:id(8), owned.gid)
    end)

    it("merges the layers", function()
      local names = {}
      for _, item in ipairs(inspect("list", "?path=/bin").json.files) do names[item.path] = true end
      assert.is_true(names.sh)
      assert.is_nil(names.vi)
    end)

    it("comes as text, too", function()
      for _, flag in ipairs{ "text", "text=", "text=1" } do
        local reply = inspect("list", "?path=/d&" .. flag)
        assert.are.equal("text/plain", reply.headers["content-type"])
        assert.matches("\n%-rwsr%-xr%-x +1 %S+ +%S+ +14 %d+%-%d+%-%d+ %d+:%d+ a%.txt\n",
          "\n" .. reply.body)
        assert.matches("link %-> a%.txt\n", reply.body)
      end
      assert.are.equal("application/json",
        inspect("list", "?path=/d&text=0").headers["content-type"])
    end)

    it("is refused with a reason", function()
      wire.refuses(400, "path is required", inspect("list"))
      wire.refuses(400, "path is required", inspect("list", "?path="))
      wire.refuses(404, "", inspect("list", "?path=/no"))
      wire.refuses(422, "", inspect("list", "?path=/d/a.txt"))
      wire.refuses(400, "text", inspect("list", "?path=/d&text=x"))
      wire.refuses(404, "image", engine:get(("/v1/inspect/%s/list?path=/"):format(nothing)))
    end)
  end)

  it("C2: takes a path without its first slash, wherever it takes one", function()
    for _, path in ipairs{ "d", "./d", "d/", "/d" } do
      assert.are.equal(5, #inspect("list", "?path=" .. path).json.files, path)
      assert.matches("ustar", inspect("archive", "?path=" .. path).body)
      assert.are.equal(200, inspect("archive", "?path=" .. path, "HEAD").status)
      assert.are.equal("/d/a.txt", "/" .. inspect("grep", "?pattern=one&path=" .. path)
        .json.matches[1].path:gsub("^/", ""))
      local changes = inspect("diff", "?base=tag:busybox:latest&path=" .. path).json.changes
      assert.are.equal("/d", changes[1].path)
      for _, change in ipairs(changes) do assert.matches("^/d", change.path) end
      assert.are.equal("one\ntwo\nthree\n",
        inspect("download", ("?path=%s/a.txt"):format(path)).body)
    end
    assert.is_true(#inspect("list", "?path=.").json.files > 5)
    for _, what in ipairs{ "list", "download", "archive", "grep", "diff" } do
      for _, path in ipairs{ "..", "../etc/passwd", "d/../d", "./..", "d/.." } do
        wire.refuses(400, "%.%.", inspect(what,
          "?pattern=x&base=tag:busybox:latest&path=" .. path))
      end
    end
  end)

  describe("download", function()
    it("gives the bytes of a file", function()
      local reply = inspect("download", "?path=/d/a.txt")
      assert.are.equal(200, reply.status)
      assert.are.equal("application/octet-stream", reply.headers["content-type"])
      assert.are.equal("14", reply.headers["content-length"])
      assert.are.equal("one\ntwo\nthree\n", reply.body)
      assert.are.equal(("z"):rep(300000), inspect("download", "?path=/d/large").body)
      assert.are.equal("one\ntwo\nthree\n", inspect("download", "?path=%2Fd%2Flink").body)
    end)

    it("answers HEAD", function()
      assert.are.equal(200, inspect("download", "?path=/d/a.txt", "HEAD").status)
      assert.are.equal(404, inspect("download", "?path=/d/no", "HEAD").status)
      assert.are.equal(422, inspect("download", "?path=/d", "HEAD").status)
    end)

    it("is refused with a reason", function()
      wire.refuses(400, "path is required", inspect("download"))
      wire.refuses(404, "", inspect("download", "?path=/d/no"))
      wire.refuses(404, "", inspect("download", "?path=/bin/vi"))
      wire.refuses(422, "", inspect("download", "?path=/d"))
      wire.refuses(422, "", inspect("download", "?path=/d/fifo"))
    end)
  end)

  describe("archive", function()
    local function unpack(data)
      local directory = engine.directory .. "/tar"
      wire.run("rm -rf " .. directory .. "; mkdir " .. directory)
      disk.write(directory .. ".tar", data)
      assert.are.equal("", wire.run(("tar -C %s -xf %s.tar 2>&1"):format(directory, directory)))
      return directory
    end

    it("is a tar of a directory", function()
      local reply = inspect("archive", "?path=/d")
      assert.are.equal(200, reply.status)
      assert.are.equal("application/x-tar", reply.headers["content-type"])
      assert.are.equal("chunked", reply.headers["transfer-encoding"])
      assert.is_nil(reply.cut)
      local directory = unpack(reply.body)
      assert.are.equal("one\ntwo\nthree\n", disk.read(directory .. "/d/a.txt"))
      assert.are.equal("TWO\n", disk.read(directory .. "/d/sub/b.bak"))
      assert.are.equal("a.txt", wire.run("readlink " .. directory .. "/d/link"))
      assert.are.equal(300000, #disk.read(directory .. "/d/large"))
    end)

    it("is a tar of a file, compressed if the client likes", function()
      local reply = inspect("archive", "?path=/d/a.txt", "GET", { ["Accept-Encoding"] = "gzip" })
      assert.are.equal("gzip", reply.headers["content-encoding"])
      assert.are.equal("one\ntwo\nthree\n",
        disk.read(unpack(reply.body) .. "/d/a.txt"))
    end)

    it("answers HEAD", function()
      local reply = inspect("archive", "?path=/d", "HEAD")
      assert.are.equal(200, reply.status)
      assert.are.equal("application/x-tar", reply.headers["content-type"])
      assert.is_nil(reply.headers["content-length"])
      assert.are.equal(404, inspect("archive", "?path=/no", "HEAD").status)
    end)

    it("is refused with a reason", function()
      wire.refuses(400, "path is required", inspect("archive"))
      wire.refuses(404, "", inspect("archive", "?path=/no"))
      wire.refuses(422, "neither a file nor a directory: /d/fifo",
        inspect("archive", "?path=/d/fifo"))
    end)

    it("stops when its client goes", function()
      for _ = 1, 20 do
        local connection = engine:connect()
        connection:request("GET", ("/v1/inspect/%s/archive?path=/"):format(image))
        -- 429: the engine has not noticed yet that some clients are gone.
        local reply = connection:head()
        local status = reply.status
        assert.is_true(status == 200 or status == 429, status)
        if status == 429 then assert.are.equal("1", reply.headers["retry-after"]) end
        connection:close()
      end
      wire.eventually("all to be forgotten", function()
        return inspect("archive", "?path=/d/a.txt").status == 200
      end)
    end)
  end)

  describe("grep", function()
    it("finds lines", function()
      local reply = inspect("grep", "?pattern=t[wh]&path=/d")
      assert.are.equal(200, reply.status)
      assert.are.equal("/d", reply.json.path)
      assert.are.same({ "t[wh]" }, reply.json.patterns)
      assert.is_false(reply.json.truncated)
      assert.are.equal(2, #reply.json.matches)
      assert.are.same({ path = "d/a.txt", line_number = 2, absolute_offset = 4, line_text = "two\n",
        line_bytes = 4, type = "match", submatches = { { text = "tw", start = 0, ["end"] = 2 } } },
        reply.json.matches[1])
    end)

    it("takes all its options", function()
      local function found(query)
        local out = {}
        for i, m in ipairs(inspect("grep", query).json.matches) do
          out[i] = m.line_text:gsub("\n", "") .. (m.type == "context" and "?" or "")
        end
        return table.concat(out, " ")
      end
      assert.are.equal("two", found("?pattern=two&path=/d"))
      assert.are.equal("two TWO", found("?pattern=two&path=/d&case=insensitive"))
      assert.are.equal("TWO", found("?pattern=TWO&path=/d&case=smart"))
      assert.are.equal("one three", found("?pattern=one&pattern=three&path=/d"))
      assert.are.equal("TWO", found("?pattern=.&path=/d&glob=*.bak"))
      assert.are.equal("one", found("?pattern=.&path=/d&glob=*.txt&max_count=1"))
      assert.are.equal("one? two three?", found("?pattern=two&path=/d/a.txt&before=1&after=1"))
      assert.are.equal("two TWO", found("?pattern=(?i)two&path=/d/a.txt&path=/d/sub"))
      local reply = inspect("grep", "?pattern=.&path=/d&max_total=1")
      assert.is_true(reply.json.truncated)
      assert.are.equal("[]",
        inspect("grep", "?pattern=xyzzy&path=/d").body:match('"matches":(%[.-%])'))
    end)

    it("is refused with a reason", function()
      wire.refuses(400, "pattern is required", inspect("grep", "?path=/d"))
      wire.refuses(400, "", inspect("grep", "?pattern=(&path=/d"))
      wire.refuses(400, "case", inspect("grep", "?pattern=a&case=loud"))
      wire.refuses(400, "max_total", inspect("grep", "?pattern=a&max_total=x"))
      wire.refuses(404, "", inspect("grep", "?pattern=a&path=/no"))
    end)
  end)
end)
