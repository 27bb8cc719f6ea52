-- image:export_to: the tree of an image as a directory of this machine.
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local turns = require("spec.support.turns")

describe("image:export_to", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest"):run{ disposable = false, check = true, shell = [[
      mkdir -p /d/sub/empty /d/bin && cd /d && echo text > file && chmod 640 file &&
      ln -s ../file sub/link && ln -s /etc/passwd out && ln file same && mkfifo pipe &&
      echo x > bin/tool && chmod 4755 bin/tool && touch -d @1000000000 file]] }
  end)
  teardown(function() stop() end)

  local function sh(command) return disk.capture("cd " .. directory .. " && " .. command) end

  it("writes a directory of it, with links, modes and times", function()
    local to = directory .. "/out"
    assert.equal(to, image:export_to(to, { at = "/d" }))
    assert.equal([[. 755 d
./bin 755 d
./bin/tool 755 f
./file 640 f
./out 777 l
./same 640 f
./sub 755 d
./sub/empty 755 d
./sub/link 777 l
]], sh("cd out && find . -printf '%p %m %y\n' | LC_ALL=C sort"))
    assert.equal("2 1000000000\n../file\n/etc/passwd\n",
      sh("cd out && stat -c '%h %Y' file && readlink sub/link out"))
  end)

  it("writes all of it, also of a session, and tells how far it is", function()
    local told = {}
    image:session():export_to(directory .. "/all", {
      progress = function(p) told[#told + 1] = p end })
    assert.equal("text\n", sh("cat all/d/file"))
    assert.is_true(tonumber(sh("find all | wc -l")) > 20)
    assert.is_true(#told > 1)
    for i = 2, #told - 1 do assert.is_true(told[i].done > told[i - 1].done) end
    assert.is_nil(told[1].total)
    assert.equal(told[#told - 1].done, told[#told].total)
    assert.equal("bytes", told[1].unit)
  end)

  it("writes over nothing, unless it is told to replace it", function()
    local to = directory .. "/there"
    sh("mkdir -p there/old && echo mine > there/old/f && ln -s /etc there/link")
    local err = failure(image.export_to, image, to, { at = "/d" })
    assert.equal("file", err.kind)
    assert.matches("replace = true", err.hint)
    assert.matches("^export_to does not know the option \"replaced\"",
      failure(image.export_to, image, to, { replaced = true }).message)
    assert.equal("mine\n", sh("cat there/old/f"))
    -- What fails leaves what was there.
    assert.equal("not_found", failure(image.export_to, image, to,
      { at = "/none", replace = true }).kind)
    assert.equal("unprocessable", failure(image.export_to, image, to,
      { at = "/d/file", replace = true }).kind)
    assert.is_truthy(failure(image.export_to, image, to, { at = "/d", replace = true,
      progress = function() error("enough", 0) end }))
    assert.equal("mine\nlink\nold\n", sh("cat there/old/f; ls there"))
    assert.equal("", sh("ls -d there.contree* 2>/dev/null"))
    image:export_to(to .. "/", { at = "/d", replace = true })
    assert.equal("bin\nfile\nout\nsame\nsub\n", sh("ls there"))
    assert.equal("", sh("ls -d there.contree* 2>/dev/null"))
    assert.is_truthy(disk.peek("/etc/passwd"))
    -- A link is replaced, not what it leads to.
    sh("mkdir target && echo kept > target/f && ln -s target way")
    image:export_to(directory .. "/way", { at = "/d", replace = true })
    assert.equal("kept\ntext\n", sh("cat target/f way/file"))
  end)

  it("lets other tasks run meanwhile", function()
    local many = image:run{ disposable = false,
      shell = "mkdir /m && cd /m && seq 3000 | while read i; do echo $i > $i; done" }
    local ticks = turns.count(function()
      many:export_to(directory .. "/many", { at = "/m" })
      many:export_to(directory .. "/many", { at = "/m", replace = true })
    end)
    assert.equal("3000\n", sh("ls many | wc -l"))
    assert.is_true(ticks >= 5, ticks .. " turns of another task")
  end)
end)
