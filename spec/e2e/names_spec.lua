-- File names are bytes. Files with any name can be listed, read, searched, compared and
-- downloaded.
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

local own = home.own(it)

describe("B6: a file's name", function()
  local client, directory, stop, first, second

  -- Latin-1, a lone continuation byte, bytes that UTF-8 never has, an overlong form, a
  -- surrogate, and a character cut short; then names that look like our own escapes.
  local NAMES = { "b\228r", "\128", "\255\254", "a\192\175b", "\237\160\128", "x\226\130",
    "b%E4r", "b%25E4r", "%", "100%\228", "p\228 th\n\"\\", "gr\195\188n", "\240\159\166\138" }

  local function octal(text)
    return (text:gsub(".", function(byte) return ("\\%03o"):format(byte:byte()) end))
  end

  setup(function()
    client, directory, stop = home.client()
    local lines = { "mkdir /d" }
    for i, name in ipairs(NAMES) do
      lines[#lines + 1] = ('n=$(printf "%s"); mkdir "/d/$n"; echo "line %d" > "/d/$n/$n"')
        :format(octal(name), i)
      lines[#lines + 1] = 'ln -s "$n/$n" "/d/$n/link"'
    end
    first = client.images:use("busybox:latest"):run{ shell = table.concat(lines, "\n"),
      disposable = false, check = true }
    second = first:run{ shell = [[for f in /d/*/*; do [ -h "$f" ] || echo more >> "$f"; done]],
      disposable = false, check = true }
  end)
  teardown(function() stop() end)

  it("is listed as it is, and leads to the file", function()
    local seen = {}
    for _, entry in ipairs(first:ls("/d")) do
      seen[entry.name] = true
      assert.are.equal("/d/" .. entry.name, entry.path)
      for _, inner in ipairs(entry:ls()) do
        if inner.name == "link" then
          assert.are.equal(entry.name .. "/" .. entry.name, inner.target)
        else
          assert.are.equal(entry.name, inner.name)
          assert.matches("^line %d+\n$", inner:read())
        end
      end
    end
    for _, name in ipairs(NAMES) do assert.is_true(seen[name], octal(name)) end
  end)

  it("is asked for by its bytes", function()
    for i, name in ipairs(NAMES) do
      local path = ("/d/%s/%s"):format(name, name)
      assert.are.equal(("line %d\n"):format(i), first:read(path), octal(name))
      assert.are.equal(("line %d"):format(i), first:lines(path)())
      assert.is_true(first:exists(path))
      assert.is_false(first:exists(path .. "\228"))
      assert.are.equal(path, first:stat(path).path)
      assert.are.equal("/d/" .. name, first:stat("/d/" .. name).path)
      local err = failure(function() first:read(path .. "\228") end)
      assert.are.equal("not_found", err.kind)
    end
  end)

  it("is one of a file taken out, and one in an archive", function()
    for i, name in ipairs(NAMES) do
      local path, to = ("/d/%s/%s"):format(name, name), directory .. "/" .. name:gsub("%c", "?")
      assert.are.equal(to, first:download(path, to))
      assert.are.equal(("line %d\n"):format(i), disk.read(to))
      local tar = directory .. "/one.tar"
      first:archive("/d/" .. name, tar)
      local out = disk.directory()
      disk.capture(("tar xf %s -C %s 2>/dev/null"):format(disk.quote(tar), disk.quote(out)))
      assert.are.equal(("line %d\n"):format(i), disk.read(("%s/d/%s/%s"):format(out, name, name)))
      disk.capture("rm -rf " .. disk.quote(out))
    end
  end)

  it("is told by a search, and a place to search in", function()
    local found, seen = first:grep{ pattern = "^line", path = "/d" }, {}
    for _, match in ipairs(found.matches) do
      assert.is_nil(match.path_encoding)
      seen[match.path] = true
    end
    for i, name in ipairs(NAMES) do
      local path = ("/d/%s/%s"):format(name, name)
      assert.is_true(seen[path], octal(name))
      found = first:grep{ pattern = "line", path = { "/d/" .. name } }
      assert.are.equal("/d/" .. name, found.path)
      assert.are.equal(1, #found.matches)
      assert.are.equal(("line %d\n"):format(i), found.matches[1].line_text)
    end
  end)

  own("is told by a comparison, with lines or without", function()
    local expected = {}
    for _, name in ipairs(NAMES) do expected[("/d/%s/%s"):format(name, name)] = true end
    for _, text in ipairs{ false, true } do
      local changes = second:diff(first, { text = text })
      assert.are.equal(#NAMES, #changes)
      for _, change in ipairs(changes) do
        assert.is_true(expected[change.path], octal(change.path))
        if text then assert.matches("%+more\n", change.hunks[1].text) end
      end
      assert.is_true(#tostring(changes) > 0)
    end
    for _, name in ipairs(NAMES) do
      assert.are.equal(1, #second:diff(first, { path = "/d/" .. name }))
      local entry, change = second:blame(("/d/%s/%s"):format(name, name))
      assert.are.equal(second.uuid, entry.uuid)
      assert.are.equal("changed", change.change)
    end
  end)

  own("makes a patch that applies", function()
    local tar, tree = directory .. "/d.tar", disk.directory()
    first:archive("/d", tar)
    disk.capture(("tar xf %s -C %s 2>/dev/null"):format(disk.quote(tar), disk.quote(tree)))
    disk.write(directory .. "/patch", tostring(second:diff(first, { text = true })))
    disk.capture(("cd %s && git init -q . && git apply %s/patch"):format(disk.quote(tree),
      disk.quote(directory)))
    for i, name in ipairs(NAMES) do
      assert.are.equal(("line %d\nmore\n"):format(i),
        disk.read(("%s/d/%s/%s"):format(tree, name, name)), octal(name))
    end
    disk.capture("rm -rf " .. disk.quote(tree))
  end)

  it("has no NUL, and a line found in it may have any byte", function()
    assert.are.equal("unprocessable", failure(function() first:read("/a\0b") end).kind)
    local latin = first:run{ disposable = false,
      shell = [[printf 'b\344r \377 b\344r\n' > /latin; printf 'plain\n' >> /latin]] }
    local found = latin:grep{ pattern = "r", path = "/latin" }
    assert.are.equal("b\228r \255 b\228r\n", found.matches[1].line_text)
    local found_plain = latin:grep{ pattern = "plain", path = "/latin" }
    assert.are.equal("plain\n", found_plain.matches[1].line_text)
    for _, part in ipairs(found.matches[1].submatches) do
      assert.are.equal(found.matches[1].line_text:sub(part.start + 1, part["end"]), part.text)
    end
  end)
end)
