--- :checkhealth contree

local health = vim.health or require("health")
-- The names are older than Neovim 0.10.
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local fail = health.error or health.report_error

local function advice(err)
  return type(err) == "table" and err.hint and { err.hint } or nil
end

local function message(err)
  return type(err) == "table" and err.message or tostring(err)
end

local MODULE = { "make deps && make nvim, in the plugin's directory, builds it for Neovim's Lua",
  "make install puts it where Neovim looks, too: /usr/local/share/lua/5.1" }

local health_check = {}

function health_check.check()
  start("contree")
  local loaded, contree = pcall(require, "contree")
  if not loaded then
    return fail("the module is not found: " .. tostring(contree):match("[^\n]*"),
      MODULE)
  end
  ok(("contree %s, driven by %s"):format(contree.version, contree.host()))

  local made, client = pcall(require("contree.nvim.config").client)
  if not made then return fail(message(client), advice(client)) end
  local answered, err = pcall(function() return client.images:list{ limit = 1 } end)
  if not answered then return fail(message(err), advice(err)) end
  ok(tostring(client) .. " answers")
end

return health_check
