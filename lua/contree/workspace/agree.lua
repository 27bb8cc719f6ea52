--- Whether two archives of the folder hold the same. What the mirror has and the session's image
--- lacks would look like what a run has done, and be written over what is in the folder.

local errors = require("contree.base.errors")
local loop = require("contree.loop")
local text = require("contree.base.text")

local agree = {}

local NAMED = 5 -- paths in a message

---@alias contree.workspace.Held table<string, string> what an archive holds at each path

local function held_of(each)
  return each.change == "removed" and "removed"
    or ("%s %o"):format(each.sha256 or each.type, each.mode)
end

--- What the last archive of a survey holds.
---@async
---@param survey userdata
---@return contree.workspace.Held
function agree.held(survey)
  local held = {}
  loop.pace()
  for _, each in ipairs(survey:delta()) do held[each.path] = held_of(each) end
  loop.pace()
  return held
end

local function differing(held, survey, skip)
  local paths = {}
  local function compare(path, now)
    if not skip[path] and (held[path] or "removed") ~= now then paths[#paths + 1] = path end
  end
  for _, each in ipairs(survey:skipped()) do compare(each.path, "removed") end
  for _, each in ipairs(survey:delta()) do compare(each.path, held_of(each)) end
  return paths
end

--- The paths at which the last archive of a survey differs from an earlier one; nil if there are
--- none. What is in `skip` is in one of them only.
---@async
---@param held contree.workspace.Held
---@param skip table<string, any>
---@return string[]?
function agree.differing(held, survey, skip)
  loop.pace()
  local paths = differing(held, survey, skip)
  loop.pace()
  return paths[1] and paths or nil
end

--- Raise that some paths of a folder differed each time.
---@param folder string
---@param paths string[]
function agree.refuse(folder, paths)
  errors.raise("file", ("workspace: what %s has at %s changes whenever it is read"):format(
    folder, text.some(paths, NAMED)), { hint = "wait until nothing writes there, or ignore it" })
end

return agree
