--- A headless Neovim with an engine of its own, and with the plugin of this tree.
local host = require("spec.support.host")

local neovim = {}
neovim.__index = neovim

--- Starts an engine, for Neovims.
---@return table place  { place = that of host.place() }, and the methods below
function neovim.place() return setmetatable({ place = host.place() }, neovim) end

function neovim:stop() self.place:stop() end

--- Has a new Neovim run a script.
---@param options? string of its command line
---@return string output, integer code
function neovim:luafile(script, options)
  return self.place:run("luajit", ("nvim --headless -u NONE -i NONE -n %s -c 'luafile %s' -c 'qa!'")
    :format(options or "", script))
end

--- Runs Lua code, which finds `image`, in a new Neovim. Returns what it writes by io.write, and
--- all complaints of Neovim.
function neovim:run(code, options)
  local script = self.place:write("script.lua", host.PREAMBLE .. code)
  local runner = self.place:write("runner.lua", ([[
    local ok, err = xpcall(dofile, function(e) return debug.traceback(tostring(e)) end, %q)
    if not ok then
      io.stderr:write(err, "\n")
      vim.cmd("cquit 1")
    end
  ]]):format(script))
  return self:luafile(runner, options)
end

--- The options with which a Neovim has the plugin, from a copy without a module: it finds the
--- tree's.
function neovim:with_plugin()
  if self.options then return self.options end
  local plugin = self.place.directory .. "/plugin"
  os.execute(([[mkdir %s && cp -r plugin doc lua %s
    rm -rf %s/lua/contree/core.so %s/lua/contree/bin]]):format(plugin, plugin, plugin, plugin))
  self.options = ("--cmd 'set rtp^=%s' --cmd 'runtime! plugin/contree.lua' "
    .. "--cmd 'helptags %s/doc'"):format(plugin, plugin)
  return self.options
end

--- What scripts about the plugin begin with.
neovim.PLUGIN = [[
  local function set(...) vim.api.nvim_buf_set_lines(0, 0, -1, false, { ... }) end
  -- The text of a buffer, once it matches.
  local function buffer_text(name, pattern)
    local text = "no buffer " .. name
    assert(vim.wait(20000, function()
      local buffer = vim.fn.bufnr(name)
      if buffer == -1 then return false end
      text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "|")
      return text:find(pattern)
    end), text)
    return text
  end
  local function output()
    return (buffer_text("contree://output", "|%[[^|]*%]$"):gsub("%d+%.%d+ s", "T"))
  end
  local seen = {}
  local function told()
    vim.notify = function(text) seen[#seen + 1] = text end
    return seen
  end
  local function wait_told(count)
    assert(vim.wait(20000, function() return #seen >= count end), vim.inspect(seen))
  end
  vim.bo.filetype = "sh"
]]

return neovim
