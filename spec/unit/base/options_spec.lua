local options = require("contree.base.options")

local SPEC = { shell = options.text, command = options.name, stdin = options.any,
  timeout = options.seconds, cwd = options.absolute, disposable = options.boolean }

local function message(given)
  local ok, err = pcall(options.check, "image:run", SPEC, given)
  assert.is_false(ok)
  assert.are.equal("invalid_argument", err.kind)
  assert.is_true(err.misuse)
  return tostring(err)
end

describe("options.check", function()
  it("passes what is right", function()
    local given = { shell = "x", timeout = 0.5, cwd = "/tmp", disposable = false }
    assert.are.equal(given, options.check("f", SPEC, given))
    assert.are.same({}, options.check("f", SPEC, nil))
  end)

  it("names the nearest name", function()
    assert.matches('did you mean "shell"?', message{ shel = "x" }, 1, true)
    assert.matches('did you mean "timeout"?', message{ timout = 1 }, 1, true)
    assert.matches('did you mean "command"?', message{ cmd = "x" }, 1, true)
    assert.matches('did you mean "disposable"?', message{ Disposable = true }, 1, true)
  end)

  it("takes few letters of a long name for nothing but its beginning", function()
    local names = { queue_timeout = true, resources_limits = true, truncate_output_at = true }
    assert.are.equal("resources_limits", options.nearest("res", names))
    for _, given in ipairs{ "quiet", "tre", "out", "rms" } do
      assert.is_nil(options.nearest(given, names), given)
    end
  end)

  it("names all when none is near", function()
    assert.matches("it knows: command, cwd, disposable", message{ xyzzy = 1 }, 1, true)
    assert.matches("positional value 1", message{ "ls" }, 1, true)
  end)

  it("says what was expected, never a value", function()
    assert.matches("timeout must be a number of seconds above 0, got a string",
      message{ timeout = "s3cret" })
    assert.matches("cwd must be an absolute path", message{ cwd = "tmp" })
    assert.is_nil(message{ cwd = "s3cret" }:find("s3cret"))
    assert.matches("takes a table of options, got a number", message(5))
    assert.matches("options_spec%.lua", message{ shel = "x" })
  end)
end)

describe("a check", function()
  local function accepts(check, ...)
    for i = 1, select("#", ...) do assert.is_nil(check((select(i, ...)))) end
  end
  local function refuses(check, ...)
    for i = 1, select("#", ...) do assert.is_string(check((select(i, ...)))) end
  end

  it("of a text", function()
    accepts(options.text, "", "abc", "é")
    refuses(options.text, 5, "a\0b", "\255", {}, true)
    accepts(options.bytes, "\255\0")
  end)

  it("of a number", function()
    accepts(options.integer(0, 10), 0, 10, 5.0)
    refuses(options.integer(0, 10), -1, 11, 1.5, "5", 0 / 0, math.huge)
    accepts(options.seconds, 0.001, 1e6)
    refuses(options.seconds, 0, -1, 0 / 0, math.huge, "1")
    accepts(options.duration, 0, 1)
    refuses(options.duration, -1, math.huge)
  end)

  it("of a list", function()
    accepts(options.texts, {}, { "a", "b" })
    refuses(options.texts, "a", { 1 }, { "a", x = "b" }, { "a\0" }, { [2] = "b" })
  end)

  it("of an environment", function()
    local null = {}
    local env = options.env(null)
    accepts(env, {}, { A = "1", B = "" }, { A = null })
    refuses(env, "A=1", { A = 1 }, { "A=1" }, { ["A=B"] = "1" }, { A = "\0" }, { [""] = "x" },
      { ["A\0"] = "x" })
    assert.matches("A must be a string", env({ A = 5 }))
  end)

  it("of callables", function()
    accepts(options.callable, print, setmetatable({}, { __call = print }))
    refuses(options.callable, "x", {})
  end)

  it("of nested tables", function()
    local nested = options.nested{ enabled = options.boolean }
    accepts(nested, {}, { enabled = true })
    refuses(nested, { enabled = 1 }, 5)
    assert.matches('did you mean "enabled"', nested{ enable = true })
  end)

  it("of alternatives", function()
    local check = options.one_of(options.exactly(false), options.name)
    accepts(check, false, "x")
    refuses(check, true, 5)
  end)
end)
