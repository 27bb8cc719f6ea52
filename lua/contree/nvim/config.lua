--- What the plugin is told by setup() or vim.g.contree, and the client that follows from it.

local contree = require("contree")

local config = {}

local DEFAULTS = {
  client = nil,               -- what contree.new() takes
  image = "busybox:latest",   -- of new sessions and folders
  timeout = 60,               -- seconds that a run of a buffer may take
  height = 10,                -- of the window with output, in lines
  -- Commands that run a text from standard input, by file type.
  interpreters = {
    sh = { "/bin/sh", "-s" },
    lua = { "lua", "-" },
    python = { "python3", "-" },
    javascript = { "node", "-" },
  },
}

local given, client

--- The settings.
function config.get()
  if not given then config.set(vim.g.contree or {}) end
  return given
end

--- Changes settings. Sessions go on; a new client is made when it is next needed.
---@param options table
function config.set(options)
  for name in pairs(options) do
    if DEFAULTS[name] == nil and name ~= "client" then
      local known = vim.tbl_keys(DEFAULTS)
      table.insert(known, "client")
      table.sort(known)
      error(("contree: there is no setting %s (there are %s)"):format(name,
        table.concat(known, ", ")), 0)
    end
  end
  given = vim.tbl_deep_extend("force", given or DEFAULTS, options)
  client = nil
end

--- The client.
---@return contree.Client
function config.client()
  client = client or contree.new(config.get().client)
  return client
end

return config
