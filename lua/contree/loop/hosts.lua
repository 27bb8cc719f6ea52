--- The hosts that come with contree, and how each is recognised.

local errors = require("contree.base.errors")

local hosts = {}

local function global(name) return rawget(_G, name) end

-- The first that matches is taken. A library counts when it is loaded: where its loop does
-- not run, its driver runs the loop or works as the plain host does.
local KNOWN = {
  { "nginx", function() return global("ngx") end },
  { "nvim", function() return global("vim") and global("vim").schedule end },
  { "love", function() return global("love") end },
  { "cqueues", function() return package.loaded.cqueues end },
  { "copas", function() return package.loaded.copas end },
  { "luv", function() return package.loaded.luv end },
  { "plain", function() return true end },
}

--- The name of the host that runs this code.
---@return string
function hosts.here()
  for _, host in ipairs(KNOWN) do
    if host[2]() then return host[1] end
  end
end

--- The driver of that name; any other function is a driver itself.
---@param driver string|fun(loop: table): table
function hosts.driver(driver)
  if type(driver) == "function" then return driver end
  local names = {}
  for i, host in ipairs(KNOWN) do
    if host[1] == driver then return require("contree.loop." .. driver) end
    names[i] = host[1]
  end
  errors.misuse("there is no host " .. tostring(driver),
    "a host is a driver of your own, or one of " .. table.concat(names, ", "))
end

return hosts
