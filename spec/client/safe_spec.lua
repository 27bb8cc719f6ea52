-- contree.safe returns failures; it raises only misuse.
local errors = require("contree.base.errors")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local safe = require("contree.safe")

describe("contree.safe", function()
  local server, client, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    server:rules(fake.run{ spawned = { status = 201, json = fake.operation{ uuid = "op-1" } } })
    client = safe.new{ url = server.url, token = "t", retry = false }
    image = client.images:use(fake.IMAGE)
  end)

  local function returns(kind, value, err)
    assert.is_nil(value)
    assert.is_true(errors.is(err, kind), tostring(err))
    assert.is_nil(err.misuse)
    assert.matches("safe_spec.lua:%d+$", err.where)
  end

  it("D3: returns what the state of a session decides", function()
    local session = image:session()
    returns("conflict", session:rollback(1))
    returns("conflict", session:branch("main"))
    returns("not_found", session:checkout("none"))
    returns("not_found", session:delete_branch("none"))
    returns("conflict", session:delete_branch("main"))
    returns("unprocessable", session:bisect("true"))
    returns("not_found", session:bisect("true", { good = 7 }))
    session:branch("other")
    local path = os.tmpname()
    finally(function() os.execute("rm -f '" .. path .. "'*") end)
    local stored = image:session{ store = path, id = "one" }
    stored:fork("two")
    returns("conflict", stored:fork("two"))
    returns("conflict", stored:commit(image, "main"))
    local process = image:popen{ "x" }
    process.stdin:close()
    returns("conflict", process.stdin:write("x"))
  end)

  it("D3: returns what the bytes of a string decide", function()
    for _, text in ipairs{ "a\0b", "a\255b" } do
      returns("unprocessable", image:run(text))
      returns("unprocessable", image:run{ command = text })
      returns("unprocessable", image:run{ command = "x", args = { text } })
      returns("unprocessable", image:run{ shell = "x", env = { A = text } })
      returns("unprocessable", image:run{ shell = "x", cwd = "/" .. text })
      returns("unprocessable", image:run{ shell = "x", tag = text })
      returns("unprocessable", image:popen{ text })
      -- File names may hold any byte except NUL.
      returns("unprocessable", image:read("/" .. text:gsub("\255", "\0")))
      returns("unprocessable", image:ls("/" .. text:gsub("\255", "\0")))
      returns("unprocessable", image:grep(text))
      returns("unprocessable", image:tag_as(text))
      returns("unprocessable", image:session():branch(text))
      returns("unprocessable", client.images:use(text))
      returns("unprocessable", client.images:import_from(text))
      returns("unprocessable", client.operations:get(text))
      returns("unprocessable", client.operations:list{ status = text })
      returns("unprocessable", safe.sessions(text))
    end
  end)

  it("raises what the script's text got wrong", function()
    for _, call in ipairs{
      function() image:run{ shel = "x" } end, function() image:run(5) end,
      function() image:session():rollback("one") end, function() image:session():checkout(5) end,
      function() client.operations:get(5) end,
    } do
      assert.is_true(failure(call).misuse)
    end
  end)
end)

describe("what is a slip in a script", function()
  local image

  setup(function()
    image = require("contree").new{ url = "http://127.0.0.1:1", token = "t" }.images:use("a:1")
  end)

  local function refuses(pattern, fn, ...)
    local err = failure(fn, ...)
    assert.is_true(err.misuse, tostring(err))
    assert.matches(pattern, tostring(err))
  end

  it("D6: a limit that does not exist names the one that does", function()
    refuses('did you mean "memory_bytes"', image.run, image,
      { shell = "x", resources_limits = { memory = 1000000 } })
    refuses('did you mean "cpus"', image.run, image,
      { shell = "x", resources_limits = { cpu = 1 } })
    refuses('did you mean "memory_bytes"', image.client.images.build, image.client.images,
      { context = ".", resources_limits = { memory = 1000000 } })
    refuses("cpus is a number above 0", image.run, image,
      { shell = "x", resources_limits = { cpus = 0 } })
    refuses('did you mean "enabled"', image.run, image,
      { shell = "x", networking = { enable = false } })
  end)

  it("D7: a mode that was meant to be octal", function()
    for _, mode in ipairs{ 755, 644, 600, 700, 777, 640, 750, 400, 444, 500, 555, 775, 664, 666,
      660, 711, 1777, 2755, 4755 } do
      refuses(('"%04d", not the decimal number %d'):format(mode, mode), image.run, image,
        { shell = "x", files = { ["/x"] = { data = "", mode = mode } } })
    end
    local files = require("contree.image.files")
    for _, mode in ipairs{ 493, 420, 384, 448, 511, 256, 292, 365, 416, 436, 438, 432, 488, 509, 0,
      73, 1023, 2541 } do
      local plan = files.plan{ ["/x"] = { data = "", mode = mode } }
      assert.are.equal(("%04o"):format(mode), plan[1].mode)
    end
    for _, mode in ipairs{ "755", "0755", "4755" } do
      local plan = files.plan{ ["/x"] = { data = "", mode = mode } }
      assert.are.equal(("0" .. mode):sub(-4), plan[1].mode)
    end
  end)

  it("D10: a dot where there should be a colon", function()
    refuses("a colon passes it", image.run, "x")
    refuses("a colon passes it", image.run, { shell = "x" })
    refuses("a colon passes it", image.run)
    refuses("a colon passes it", image.client.whoami)
    refuses("a colon passes it", image.session, {})
    refuses("a colon passes it", require("contree").gather, { image.ls })
  end)

  it("D10: a name for a session that is kept nowhere", function()
    refuses("store =", image.session, image, { id = "x" })
    refuses("store =", image.client.session, image.client, { id = "x", image = image })
  end)

  it("D10: a hint is text, or not there", function()
    assert.is_nil(errors.new("server", "x", { hint = false }).hint)
    assert.is_nil(failure(image.client.whoami, image.client).hint or nil)
  end)
end)
