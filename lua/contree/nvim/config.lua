--- What the plugin is told by setup() or vim.g.contree, and the client that follows from it.

local contree = require("contree")
local options = require("contree.base.options")

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

local SPEC = {
  client = options.any, -- contree.new() checks it
  image = options.text, timeout = options.seconds, height = options.integer(1, 10000),
  interpreters = options.map(options.text, options.texts),
}

local given, client

--- The settings.
function config.get()
  if not given then config.set(vim.g.contree or {}) end
  return given
end

--- Changes settings. Sessions go on; a new client is made when it is next needed.
---@param settings table
function config.set(settings)
  options.check("the settings (:help contree-setup)", SPEC, settings)
  given = vim.tbl_deep_extend("force", given or DEFAULTS, settings)
  client = nil
end

--- The client.
---@return contree.Client
function config.client()
  client = client or contree.new(config.get().client)
  return client
end

return config
