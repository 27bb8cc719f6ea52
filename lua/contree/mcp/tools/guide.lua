--- The tool that explains.

local errors = require("contree.base.errors")
local guide = require("contree.mcp.guide")
local json = require("contree.base.json")

local function get_guide(_, given)
  local content = guide.read(given.section)
  if not content then
    errors.raise("not_found", ("there is no section %s"):format(given.section),
      { hint = "there are " .. table.concat(guide.sections(), ", ") })
  end
  return { section = given.section, content = content,
    available_sections = json.array(guide.sections()) }
end

return {
  { name = "get_guide", title = "Read the guide", reads = true, call = get_guide,
    about = "Returns a section of the guide: " .. table.concat(guide.sections(), ", ") .. ".",
    takes = { { "section", "string", "one of: " .. table.concat(guide.sections(), ", "),
      required = true } } },
}
