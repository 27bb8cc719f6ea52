-- The pure pieces of workspaces: what is risky, what is chosen, single hunks.
local choose = require("contree.workspace.choose")
local core = require("contree.core")
local hunks = require("contree.workspace.hunks")
local risk = require("contree.workspace.risk")

describe("what is risky", function()
  local function of(path, fields)
    local change = { path = path, change = "added", type = "file", mode = 420, size = 1 }
    for name, value in pairs(fields or {}) do change[name] = value end
    return risk.of(change)
  end

  it("by name, in any case and at any depth", function()
    for _, path in ipairs{ ".git", ".git/hooks/post-checkout", "a/.git/config", ".GIT/config",
      "git~1/config", ".envrc", "a/b/.envrc", ".ENVRC", ".nvim.lua", ".exrc", ".vscode/x",
      "a/.vscode/tasks.json", ".idea/x", ".husky/pre-commit", ".github/workflows/x.yml",
      ".gitignore", ".gitattributes", ".contreeignore", "a/HEAD", ".mcp.json", ".claude/x" } do
      assert.is_string(of(path), path)
      assert.is_string(of(path, { change = "removed" }), path)
    end
    for _, path in ipairs{ "a", "git", "x.git", "a/.gitkeep", "envrc", "src/vscode/x", "HEADER" } do
      assert.is_nil(of(path), path)
    end
  end)

  it("by mode", function()
    assert.matches("new program", of("a", { mode = 493 }))
    for _, mode in ipairs{ 64, 8, 1 } do
      assert.matches("new program", of("a", { mode = 384 + mode }))
      assert.matches("becomes", of("a", { change = "changed", mode = 384 + mode,
        was = { type = "file", mode = 420 } }))
      assert.is_nil(of("a", { change = "changed", mode = 493,
        was = { type = "file", mode = 384 + mode } }))
    end
    assert.matches("becomes", of("a", { change = "changed", mode = 457,
      was = { type = "file", mode = 420 } }))
    assert.is_nil(of("a", { change = "changed", mode = 493, was = { type = "file", mode = 493 } }))
    assert.matches("setuid", of("a", { mode = 2048 + 420 }))
    assert.matches("setgid", of("a", { type = "directory", mode = 1024 + 493 }))
    assert.is_nil(of("a", { change = "removed", mode = 493 }))
    assert.is_nil(of("a", { type = "directory", mode = 493 }))
  end)

  it("by where a link leads", function()
    local function link(path, target)
      return of(path, { type = "link", mode = 511, target = target })
    end
    for path, target in pairs{ a = "/etc/passwd", b = "..", ["d/c"] = "../../x", e = "x/../../y",
      f = "./../x", g = "", ["d/e/h"] = "../../../x", i = ".git/config", j = "a/../b",
      ["d/k"] = "../.git" } do
      assert.is_string(link(path, target), path)
    end
    for path, target in pairs{ a = "b", ["d/c"] = "../x", ["d/e/f"] = "../../x/y", g = "./b",
      h = "..x" } do
      assert.is_nil(link(path, target), path)
    end
    assert.is_string(link("a", nil))
  end)
end)

describe("what is chosen", function()
  local function list()
    return {
      { path = "d", change = "added", type = "directory" },
      { path = "d/a", change = "added", type = "file", size = 1 },
      { path = "d/.envrc", change = "added", type = "file", size = 1, risky = "x" },
      { path = "b", change = "changed", type = "file", size = 10 },
      { path = "s", change = "added", type = "other", size = 0 },
    }
  end
  local function from(given)
    given.max_size = given.max_size or 5
    local chosen, skipped = choose.from(list(), given)
    local names, left = {}, {}
    for path in pairs(chosen) do names[#names + 1] = path end
    for i, each in ipairs(skipped) do left[i] = each.path .. " " .. each.kind end
    table.sort(names)
    return table.concat(names, " "), table.concat(left, ", ")
  end

  it("is all but what is risky, too large or no file", function()
    assert.are.same({ "d d/a", "d/.envrc risky, b unsupported, s unsupported" }, { from{} })
    assert.are.same({ "b d d/.envrc d/a", "s unsupported" },
      { from{ risky = true, max_size = 10 } })
  end)

  it("is what is named, with the directories above", function()
    assert.are.same({ "d d/.envrc", "" }, { from{ only = "d/.envrc" } })
    assert.are.same({ "d d/a", "d/.envrc risky" }, { from{ only = { "d/**" } } })
    assert.are.same({ "b", "" }, { from{ only = { "*", "!d", "!s" }, max_size = 10 } })
    assert.are.same({ "b", "" }, { from{ hunks = { b = { 1 } }, max_size = 10 } })
    assert.are.same({ "", "none unchanged" }, { from{ only = "none" } })
  end)
end)

describe("single hunks", function()
  local function random_text(lines)
    local parts = {}
    for i = 1, math.random(0, lines) do parts[i] = tostring(math.random(0, 3)) end
    return table.concat(parts, "\n") .. (math.random(2) == 1 and #parts > 0 and "\n" or "")
  end

  it("lead from one text to the other when all are taken, and nowhere when none is", function()
    math.randomseed(13)
    for _ = 1, 500 do
      local old, new = random_text(30), random_text(30)
      local list, numbers = core.diff_lines(old, new, math.random(0, 3)), {}
      for i = 1, #list do numbers[i] = #list + 1 - i end
      assert.are.equal(new, hunks.apply(old, list, numbers, "x"))
      assert.are.equal(old, hunks.apply(old, list, {}, "x"))
    end
  end)

  it("are taken once, and must be there", function()
    local list = core.diff_lines("a\n", "b\n", 0)
    assert.is_false((pcall(hunks.apply, "a\n", list, { 2 }, "x")))
    assert.is_false((pcall(hunks.apply, "a\n", list, { 1, 1 }, "x")))
  end)
end)
