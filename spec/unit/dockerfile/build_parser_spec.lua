local errors = require("contree.base.errors")
local expand = require("contree.dockerfile.expand")
local parser = require("contree.dockerfile.parser")
local stage = require("contree.dockerfile.stage")
local testing = require("contree.testing")

local function parse(text) return parser.parse(text, "Dockerfile") end

local function refused(text)
  local ok, err = pcall(function() return stage.split(parse(text), "Dockerfile") end)
  assert.is_false(ok, text)
  assert.is_true(errors.is(err, "invalid_argument"), tostring(err))
  return tostring(err)
end

describe("a Dockerfile", function()
  local function only(text)
    local list = parse(text)
    assert.equal(1, #list)
    return list[1]
  end

  it("is instructions, in any case, with the lines where they begin", function()
    local list = parse("# a comment\n\nfrom a\n  Run  b \n\tcmd c\n")
    assert.same({ "FROM", "RUN", "CMD" }, { list[1].name, list[2].name, list[3].name })
    assert.same({ 3, 4, 5 }, { list[1].line, list[2].line, list[3].line })
    assert.same({ "a", "b", "c" }, { list[1].text, list[2].text, list[3].text })
    assert.equal("RUN b", list[2].source)
  end)

  it("may come from Windows, with a byte order mark and no last line end", function()
    assert.equal("a b", only("\239\187\191RUN a\\\r\n b").text)
    assert.equal("x", only("RUN x\r\n").text)
  end)

  it("continues lines, past comments and empty lines", function()
    assert.equal("a  b c", only("RUN a \\\n# no\n\n   # no\\\n b \\  \nc\n").text)
    assert.same({}, (parse("\\\n\n")))
    assert.equal("a", only("RUN a \\\n").text)
    assert.equal("a \\\\", parse("RUN a \\\\\nRUN b")[1].text)
    assert.equal("a # b", only("RUN a # b").text)
  end)

  it("says its escape character at the top", function()
    local list, escape = parse("# syntax=docker/dockerfile:1\n# Escape = `\nRUN a `\n b \\\nRUN c")
    assert.equal("`", escape)
    assert.equal("a  b \\", list[1].text)
    assert.equal(2, #list)
    local _, other = parse("# words\n# escape=`\nRUN a")
    assert.equal("\\", other)
    assert.matches("Dockerfile:1: the escape character", refused("# escape=x\nFROM a"))
    assert.matches("Dockerfile:2: the directive syntax is there twice",
      refused("#syntax=a\n#syntax=b\nFROM a"))
  end)

  it("has flags", function()
    local copy = only("COPY --from=a --chown=1:2 --link --exclude=x --exclude=y b c")
    assert.same({ from = "a", chown = "1:2", link = true, exclude = "y" }, copy.flags)
    assert.equal(5, #copy.flag_list)
    assert.equal("b c", copy.text)
    assert.equal("--x", only("CMD --x").text)
    assert.matches("COPY has no flag %-%-form %(did you mean from%?%)",
      refused("COPY --form=a b c"))
    assert.matches("needs a value", refused("COPY --from a b"))
  end)

  it("has JSON lists; what only looks like one is for the shell", function()
    assert.same({ "a b", "c\n", "ä" }, only([[RUN ["a b", "c\n", "ä"] ]]).list)
    assert.same({}, only("CMD []").list)
    for _, text in ipairs{ "[a]", "['a']", '["a", 1]', '["a"', '["a\\u0000"]', '[["a"]]' } do
      assert.is_nil(only("RUN " .. text).list, text)
    end
  end)

  it("has here-documents", function()
    local run = only("RUN <<EOF\n# not a comment\na \\\n\nEOF\n")
    assert.same({ { name = "EOF", body = "# not a comment\na \\\n\n", expand = true } },
      run.heredocs)
    local copy = parse("COPY <<'A' <<-\"B\" /d/\n$x\nA\n\t\ty\n\tB\nRUN z")
    assert.same({ { name = "A", body = "$x\n", expand = false },
      { name = "B", body = "y\n", expand = false } }, copy[1].heredocs)
    assert.equal(6, copy[2].line)
    assert.same({}, only('RUN echo "<<EOF"').heredocs)
    assert.same({}, only("RUN cat <<<word").heredocs)
    assert.same({}, only("ENV A <<EOF").heredocs)
    assert.matches("Dockerfile:2: the here%-document EOF does not end",
      refused("FROM a\nRUN <<EOF\nx"))
  end)

  it("says where it is wrong, and what was meant", function()
    assert.matches('Dockerfile:3: there is no instruction "COPPY" %(did you mean COPY%?%)',
      refused("FROM a\n\nCOPPY a b"))
    assert.matches("did you mean FROM", refused("FORM a"))
    assert.matches("there are ADD, ARG", refused("XYZZY a"))
    assert.matches("Dockerfile:2: ENV needs an argument", refused("FROM a\nENV"))
    assert.matches("NUL", refused("FROM a\nRUN a\0b"))
    assert.matches("Dockerfile:1: RUN before the first FROM", refused("RUN a"))
    assert.matches("there is no FROM", refused("# nothing"))
    assert.matches("there is no FROM", refused(""))
    assert.matches("FROM is not understood", refused("FROM a b"))
    assert.matches("is no name for a stage", refused("FROM a AS 1"))
  end)

  it("has stages", function()
    local stages, before = stage.split(
      parse("ARG a=1\nFROM x AS One\nRUN y\nFROM one\nRUN z\nRUN w"), "Dockerfile")
    assert.equal(1, #before)
    assert.same({ "one", "1" }, { stage.label(stages[1]), stage.label(stages[2]) })
    assert.same({ 1, 2 }, { #stages[1].steps, #stages[2].steps })
    assert.equal(stages[1], stage.named(stages, "ONE", 2))
    assert.equal(stages[2], stage.named(stages, "1", 2))
    assert.is_nil(stage.named(stages, "1", 1))
  end)
end)

describe("variables", function()
  local VALUES = { A = "1", P = "a/b/c.tar.gz", EMPTY = "", S = "a b" }
  local lookup = { escape = "\\", value = function(name) return VALUES[name] end,
    fail = function(message) errors.raise("invalid_argument", message) end }

  it("are put in, with quotes and escapes taken away", function()
    for text, expected in pairs{
      ["$A"] = "1", ["${A}b"] = "1b", ["x$Ay"] = "x", ["$NO"] = "", ["'$A'"] = "$A",
      ['"$A"'] = "1", ["\\$A"] = "$A", ['"\\$A"'] = "$A", ["a\\ b"] = "a b", ['"a\\b"'] = "a\\b",
      ["$"] = "$", ["a\\"] = "a", ["'a\\'"] = "a\\", ['"\\""'] = '"',
      ["${A:-x}"] = "1", ["${NO:-x}"] = "x", ["${EMPTY:-x}"] = "x", ["${EMPTY-x}"] = "",
      ["${NO-x}"] = "x", ["${A:+x}"] = "x", ["${NO:+x}"] = "", ["${EMPTY:+x}"] = "",
      ["${EMPTY+x}"] = "x", ["${A:?no}"] = "1", ["${NO:-$A}"] = "1", ["${NO:-${NO:-${A}}}"] = "1",
      ["${NO:-'}'}"] = "}", ["${P#*/}"] = "b/c.tar.gz", ["${P##*/}"] = "c.tar.gz",
      ["${P%.*}"] = "a/b/c.tar", ["${P%%.*}"] = "a/b/c", ["${P#x}"] = "a/b/c.tar.gz",
      ["${P%x}"] = "a/b/c.tar.gz", ["${P/?}"] = "/b/c.tar.gz",
      ["${P//\\//-%1}"] = "a-%1b-%1c.tar.gz",
      ["${P/b*r/$A}"] = "a/1.gz", ["${NO#x}"] = "", ["${NO/x/y}"] = "",
      ["${P//}"] = "a/b/c.tar.gz",
      ["${P%${P##*.}}"] = "a/b/c.tar.", ["$S"] = "a b", ["$1"] = "", ["${1}"] = "", [""] = "",
    } do
      assert.equal(expected, expand.text(text, lookup), text)
    end
  end)

  -- The special parameters of a shell are never set here.
  it("B8: have the names that a shell has", function()
    for text, expected in pairs{
      ["$@"] = "", ["$*"] = "", ["$#"] = "", ["$?"] = "", ["$-"] = "", ["$$"] = "", ["$!"] = "",
      ["$0"] = "", ["a$@b"] = "ab", ["a$$b"] = "ab", ["a$$$$b"] = "ab", ["$$A"] = "A",
      ["a$$$A"] = "a1", ["$12x"] = "x", ["$1A"] = "A", ["${@}"] = "", ["${*}"] = "", ["${#}"] = "",
      ["${$}"] = "", ["${12}"] = "", ["${@:-x}"] = "x", ["${1:+x}"] = "", ["$."] = "$.",
      ["a$/b"] = "a$/b", ["$ A"] = "$ A", ["$%"] = "$%", ["$="] = "$=", ["$,"] = "$,",
      ["$("] = "$(",
      ["$)"] = "$)", ["$["] = "$[", ["$}"] = "$}", ["$\\A"] = "$A", ['$"A"'] = "$A",
      ["$'A'"] = "$A",
      ['"$"'] = "$", ['"$@"'] = "", ['"$$A"'] = "A", ["'$$'"] = "$$", ["\\$$A"] = "$1",
      ["\\$\\$"] = "$$", ["$é"] = "", ["$Aé"] = "", ["$A☺"] = "1☺", ["$A—"] = "1—", ["$A."] = "1.",
      ["$A\255"] = "1\255", ["${A}$"] = "1$", ["$_"] = "", ["$A_"] = "", ["${A:-}"] = "1",
      ["${NO:-}"] = "", ["${NO-'a b'}"] = "a b", ["${NO:-\\}}"] = "}", ["${NO:-\"}\"}"] = "}",
      ["${A+\"$A\"}"] = "1", ["${EMPTY?x}"] = "",
    } do
      assert.equal(expected, expand.text(text, lookup), text)
    end
    for _, text in ipairs{ "${}", "${:x}", "${{A}}", "${A", "${", "${A:", "${A:}", "${A:=x}",
      "${A=x}",
      "${A=}", "${#A}", "${!A}", "${.}", "${A B}", "${A@}", "${A,}", "${EMPTY:?x}", "${NO?}" } do
      assert.is_false((pcall(expand.text, text, lookup)), text)
    end
  end)

  it("B8: are cut and replaced by a shell's patterns", function()
    local values = { F = "()[]{}^$.*?|\\x", X = "xx**", Y = "xxyy", Q = "???y", S = "a***yy*",
      D = "/foo*/*/*.txt", N = "\\*/", T = "/tmp/tmp/b.txt", M = "/tmp", U = "http://x", P = "é☺é",
      E = "" }
    local own = { escape = "\\", value = function(name) return values[name] end,
      fail = lookup.fail }
    for text, expected in pairs{
      ["${F#()[]{\\}^$.\\*\\?|\\\\}"] = "x", ["${X%%\\**}"] = "xx", ["${X%\\*}"] = "xx*",
      ["${Y#*x*y}"] = "y", ["${Y##*x*y}"] = "", ["${Y#*}"] = "xxyy", ["${Y##*x}"] = "yy",
      ["${Y#}"] = "xxyy", ["${Y##}"] = "xxyy", ["${Y%}"] = "xxyy", ["${Y%%}"] = "xxyy",
      ["${Q#?\\?}"] = "?y", ["${Y%x}"] = "xxyy", ["${S%%\\**\\*}"] = "a", ["${Y%y*}"] = "xxy",
      ["${Y%%y*}"] = "xx", ["${D/$N/.}"] = "/foo.*/*.txt", ["${D//$N/.}"] = "/foo..*.txt",
      ["${T/$M/}"] = "/tmp/b.txt", ["${T//$M/}"] = "/b.txt", ["${U/http:\\/\\//https:\\/\\/}"] =
      "https:\\/\\/x", ["${T//\\//-}"] = "-tmp-tmp-b.txt", ["${Y//x/}"] = "yy",
      ["${Y/y*/-}"] = "xx-",
      ["${Y//?/-}"] = "----", ["${Y/$E/ww}"] = "wwxxyy", ["${Y/z/w}"] = "xxyy",
      ["${Y///}"] = "xxyy",
      ["${P#?}"] = "☺é", ["${P%?}"] = "é☺", ["${P//?/x}"] = "xxx", ["${P//é/e}"] = "e☺e",
      ["${NO/x/y}"] = "", ["${Y:#x}"] = "xyy", ["${Y/'x'/-}"] = "-xyy", ["${Y#$E}"] = "xxyy",
    } do
      assert.equal(expected, expand.text(text, own), text)
    end
    for _, text in ipairs{ "${Y#\\x}", "${Y/\\x/y}", "${Y%a", "${Y//a" } do
      assert.is_false((pcall(expand.text, text, own)), text)
    end
  end)

  it("B8: part words only where they are not in quotes", function()
    local own = { escape = "\\", fail = lookup.fail,
      value = function(name) return name == "P" and " 80  81 " or nil end }
    assert.same({ "80", "81" }, expand.words("$P", own))
    assert.same({ "x80", "81y" }, expand.words("x${P# }${P:+y}", { escape = "\\", fail = own.fail,
      value = function(name) return name == "P" and " 80  81" or nil end }))
    assert.same({ " 80  81 " }, expand.words('"$P"', own))
    assert.same({ "a", "b c", "d e" }, expand.words("a  'b c' d\\ e $NO", own))
    assert.same({}, expand.words("$NO", own))
  end)

  it("say what is wrong with them", function()
    for text, message in pairs{
      ["${A"] = "lacks its }", ["${"] = "lacks its }", ["${A^x}"] = "not understood",
      ["${A:x}"] = "not understood", ["${A/x"] = "lacks its }",
      ["${A#" .. ("*"):rep(201) .. "}"] = "more than 200 *",
      ["'a"] = "has no partner", ['"a'] = "has no partner",
      ["${NO:?must be}"] = "NO is not set: must be",
      ["${NO:-a"] = "lacks its }",
    } do
      local ok, err = pcall(expand.text, text, lookup)
      assert.is_false(ok, text)
      assert.matches(message, tostring(err), 1, true)
    end
  end)

  it("are put into here-documents, whose quotes stay", function()
    assert.equal([["1" '1' $A n \ ']], expand.variables([["$A" '$A' \$A \n \\ ']], lookup))
    assert.equal("\n\n", expand.variables("\\\n\n", lookup))
    assert.equal("\\", expand.variables("\\\\", { escape = "`", value = lookup.value }))
  end)

  it("are set in pairs, or one with the rest of the line", function()
    assert.same({ { name = "a", value = "1" }, { name = "b", value = "2 3" },
      { name = "c", value = "" } }, expand.pairs([[a=$A b="2 3" c=]], lookup))
    assert.same({ { name = "a", value = "b c=d" } }, expand.pairs("a b c=d", lookup))
    assert.same({ { name = "a", value = "b=c" } }, expand.pairs("a=b=c", lookup))
    for _, text in ipairs{ "a", "a=1 b", "=1" } do
      assert.is_false((pcall(expand.pairs, text, lookup)), text)
    end
  end)
end)

describe("any bytes", function()
  local PIECES = { "FROM a\n", "RUN ", "COPY ", "ENV ", "ARG ", "<<EOF", "<<-'X'", "\nEOF\n",
    "\\\n", "\n", " ", "$", "${", "}", ":-", "${A", "%", "//", '"', "'",
    "[", "]", ",", "=", "--from=", "--", "# escape=`\n", "#", "`", "\0", "\255", "\r\n",
    "a", "**", "*", "?", "!", "/", "..", "\t" }

  -- A fixed seed, so that a failure can be reproduced.
  local function generator(seed)
    return function(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
  end

  it("are a Dockerfile, or refused in order", function()
    local lookup = { escape = "\\", value = function(name) return #name > 1 and name or nil end,
      fail = function(message) errors.raise("invalid_argument", message) end }
    local random, good = generator(42), 0
    for _ = 1, 1500 do
      local parts = {}
      for i = 1, random(30) do parts[i] = PIECES[random(#PIECES)] end
      local text = table.concat(parts)
      local ok, err = pcall(function()
        for _, step in ipairs((parse(text))) do
          expand.text(step.text, lookup)
          expand.variables(step.text, lookup)
          if step.name == "ENV" then expand.pairs(step.text, lookup) end
        end
        stage.split(parse(text), "Dockerfile")
      end)
      if ok then good = good + 1 end
      assert.is_true(ok or errors.is(err), tostring(err))
    end
    assert.is_true(good > 0)
  end)

  local LINES = {
    "RUN a", "RUN [\"a\", \"b\"]", "RUN <<E\nx\nE", "COPY a b", "COPY --from=0 a b",
    "COPY <<E /x/\n$A\nE", "COPY --chown=a:b --chmod=7 <<E <<F x/\nE\nF", "ADD http:///x y",
    "ENV A=$B C=${A:-d}", "ENV A", "ARG A=1 B", "ARG ${A}", "WORKDIR ../..", "WORKDIR $A",
    "USER $A", "USER 5:x", "SHELL [\"a\"]", "SHELL []", "CMD", "ENTRYPOINT [", "LABEL a='b",
    "EXPOSE $A 1", "VOLUME [\"/x\"]", "STOPSIGNAL", "HEALTHCHECK NONE", "ONBUILD RUN x",
    "MAINTAINER me", "FROM x AS y", "FROM $A", "FROM y", "FROM scratch",
    "RUN --mount=type=cache,target=/x y", "RUN --network=x y", "COPY --exclude=[ a b",
    "ENV \255=\255", "RUN \255", "WORKDIR /\255" }

  it("are built, or refused in order", function()
    local random, good = generator(11), 0
    for _ = 1, 400 do
      local lines = { "FROM busybox:latest" }
      for i = 2, 1 + random(6) do
        lines[i] = LINES[random(#LINES)]
        local at = random(60)
        if at <= #lines[i] then lines[i] = lines[i]:sub(1, at - 1) .. lines[i]:sub(at + 1) end
      end
      local client = testing.client{ run = { ["."] = "" } }
      local ok, err = pcall(client.images.build, client.images,
        { dockerfile = { data = table.concat(lines, "\n") } })
      if ok then good = good + 1 end
      assert.is_true(ok or errors.is(err), tostring(err) .. "\n" .. table.concat(lines, "\n"))
    end
    assert.is_true(good > 20)
  end)
end)
