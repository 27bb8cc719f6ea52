-- The README's picture shows what contree prints today (scripts/record).
local disk = require("spec.support.disk")

local SESSION, PICTURE = "docs/use/recording.session", "docs/use/recording.svg"

-- The text of the picture, a line for each of its lines.
local function shown()
  local lines = {}
  for line in disk.read(PICTURE):gmatch("<text [^>]*>(.-)</text>") do
    line = line:gsub("<[^>]*>", "")
    lines[#lines + 1] = line:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- Ids and ages are others each time.
local function steady(text)
  return (text:gsub("%x%x%x%x%x%x%x%x%-%x%x%x%x%-[%x-]+  %d+s", "ID"))
end

describe("the recording of the README", function()
  it("is what its commands print", function()
    assert.are.equal(steady(disk.capture("scripts/record " .. SESSION)), steady(shown()))
  end)
end)
