-- What changed between two images, line by line, and as a patch.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("image:diff", function()
  local client, directory, stop, base, image

  setup(function()
    client, directory, stop = home.client()
    base = client.images:use("busybox:latest"):run{ disposable = false, shell = [[
      mkdir -p /d/sub; cd /d; echo keep > sub/keep
      seq 1 20 > numbers; printf 'no newline' > open; echo tool > tool; echo gone > gone
      echo 'with space' > 'my file'; printf 'a\000b' > binary; echo same > same
      ln -s numbers link; echo file > became; echo big > big; : > empty
      printf 'x\n' > "$(printf 'q\042uote\\\tand\nline \303\244')"
    ]] }
    image = base:run{ disposable = false, shell = [[
      cd /d
      sed -i 's/^10$/ten/; 20d' numbers; printf 'no newline\nmore' > open; chmod 755 tool
      rm gone empty; echo 'with a space' > 'my file'; printf 'a\000c' > binary; touch same
      ln -sf sub link; rm became; ln -s numbers became; seq 1 1000 > big
      echo new > sub/new; : > sub/empty; chmod 755 sub/new; mkfifo pipe
      printf 'y\n' > "$(printf 'q\042uote\\\tand\nline \303\244')"
    ]] }
  end)
  teardown(function() stop() end)

  local function by_path(changes)
    local found = {}
    for _, change in ipairs(changes) do found[change.path] = change end
    return found
  end

  it("shows the lines", function()
    local found = by_path(image:diff(base, { text = true, context = 1, max_size = 3000 }))
    assert.are.same({ { old_start = 9, old_count = 3, new_start = 9, new_count = 3,
      text = " 9\n-10\n+ten\n 11\n" }, { old_start = 19, old_count = 2, new_start = 19,
      new_count = 1, text = " 19\n-20\n" } }, found["/d/numbers"].hunks)
    assert.are.equal("-no newline\n\\ No newline at end of file\n+no newline\n+more\n"
      .. "\\ No newline at end of file\n", found["/d/open"].hunks[1].text)
    assert.are.equal("-numbers\n\\ No newline at end of file\n", found["/d/link"].hunks[1].text)
    assert.are.equal("+sub\n\\ No newline at end of file\n", found["/d/link"].hunks[2].text)
    assert.are.equal("+new\n", found["/d/sub/new"].hunks[1].text)
    assert.are.equal("-gone\n", found["/d/gone"].hunks[1].text)
    assert.are.same({}, found["/d/tool"].hunks)
    assert.are.same({ true, nil }, { found["/d/binary"].binary, found["/d/binary"].hunks })
    assert.are.same({ true, nil }, { found["/d/big"].too_large, found["/d/big"].hunks })
    assert.are.equal(2, #found["/d/became"].hunks)
    assert.are.equal("file", found["/d/became"].was.type)
    assert.are.equal(420, found["/d/tool"].was.mode)
    assert.is_nil(found["/d/same"])
    assert.is_nil(found["/d/pipe"].hunks)
  end)

  it("shows what it is asked for", function()
    local changes, truncated = image:diff(base, { path = "/d//sub/" })
    assert.are.equal("added /d/sub/empty\nadded /d/sub/new\n", tostring(changes))
    assert.is_false(truncated)
    assert.is_nil(changes[1].hunks)
    changes, truncated = image:diff(base, { limit = 1 })
    assert.are.equal(1, #changes)
    assert.is_true(truncated)
    assert.are.equal("", tostring(image:diff(image, { text = true })))
    assert.are.equal("-ten\n+10\n", base:diff(image, { path = "/d/numbers", text = true,
      context = 0 })[1].hunks[1].text)
  end)

  -- Copies /d of an image to a directory here.
  local function copy(from, name)
    from:archive("/d", directory .. "/d.tar")
    disk.capture(("cd %s && rm -rf %s && mkdir %s && tar xf d.tar -C %s 2>&1")
      :format(disk.quote(directory), name, name, name))
  end

  -- Applies the patch of two images. Returns the differences that remain, and a list of the
  -- executable files.
  local function left(program, from, to)
    disk.write(directory .. "/the.patch", tostring(to:diff(from, { text = true })))
    copy(from, "a")
    copy(to, "b")
    return disk.capture(([[cd %s/a && %s -p1 < ../the.patch 2>&1
      cd .. && diff -r --no-dereference a b
      find a -type f -perm -100 | sort]]):format(disk.quote(directory), program))
  end

  for _, program in ipairs{ "git apply", "patch -s" } do
    it("is what " .. program .. " makes one of the other with, both ways", function()
      local base, image = base, image -- luacheck: ignore 431
      if program == "patch -s" then
        -- POSIX of 2024 forbids newlines in names, and patch does from 2.8 on.
        local odd = "rm /d/q*line*"
        base, image = base:run{ shell = odd, disposable = false },
          image:run{ shell = odd, disposable = false }
      end
      -- A patch cannot hold pipes or binary files.
      assert.are.equal("Binary files a/d/binary and b/d/binary differ\nOnly in b/d: pipe\n"
        .. "a/d/sub/new\na/d/tool\n", left(program, base, image))
      assert.are.equal("Binary files a/d/binary and b/d/binary differ\nOnly in a/d: pipe\n",
        left(program, image, base))
    end)
  end
end)
