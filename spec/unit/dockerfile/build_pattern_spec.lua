-- The patterns of .dockerignore, of COPY's sources and of ${name#pattern}: what each matches,
-- and that the time for a match is bounded by the lengths.
local errors = require("contree.base.errors")
local expand = require("contree.dockerfile.expand")
local ignore = require("contree.base.ignore")
local parser = require("contree.dockerfile.parser")
local pattern = require("contree.base.pattern")

local function names_of(path)
  local names = {}
  for name in path:gmatch("[^/]+") do names[#names + 1] = name end
  return names
end

local function ignored(text)
  local rules = ignore.parse(text, ".dockerignore")
  return function(path) return rules:ignores(names_of(path)) end
end

-- The behaviour of moby's patternmatcher, with the topics in the order of its own tests: rules,
-- the paths that they leave out, and paths that they do not.
local RULES = {
  -- "**" matches everything, at any place.
  { "**", "x x/ x/y x/y/z .x", "" },
  { "**/", "x x/ x/y x/y/z", "" },
  { "**/**", "x x/y x/y/z", "" },
  { "top/**", "top/x top/x/ top/x/y top/x/y/", "top x topx x/top" },
  { "top/**/", "top/x top/x/y", "top" },
  { "**/leaf", "leaf x/leaf x/y/leaf leaf/x x/leaf/y", "aleaf x/aleaf leafy" },
  { "**/mid/*", "mid/x a/mid/x a/b/mid/x a/mid/x/ a/mid/x/y", "mid a/mid amid/x" },
  { "**/mid/**", "mid/x a/mid/x/y a/mid/x/y/", "mid a/mid" },
  { "**leaf", "leaf x/leaf aleaf x/aleaf x/y/leaf leaf/x", "leafy" },
  { "**.md", ".md x.md a/x.md a/b/.md x.md/y", "x.mdx md" },
  { "**leaf*", "leaf leafy x/leaf x/leafy", "aleaf x/aleaf" },
  { "**/leaf*", "leaf x/leafy x/y/leaf.txt", "aleaf" },
  { "**/l*f", "lf leaf x/y/leaf", "leafy aleaf" },
  { "**/l*.txt", "l.txt x/y/leaf.txt", "leaf.txt2 x.txt" },
  { "**/l*.txt*", "l.txt x/leaf.txt2", "x.txt" },
  { "**/**/*.txt", "x.txt a/x.txt a/b/x.txt", "x.text" },
  { "**/**/*.txt2", "", "x.txt a/b/x.txt" },
  { "**/*.txt", "x.txt a/x.txt a/b/c/x.txt .txt", "x.txt2" },
  { "a**/*.txt", "a/x.txt a/b/x.txt a/b/c/x.txt ab/x.txt ax.txt", "b/x.txt" },
  { "a**/z", "az a/z a/b/z ab/z ab/c/z", "axz b/z" },
  { "a**z", "az a/z a/b/z ab/z", "axz a/bz" },
  { "a/**/z", "a/z a/b/z a/b/c/z a/b/z/x", "az a/bz z" },
  { "a/*.txt", "a/x.txt", "a/b/x.txt x.txt" },
  { "a/*.txt**", "a/x.txt a/x.txt2 a/x.txt/y", "a/b/x.txt" },
  { "***", "x x/y", "" },
  { "a***", "a ax a/b ax/b", "b" },
  { "**/a/b", "a/b x/a/b x/y/a/b", "xa/b a/bb" },
  { "**/.x", ".x y/.x", "y.x z/y.x" },
  -- "*" and "?" end at a "/".
  { "*", "x .x x/y", "" },
  { "*x", "x ax xxx ax/b", "xa a/x" },
  { "x*", "x xa xa/b", "ax a/x" },
  { "x*/b", "x/b xa/b xa/b/c", "x/a/b xb" },
  { "x*y*z/w", "xyz/w xaybz/w", "xyz/a/w xy/z/w xyz/ww" },
  { "x*y?z*w", "xaybzcw xy?zw", "xyzw xaybzc" },
  { "x?z", "xyz xäz x☺z x?z", "xz xyyz x/z" },
  { "???", "abc äöü", "ab abcd" },
  { ".*", ".x .x/y ..x", "x x/.y" },
  { "x*z", "xz xyz", "x/z" },
  -- Classes of characters; a negated one matches "/", too.
  { "x[b-d]z", "xbz xcz xdz", "xz xaz xez xbbz" },
  { "x[^b-d]z", "xaz xez x/z x☺z", "xbz xz" },
  { "x[^a][^a]z", "xbcz", "x☺z xbz" },
  { "x[y]", "xy", "x xz" },
  { "[a-cx-z]", "a c x z", "d w" },
  { "[α-ω]*", "β βx", "x" },
  { "*[α-ω]", "xβ", "X" },
  { "[!a]", "! a", "b" },
  { "[\\]x]", "] x", "\\" },
  { "[\\-]", "-", "\\" },
  { "[x\\-]", "x -", "z" },
  { "[\\-x]", "- x", "a" },
  { "[\\^x]", "^ x", "y" },
  { "[a^]", "a ^", "b" },
  { "[*?]", "* ?", "x" },
  { "[[]", "[", "]" },
  { "x]", "x]", "x" },
  { "[Local]", "L o c", "Local" },
  -- Other characters have no meaning.
  { "x.z", "x.z", "xyz xz" },
  { "x(y)z/w", "x(y)z/w", "xyz/w x(y)z/v" },
  { "x.|)$(}+{y^%-", "x.|)$(}+{y^%-", "x" },
  { "d/p-2.4.0rc3+g08a-py3.whl", "d/p-2.4.0rc3+g08a-py3.whl", "d/p-2.4.0rc3g08a-py3.whl" },
  { "d/*.whl", "d/p-2.4.0rc3+g08a-py3.whl", "d/p.wheel" },
  { "x\\*z", "x*z", "xz xyz" },
  { "x\\\\", "x\\", "x" },
  { "\\x\\y", "xy", "\\x\\y" },
  { "x|y", "x|y", "x y" },
  -- Directories and names of paths.
  { "/x", "x x/y", "a/x" },
  { "./x//y/../z/", "x/z x/z/a", "x/y" },
  { "../x", "", "x" },
  { "x/../../y", "", "y" },
  { ".", "", "x" },
  { "/", "", "x" },
  { "  x y  ", "x|y", "" },
  { "#x", "", "#x x" },
  { " #x", "#x", "x" },
  -- The last rule that matches decides.
  { "x\n!x/y", "x x/z", "x/y x/y/z" },
  { "x/\n!x/y", "x/z", "x/y" },
  { "x/*\n!x/y", "x/z", "x x/y" },
  { "!y\n*", "x y", "" },
  { "*\n!y", "x", "y y/z" },
  { "*.x\n!a.x\na.x", "a.x b.x", "a" },
  { "**\n!a/b/c", "x a a/b", "a/b/c a/b/c/d" },
  { "**\n!a/b/c\na/b/c/d", "a/b/c/d", "a/b/c" },
  { "**\n!d/p-2.4.0+g08.whl", "x", "d/p-2.4.0+g08.whl" },
  { "**\n! d/*.whl", "x d/x", "d/p+1.whl" },
}

local BAD = { "[", "[^", "[^bc", "x[", "x[y", "[]x]", "[]", "[^]", "[-]", "[x-]", "[-x]",
  "[a-b-c]", "[z-a]", "[Local-Only]", "\\", "x\\", "!", "! ", "[a-" }

describe("B4: .dockerignore", function()
  for _, rule in ipairs(RULES) do
    it(("has the rule %q"):format(rule[1]), function()
      local is = ignored(rule[1])
      for i, expected in ipairs{ true, false } do
        for path in rule[i + 1]:gmatch("%S+") do
          path = path:gsub("|", rule[1]:find(" ", 1, true) and " " or "|")
          assert.equal(expected, is(path), path)
        end
      end
    end)
  end

  it("has no rule that is not one", function()
    for _, text in ipairs(BAD) do
      local ok, err = pcall(ignored, "x\n" .. text)
      assert.is_false(ok, text)
      assert.is_true(errors.is(err, "invalid_argument"))
      assert.matches(".dockerignore:2: ", tostring(err), 1, true)
    end
  end)

  it("has an order: --exclude is the same without comments and lines", function()
    local rules = ignore.of({ "*.x", "", "!a.x", " b " }, { file = "Dockerfile", line = 3 })
    assert.is_true(rules:ignores{ "c.x" })
    assert.is_false(rules:ignores{ "a.x" })
    assert.is_true(rules:ignores{ "b", "c" })
  end)

  it("is of bytes, where they are no characters", function()
    assert.is_true(ignored("x?z")("x\255z"))
    assert.is_true(ignored("x\255*")("x\255\254"))
    assert.is_false(ignored("x?z")("x\255\255z"))
    assert.is_true(ignored("x??z")("x\195Az"))
  end)
end)

-- With a backtracking matcher, or a trim by a single pattern, these would take for ever.
describe("F11: a text of any length", function()
  local long = ("a"):rep(20000)
  local stars = ("*a"):rep(60) .. "b"

  it("is a rule, or is fitted by one, as soon as it is read", function()
    assert.is_false(ignored(stars)(long))
    assert.is_true(ignored(stars)(long .. "b"))
    assert.is_false(ignored(("**/a"):rep(30) .. "b")(("a/"):rep(20000)))
    assert.is_false(ignored(("?*"):rep(60) .. "b")(long))
    assert.is_false(ignored("*a" .. ("?"):rep(40))(("ab"):rep(4000) .. "/"))
    assert.is_true(ignored((" "):rep(300000) .. "x" .. (" "):rep(300000))("x"))
    assert.is_false(ignored((" \t"):rep(300000))("x"))
    assert.is_false(ignored("x" .. (" "):rep(300000) .. "y")("x"))
    assert.is_false(ignored(("x"):rep(300000))("x"))
    assert.is_false(pattern.name(stars)(long))
    assert.is_true(pattern.name(stars)(long .. "b"))
  end)

  it("is a variable's, or its pattern's", function()
    local lookup = { escape = "\\", fail = function(message) error(message, 0) end,
      value = function(name) return name == "A" and long or (" "):rep(100000) end }
    for _, form in ipairs{ "#", "##", "%", "%%", "/" } do
      local word = form == "/" and stars .. "/x" or stars
      assert.equal(long, expand.text("${A" .. form .. word .. "}", lookup), form)
    end
    assert.equal(long, expand.text("${A//a*b/x}", lookup))
    assert.equal("", expand.text("${A##*a}", lookup))
    assert.equal(("x"):rep(20000), expand.text("${A//a/x}", lookup))
    assert.equal((" "):rep(100000), expand.text("$B", lookup))
  end)

  it("is a line of a Dockerfile", function()
    local blanks = (" "):rep(300000)
    for _, text in ipairs{ "RUN x" .. blanks .. "y" .. blanks, "ENV a=" .. blanks .. "b=2",
      "# escape=" .. blanks .. "x\nRUN y", "RUN " .. ("\\ "):rep(100000),
      "RUN a" .. blanks .. "\\" .. blanks .. "\n b", blanks .. "# x", blanks .. "RUN x",
      "COPY <<E" .. blanks .. "x /y" .. "\nE", "FROM" .. blanks .. "x" .. blanks .. "AS y",
      "RUN " .. ("<"):rep(100000), "RUN " .. ("'"):rep(100001), "RUN " .. ("\n"):rep(100000) } do
      local ok, err = pcall(parser.parse, text, "Dockerfile")
      assert.is_true(ok or errors.is(err), tostring(err))
    end
  end)
end)
