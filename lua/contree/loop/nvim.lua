--- The host for Neovim: its event loop watches ours, tasks are resumed through
--- vim.schedule, so that they may call the whole API, and plain code waits in
--- vim.wait, so that the editor goes on.

local errors = require("contree.base.errors")
local plain = require("contree.loop.plain")

-- Seconds that tasks run before the editor has its turn.
local BUDGET = 0.004
-- Milliseconds of one vim.wait: it checks its condition after every event, but Ctrl-C only
-- at its end.
local SLICE = 100
local INTERRUPTED = -2
-- Seconds by which the end of Neovim may be delayed.
local LEAVING = 2

return function(loop)
  local vim = rawget(_G, "vim")
  local uv = vim.uv or vim.loop
  local nvim = plain(loop)
  nvim.script = false
  local breath = uv.new_timer()
  local watcher, scheduled

  local function run()
    scheduled = false
    if nvim.run(BUDGET) and not scheduled then
      scheduled = true
      -- vim.schedule would run it before the editor reads a key.
      breath:start(0, 0, vim.schedule_wrap(run))
    end
  end

  function nvim.ready()
    if scheduled then return end
    scheduled = true
    vim.schedule(run)
  end

  function nvim.started()
    local made, problem = uv.new_poll(loop.fd())
    watcher = made or loop.refused("libuv cannot watch the loop: " .. problem)
    watcher:start("r", function() loop.turn(0) end)
  end

  function nvim.idle()
    if watcher and not watcher:is_closing() then watcher:close() end
  end

  function nvim.pump(w)
    if vim.in_fast_event() then
      errors.misuse("a callback of the event loop cannot wait",
        "make this call in contree.spawn(function() ... end), or through vim.schedule")
    end
    while not w.fired do
      local _, reason = vim.wait(SLICE, function() return w.fired end, SLICE)
      if reason == INTERRUPTED then error("contree: interrupted!", 0) end
    end
  end

  -- A plugin waits for the tasks that it has started, not for those of another plugin.
  function nvim.concurrent() return true end

  function nvim.report(text)
    vim.schedule(function() vim.notify(text, vim.log.levels.ERROR) end)
  end

  -- Tasks and what they have started end with the editor. Neovim runs scheduled functions
  -- until it exits, so a task that began after this would not be told to stop.
  local function leave()
    pcall(require("contree.loop.leave").shutdown, LEAVING)
    loop.close()
    nvim.drop()
  end

  local function watch_leaving()
    for _, event in ipairs{ "VimLeavePre", "VimLeave" } do
      vim.api.nvim_create_autocmd(event, { callback = leave })
    end
  end

  -- Autocommands cannot be made in a callback of the event loop.
  if vim.in_fast_event() then vim.schedule(watch_leaving) else watch_leaving() end

  return nvim
end
