-- scripts/reference finds what an annotation lacks, and writes a page of the rest.
local disk = require("spec.support.disk")

local GOOD = [[
--- The error object.

---@alias contree.ErrorKind
---| "not_found" | "conflict"

---@class contree.Image an image
---@field uuid string its id
---@field tag? string nil: none
local Image = {}

---@class contree.ReadOptions
---@field max_size? integer bytes; default 256

--- The content of a file.
---     local text = image:read("/etc/passwd")
--- Raises: request, not_found (no such file, no such image).
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return string text all of it
---@return fun(): string?, integer? next and so on
function Image:read(path, given)
  return path, given
end
]]

local FACE = [[
function face.make(safe)
  return {
    --- A client.
    ---     local image = contree.new()
    --- Raises: nothing.
    ---@return contree.Image
    new = guard(function() return 1 end),
  }
end
]]

-- Runs scripts/reference over a tree of these sources; returns what it said and its page.
local function run(image, is_stale)
  local tree = disk.directory()
  os.execute(("mkdir -p %s/lua/contree/image %s/docs/reference"):format(tree, tree))
  disk.write(tree .. "/lua/contree/face.lua", FACE)
  disk.write(tree .. "/lua/contree/image/init.lua", image)
  if not is_stale then disk.capture("scripts/reference --write " .. tree) end
  local said = disk.capture("scripts/reference --check " .. tree .. " 2>&1; echo code $?")
  local page = disk.peek(tree .. "/docs/reference/api.md")
  disk.remove(tree)
  return said, page
end

describe("scripts/reference", function()
  it("is content with a whole annotation, and writes all of it", function()
    local said, page = run(GOOD)
    assert.are.equal("code 0\n", said)
    for _, text in ipairs{ "## contree.Image\n\nAn image.", "### image:read(path, given)",
      "The content of a file.\n\n- `path` `string`: absolute\n- `given?` [`contree.ReadOptions`]",
      "Returns\n\n- `text` `string`: all of it\n"
        .. "- `next` `fun(): string?, integer?`: and so on\n",
      "Raises what any request may, `not_found` (no such file, no such image).",
      '```lua\nlocal text = image:read("/etc/passwd")\n```',
      "## contree.ReadOptions\n\nTaken by [`image:read`](#imagereadpath-given). An unknown name"
        .. " or a wrong type is misuse.\n\n- `max_size?` `integer`: bytes; default 256" } do
      assert.is_truthy(page:find(text, 1, true), text .. "\nis not in\n" .. page)
    end
  end)

  -- What is taken away or put instead, and what is said about it.
  for _, case in ipairs{
    { "--- The content of a file.\n", "", "has no description" },
    { '---     local text = image:read("/etc/passwd")\n', "", "has no example" },
    { 'local text = image:read("/etc/passwd")', "local text = image:rea(",
      "has an example that is not Lua" },
    { 'image:read("/etc/passwd")', 'image:ls("/etc")', "has an example without a call of it" },
    { "--- Raises: request, not_found (no such file, no such image).\n", "",
      "does not say what it raises" },
    { "not_found (no", "lost (no", "raises lost, which is no kind of error" },
    { "---@param path string absolute\n", "", "the parameter path has no type" },
    { "path string absolute", "path string", "the parameter path has no description" },
    { "path string absolute", "path? string absolute", "the parameter path? has no default" },
    { "path string absolute", "path { at: string? } where", "path has members without a default" },
    { "---@return string text all of it\n---@return fun(): string?, integer? next and so on\n", "",
      "does not say what it returns" },
    { "text all of it", "a, string b", "has two values in one @return" },
    { "bytes; default 256", "", "contree.ReadOptions: max_size? has no description" },
    { "bytes; default 256", "bytes", "contree.ReadOptions: max_size? has no default" },
    { "fun(): string?, integer? next", "fun(: string next",
      'the name of a parameter is missing at ": string next and so "' },
    { "---@field uuid string its id", "---@field uuid", "@field uuid has no name, or no type" },
    { "---@field uuid string its id", "---@field uuid { a: integer",
      '{ a: integer: } is missing at ""' },
    { "uuid string its id", "uuid string", "contree.Image: uuid has no description" },
    { "string nil: none", "string its name", "contree.Image: tag? does not say when it is nil" },
    { "---@async", "---@asynchronous", "@asynchronous is no tag of ours" },
    { "uuid string its", "uuid contree.Uuid its", "nothing declares the type contree.Uuid" },
    { "path string absolute", "path table<string, contree.Lost> absolute",
      "nothing declares the type contree.Lost" },
  } do
    it("finds what is wrong: " .. case[3], function()
      local from, to = GOOD:find(case[1], 1, true)
      local said = run(GOOD:sub(1, from - 1) .. case[2] .. GOOD:sub(to + 1))
      assert.is_truthy(said:find(case[3] .. "\n", 1, true), said)
      assert.is_truthy(said:find("code 1", 1, true), said)
    end)
  end

  it("finds a page that is out of date", function()
    local said = run(GOOD, true)
    assert.are.equal("reference: docs/reference/api.md is out of date: "
      .. "scripts/reference --write\ncode 1\n", said)
  end)
end)
