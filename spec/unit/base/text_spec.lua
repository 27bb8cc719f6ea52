-- Texts of others, as they may be shown.
local text = require("contree.base.text")

describe("a text of somebody else", function()
  it("has nothing that steers a terminal", function()
    for given, shown in pairs{
      ["\27[31mred\7\0\n\t\r\127"] = "?[31mred??????",
      ["\194\155 31m \194\128\194\159"] = "? 31m ??", -- C1 controls, as UTF-8
      ["a\155 31mb\255"] = "a? 31mb\255", -- and as one byte
      ["\195\155\226\130\172\240\159\152\128\194\160"] =
        "\195\155\226\130\172\240\159\152\128\194\160",
      ["\195\155\155\195\155\226\130"] = "\195\155?\195\155\226?",
    } do
      assert.are.equal(shown, text.plain(given))
    end
  end)

  it("is read in the order in which it is", function()
    -- "gnp.exe" shown as "exe.png", by an override and by an isolate
    assert.are.equal("x?gnp.exe?", text.plain("x\226\128\174gnp.exe\226\128\172"))
    assert.are.equal("x?gnp.exe?", text.plain("x\226\129\167gnp.exe\226\129\169"))
    assert.are.equal("a?b?c", text.plain("a\226\128\168b\226\128\169c"))
    assert.are.equal("\226\128\166\226\129\132", text.plain("\226\128\166\226\129\132"))
  end)

  it("can be made UTF-8", function()
    assert.are.equal("a?b\195\155?", text.utf8("a\255b\195\155\226"))
    assert.are.equal("\27x", text.utf8("\27x"))
  end)
end)
