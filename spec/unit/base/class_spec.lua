-- A name that an object cannot have is refused; whatever looks at objects from outside still
-- works.
local cjson = require("cjson")
local class = require("contree.base.class")
local contree = require("contree")
local testing = require("contree.testing")

local function new_client(is_safe)
  return testing.client{ run = { ["^cat"] = { stdout = "text" } }, safe = is_safe }
end

local function fails(object, name)
  local ok, err = pcall(function() return object[name] end)
  assert.is_false(ok, name)
  return err
end

for _, is_safe in ipairs{ false, true } do
  describe("a name that an object does not have" .. (is_safe and ", safe" or ""), function()
    local client, image, result

    before_each(function()
      client = new_client(is_safe)
      image = client.images:use("busybox:latest")
      result = image:run("cat")
    end)

    it("is refused with the nearest one, and the script's line", function()
      local err = fails(result, "stdot")
      assert.is_true(contree.is_error(err, "invalid_argument"))
      assert.is_true(err.misuse)
      assert.are.equal('contree.Result has no "stdot"', err.message)
      assert.are.equal('did you mean "stdout"?', err.hint)
      assert.is_truthy(err.where:find("class_spec.lua:%d+$"), err.where)
    end)

    it("is refused with all that there are, when none is near", function()
      local err = fails(client.operations, "everything")
      assert.are.equal("it has: client, get, list", err.hint)
    end)

    it("is refused in each kind of object, for methods and fields alike", function()
      for _, each in ipairs{
        { client, "imags", "images" }, { client.images, "lst", "list" }, { image, "rnu", "run" },
        { image, "create_at", "created_at" }, { result, "exitcode", "exit_code" },
        { result.operation, "uiid", "uuid" }, { image:session(), "branchname", "branch_name" },
        { image:popen("cat"), "return_code", "returncode" }, { contree.buffer(), "reed", "read" },
        { contree.spawn(function() end), "stats", "status" },
      } do
        local object, wrong, right = (table.unpack or unpack)(each)
        assert.are.equal(('did you mean "%s"?'):format(right), fails(object, wrong).hint)
      end
    end)

    it("is nil where a field may be absent", function()
      for _, name in ipairs{ "signal", "limit", "limit_value", "isolation" } do
        assert.is_nil(result[name])
      end
      assert.is_nil(client.images:use("busybox:latest").created_at)
      assert.is_nil(image:session().id)
      assert.is_nil(image:popen("cat").returncode)
    end)

    it("is nil for tools that ask: rawget, next, numbers, names with an underscore", function()
      assert.is_nil(rawget(result, "stdot"))
      assert.is_nil(result[1])
      assert.is_nil(result._name)
      assert.is_nil(result.__jsontype)
      local found = {}
      for name in pairs(result) do found[name] = true end
      assert.is_true(found.stdout and found.exit_code)
      assert.is_nil(found.stdot)
      assert.is_truthy(next(result))
    end)

    it("is nil for functions in C, which look for fields of their own", function()
      -- string.format asks for a metamethod, table.concat for the elements.
      assert.are.equal("contree.Result", ("%s"):format(tostring(result)):match("^[%w.]+"))
      assert.are.equal("", table.concat(result))
      local text = cjson.encode{ stdout = result.stdout, code = result.exit_code }
      assert.are.equal("text", cjson.decode(text).stdout)
    end)
  end)
end

-- Parts of the module are loaded when they are needed first.
describe("a part of the module that cannot be loaded", function()
  local FAILURES = {
    ["error loading module 'contree.run.x' from file 'x.lua':\n\tcannot open x.lua: Too many "
      .. "open files"] = "cannot open x.lua: Too many open files",
    ["module 'contree.run.x' not found:\n\tno field package.preload['x']\n\tno file './x.lua'"]
      = "^module 'contree.run.x' not found:?$",
  }

  for text, pattern in pairs(FAILURES) do
    it("is told in an error object: " .. pattern, function()
      local call = class.entry(function() error(text, 0) end)
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.is_true(contree.is_error(err, "file"))
      assert.matches(pattern, err.message)
      assert.matches("ulimit %-n", err.hint)
    end)
  end
end)
