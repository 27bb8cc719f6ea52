local core = require("contree.core")

-- Applies a unified diff to a text.
local function apply(old, hunks)
  local lines, out, at = {}, {}, 1
  for line in old:gmatch("[^\n]*\n?") do
    if line ~= "" then lines[#lines + 1] = line end
  end
  for _, hunk in ipairs(hunks) do
    local old_count, new_count, open_end = 0, 0, nil
    local start = hunk.old_start + (hunk.old_count == 0 and 1 or 0)
    while at < start do
      out[#out + 1] = lines[at]
      at = at + 1
    end
    assert.are.equal(hunk.new_start + (hunk.new_count == 0 and 1 or 0), #out + 1)
    for sign, line in hunk.text:gmatch("(.)([^\n]*\n)") do
      if sign == "\\" then
        if open_end ~= "-" then out[#out] = out[#out]:sub(1, -2) end
      else
        if sign ~= "+" then
          assert.are.equal(lines[at]:gsub("\n$", ""), (line:gsub("\n$", "")))
          at, old_count = at + 1, old_count + 1
        end
        if sign ~= "-" then
          out[#out + 1] = line
          new_count = new_count + 1
        end
        open_end = sign
      end
    end
    assert.are.same({ hunk.old_count, hunk.new_count }, { old_count, new_count })
  end
  for i = at, #lines do out[#out + 1] = lines[i] end
  return table.concat(out)
end

-- The length of the longest common subsequence of lines, the slow and certain way.
local function common(a, b)
  local row = {}
  for j = 0, #b do row[j] = 0 end
  for i = 1, #a do
    local diagonal = 0
    for j = 1, #b do
      local above = row[j]
      row[j] = a:byte(i) == b:byte(j) and diagonal + 1 or math.max(above, row[j - 1])
      diagonal = above
    end
  end
  return row[#b]
end

local function changes(hunks)
  local count = 0
  for _, hunk in ipairs(hunks) do
    for sign in hunk.text:gmatch("(.)[^\n]*\n") do
      if sign == "+" or sign == "-" then count = count + 1 end
    end
  end
  return count
end

local function letters(size, alphabet)
  local list = {}
  for i = 1, size do list[i] = string.char(96 + math.random(alphabet)) end
  return table.concat(list)
end

describe("diff_lines", function()
  it("shows a change with its context", function()
    local hunks = core.diff_lines("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nD\ne\nf\n", 1)
    assert.are.same({ { old_start = 3, old_count = 3, new_start = 3, new_count = 3,
      text = " c\n-d\n+D\n e\n" } }, hunks)
    assert.are.equal("-d\n+D\n", core.diff_lines("c\nd\ne", "c\nD\ne", 0)[1].text)
  end)

  it("says nothing of what is the same", function()
    for _, text in ipairs{ "", "a", "a\n", "\n\n" } do
      assert.are.same({}, core.diff_lines(text, text, 3))
    end
  end)

  it("counts from the line before where a side is empty", function()
    assert.are.same({ { old_start = 0, old_count = 0, new_start = 1, new_count = 2,
      text = "+a\n+b\n" } }, core.diff_lines("", "a\nb\n", 3))
    assert.are.same({ { old_start = 1, old_count = 1, new_start = 0, new_count = 0,
      text = "-a\n\\ No newline at end of file\n" } }, core.diff_lines("a", "", 3))
    local hunk = core.diff_lines("a\nb\n", "a\nx\nb\n", 0)[1]
    assert.are.same({ 1, 0, 2, 1 },
      { hunk.old_start, hunk.old_count, hunk.new_start, hunk.new_count })
  end)

  it("tells a last line without a newline from one with it", function()
    assert.are.equal(" a\n-b\n\\ No newline at end of file\n+b\n",
      core.diff_lines("a\nb", "a\nb\n", 3)[1].text)
  end)

  it("joins hunks whose contexts meet", function()
    local old, new = "1\n2\n3\n4\n5\n6\n", "x\n2\n3\n4\n5\ny\n"
    assert.are.equal(1, #core.diff_lines(old, new, 2))
    assert.are.equal(2, #core.diff_lines(old, new, 1))
  end)

  it("makes one text of the other, with as few changes as there can be", function()
    math.randomseed(7)
    for _ = 1, 200 do
      local alphabet = math.random(1, 5)
      local a, b = letters(math.random(0, 40), alphabet), letters(math.random(0, 40), alphabet)
      local old, new = a:gsub(".", "%0\n"), b:gsub(".", "%0\n")
      if math.random(3) == 1 then old = old:gsub("\n$", "") end
      if math.random(3) == 1 then new = new:gsub("\n$", "") end
      local hunks = core.diff_lines(old, new, math.random(0, 3))
      assert.are.equal(new, apply(old, hunks))
      if old:sub(-1) == "\n" and new:sub(-1) == "\n" then
        assert.are.equal(#a + #b - 2 * common(a, b), changes(hunks))
      end
    end
  end)

  it("is right, if longer, where little is common", function()
    math.randomseed(8)
    local old = letters(2500, 3):gsub(".", "%0\n")
    local new = letters(2000, 3):gsub(".", "%0\n")
    assert.are.equal(new, apply(old, core.diff_lines(old, new, 3)))
    old = ("a\nb\n"):rep(5000)
    new = ("b\na\na\n"):rep(4000)
    assert.are.equal(new, apply(old, core.diff_lines(old, new, 3)))
  end)

  it("takes bytes of any kind", function()
    local old, new = "\0\n\255\n\r\n", "\0\n\254\n\r\n"
    assert.are.equal(" \0\n-\255\n+\254\n \r\n", core.diff_lines(old, new, 3)[1].text)
  end)

  it("refuses a context that is none", function()
    assert.is_false(pcall(core.diff_lines, "a", "b", -1))
    assert.is_false(pcall(core.diff_lines, "a", "b"))
  end)
end)
