--- A strategy for neotest, `strategy = "contree"`: tests run in a sandbox in which the folder is
--- where it is on this machine, so that the paths in results are true here. What tests change is
--- dropped; reports that an adapter has asked for come back.

local api = vim.api
local contree = require("contree")
local folder = require("contree.nvim.folder")
local run = require("contree.nvim.run")
local terminal = require("contree.nvim.terminal")

local STOPPED = 143 -- as of a process that SIGTERM has ended

-- The folder in the sandbox -----------------------------------------------------

local twins = {}

-- A workspace at the folder's own path, that begins where the folder's session is. It is made
-- again when the session has moved.
local function twin_of(workspace)
  local from = workspace.image.uuid
  local twin = twins[workspace.path]
  if twin and twin.from == from then
    twin.workspace:sync()
  else
    twin = { from = from, workspace = workspace.image:workspace{
      path = workspace.path, at = workspace.path } }
    twins[workspace.path] = twin
  end
  return twin.workspace
end

-- Files that are not in the folder ---------------------------------------------

local function is_below(path, directory)
  return directory ~= "" and path:sub(1, #directory + 1) == directory .. "/"
end

-- The absolute paths in a command: words, and values of options.
local function paths_in(words)
  local paths = {}
  for _, word in ipairs(words) do
    paths[#paths + 1] = word:match("^/.+") or word:match("^%-[^=]*=(/.+)")
  end
  return paths
end

-- Scripts of adapters are brought along: the directory of the plugin that they are of.
local function plugin_of(path, root)
  if is_below(path, root) or is_below(path, vim.env.VIMRUNTIME or "") then return nil end
  for _, directory in ipairs(api.nvim_list_runtime_paths()) do
    if is_below(path, directory) then return directory end
  end
end

-- What the command finds beside the folder, and the paths of the reports that it may write: those
-- in Neovim's directory of temporary files.
local function around(words, root, temporary)
  local files, reports = {}, {}
  for _, path in ipairs(paths_in(words)) do
    local plugin = plugin_of(path, root)
    if plugin then
      files[plugin] = { source = plugin, ignore = { ".git" } }
    elseif is_below(path, temporary) then
      reports[#reports + 1] = path
      files[path] = vim.fn.filereadable(path) == 1 and path or nil
    end
  end
  -- The directory has to be there.
  if #reports > 0 then files[temporary .. "/.contree"] = { data = "" } end
  return files, reports
end

local function bring_back(result, reports)
  for _, path in ipairs(reports) do
    if result:exists(path) then result:download(path, path) end
  end
end

-- Running -----------------------------------------------------------------------

local function starter(spec, words, temporary)
  local options = spec.strategy or {}
  return function(tty, attend)
    local workspace = folder.in_turn(twin_of, { path = spec.cwd, image = options.image })
    local files, reports = around(words, workspace.path, temporary)
    local result = attend(workspace.image:popen(words, { tty = tty, env = spec.env, files = files,
      cwd = spec.cwd or workspace.path, networking = options.networking,
      timeout = options.timeout, disposable = #reports == 0 }))
    bring_back(result, reports)
    return result
  end
end

local function show(buffer)
  vim.cmd("botright split")
  api.nvim_win_set_buf(0, buffer)
end

-- The code that neotest is told.
local function code_of(result, err)
  if not result then return contree.is_error(err, "cancelled") and STOPPED or 1 end
  return result.exit_code or 128 + (result.signal or 0)
end

--- What neotest calls, in one of its own tasks.
---@param spec table { command: string[], env: table?, cwd: string?, strategy: { image: string?,
---  networking: boolean?, timeout: number? }? }
---@return table process
return function(spec)
  local nio = require("nio")
  local path = nio.fn.tempname()
  nio.scheduler()
  local buffer = api.nvim_create_buf(false, true)
  local finished, chunks, readers = nio.control.future(), {}, {}
  local file = assert(io.open(path, "wb"))
  local code
  -- Out of our task: nio resumes those who read at once.
  local tell = vim.schedule_wrap(function(chunk)
    chunks[#chunks + 1] = chunk
    for _, queue in ipairs(readers) do queue.put_nowait(chunk) end
  end)
  local words = type(spec.command) == "string" and { "/bin/sh", "-c", spec.command }
    or spec.command
  local running = terminal.open(buffer, starter(spec, words, vim.fn.fnamemodify(path, ":h")), {
    output = function(bytes)
      file:write(bytes)
      file:flush()
      tell(bytes)
    end,
    ended = function(result, err)
      local last = run.ending(result, err)
      code = code_of(result, err)
      if not result then file:write(last, "\n") end
      file:close()
      tell(false)
      vim.schedule(finished.set)
      return last
    end,
  })
  return {
    output = function() return path end,
    is_complete = function() return code ~= nil end,
    result = function()
      finished.wait()
      return code
    end,
    stop = function() running:cancel() end,
    attach = function()
      nio.scheduler()
      show(buffer)
    end,
    output_stream = function()
      local queue = nio.control.queue()
      for _, chunk in ipairs(chunks) do queue.put_nowait(chunk) end
      readers[#readers + 1] = queue
      return function() return queue.get() or nil end
    end,
  }
end
