-- The manual page of contree-engine has the commands and options of the program.
local disk = require("spec.support.disk")

-- Of each command in the page: its heading, in their order, and its options by its name.
local function read_page()
  local page = disk.read("docs/engine/contree-engine.1"):gsub("\\%-", "-")
  local headings, options, current = {}, {}
  for line in page:match("\n%.SH COMMANDS\n(.-)\n%.SH "):gmatch("[^\n]+") do
    local heading, option = line:match("^%.SS (.+)"), line:match("^%.BI? .-%-%-([%l-]+)")
    if heading then
      current = {}
      headings[#headings + 1], options[heading:match("^%l+")] = heading, current
    elseif option then
      current[#current + 1] = option
    end
  end
  return headings, options
end

-- The same of the program: the usage without its options, and the options.
local function read_help()
  local headings, options = {}, {}
  for name in disk.capture("contree-engine --help"):gmatch("\n  (%l+) ") do
    local help, own = disk.capture("contree-engine help " .. name), {}
    local usage = help:match("^usage: contree%-engine ([^\n]+)")
    headings[#headings + 1] = usage:gsub(" %[OPTIONS%]", "")
    for line in help:gmatch("[^\n]+") do own[#own + 1] = line:match("^  %-?%l?,? ?%-%-([%l-]+)") end
    options[name] = own
  end
  return headings, options
end

describe("the manual page of contree-engine", function()
  local page_headings, page_options = read_page()
  local help_headings, help_options = read_help()

  it("has every command with its operand, in the order of the program", function()
    assert.is_true(#help_headings > 5)
    assert.are.same(help_headings, page_headings)
  end)

  it("has the options of each command, in the order of the program", function()
    assert.is_true(#help_options.serve > 10)
    assert.are.same(help_options, page_options)
  end)
end)

describe("the manual page of contree", function()
  it("is what the program's table says", function()
    assert.is_true(disk.read("docs/use/contree.1") == disk.capture("scripts/manual"),
      "scripts/manual --write writes it again")
  end)
end)
