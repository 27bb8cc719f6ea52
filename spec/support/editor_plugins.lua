--- Stand-ins for plugins of Neovim: as much of their interfaces as ours use, written from their
--- documentation. Loaded inside Neovim.
local plugins = {}

-- nvim-nio ---------------------------------------------------------------------

-- A task may be suspended by wrapped functions only.
local WAIT = {}

local function nio_wrap(fn, count)
  return function(...)
    local arguments = { ... }
    return coroutine.yield(WAIT, function(resume)
      arguments[count] = resume
      fn(unpack(arguments, 1, count))
    end)
  end
end

local function nio_run(fn, done)
  local thread = coroutine.create(fn)
  local function step(...)
    local results = { coroutine.resume(thread, ...) }
    if coroutine.status(thread) == "dead" then
      if not results[1] then error(debug.traceback(thread, tostring(results[2])), 0) end
      if done then done(unpack(results)) end
    elseif results[2] ~= WAIT then
      error("Async internal error")
    else
      results[3](step)
    end
  end
  step()
end

local function nio_future()
  local is_set, value, waiting = false, nil, {}
  local wait = nio_wrap(function(resume)
    if is_set then resume() else waiting[#waiting + 1] = resume end
  end, 1)
  return {
    set = function(new)
      assert(not is_set, "Future already set")
      is_set, value = true, new
      for _, resume in ipairs(waiting) do resume() end
    end,
    wait = function()
      wait()
      return value
    end,
  }
end

local function nio_queue()
  local items, waiting = {}, {}
  local wait = nio_wrap(function(resume)
    if #items > 0 then resume() else waiting[#waiting + 1] = resume end
  end, 1)
  return {
    put_nowait = function(item)
      items[#items + 1] = { item }
      local resume = table.remove(waiting, 1)
      if resume then resume() end
    end,
    get = function()
      wait()
      return table.remove(items, 1)[1]
    end,
  }
end

plugins.nio = { run = nio_run, wrap = nio_wrap, scheduler = nio_wrap(vim.schedule, 1),
  control = { future = nio_future, queue = nio_queue }, fn = vim.fn, api = vim.api }

-- plenary.nvim -----------------------------------------------------------------

-- Its functions with callbacks have the same shape.
plugins.plenary_async = { wrap = nio_wrap, run = nio_run }

-- codecompanion.nvim -------------------------------------------------------------

local chat = { tools = { groups = {} } }
plugins.codecompanion_config = { interactions = { chat = chat } }

-- One call of a tool by a model. `stop()` is what the user's key does.
function plugins.codecompanion_call(name, arguments, old_callback)
  local entry = chat.tools[name]
  local tool = entry.callback()
  tool.args = arguments
  local told, job, over = {}, nil, false
  local meta = { tools = { chat = { add_tool_output = function(_, _, words)
    told[#told + 1] = words
  end } } }
  local function output(message)
    if over then return end
    over = true
    local act = message.status == "success" and tool.output.success or tool.output.error
    act(tool, { message.data }, meta)
  end
  if old_callback then
    assert(tool.cmds[1](meta.tools, arguments, nil, output) == nil)
  else
    assert(tool.cmds[1](meta.tools, arguments, { output_cb = output,
      register_job = function(given) job = given end }) == nil)
  end
  return { told = told, tool = tool, entry = entry, stop = function()
    over = true
    job:kill("sigterm")
    tool.output.cancelled(tool, meta)
  end }
end

-- avante.nvim --------------------------------------------------------------------

local helpers = { is_cancelled = false, asked = {} }
plugins.avante_helpers = helpers

function helpers.confirm(message, callback)
  helpers.asked[#helpers.asked + 1] = message
  callback(helpers.answer, helpers.reason)
end

-- One call of a tool by a model. `told` gets what the model is told.
function plugins.avante_call(tool, input)
  local call = { told = {} }
  local function complete(result, err)
    if helpers.is_cancelled then
      helpers.is_cancelled = false
      result, err = nil, "__CANCELLED__"
    end
    if call.timer then call.timer:stop() end
    call.told[#call.told + 1] = result or "error: " .. err
  end
  call.timer = vim.loop.new_timer()
  call.timer:start(100, 100, vim.schedule_wrap(function()
    if helpers.is_cancelled then complete() end
  end))
  local result, err = tool.func(input, { session_ctx = {}, on_log = function() end,
    on_complete = complete, set_store = function() end, streaming = false, tool_use_id = "1" })
  assert(result == nil and err == nil)
  return call
end

-- mcphub.nvim ----------------------------------------------------------------------

local servers = {}
plugins.mcphub = { add_tool = function(server, tool)
  servers[server] = servers[server] or {}
  servers[server][tool.name] = tool
end }

function plugins.mcphub_call(server, name, params)
  local call, words = { told = {} }, nil
  local function tell(text)
    if #call.told == 0 then call.told[1] = text end
  end
  local answer = {}
  function answer:text(text)
    words = text
    return self
  end
  function answer.send() tell(words) end
  function answer.error(_, text) tell("error: " .. text) end
  assert(servers[server][name].handler({ params = params, tool = name }, answer) == nil)
  return call
end

-- overseer.nvim -----------------------------------------------------------------------

-- A task with a strategy by its name, or a table with its name and options.
function plugins.overseer_task(given)
  local choice = given.strategy
  local name = type(choice) == "table" and choice[1] or choice
  local task = { cmd = given.cmd, cwd = given.cwd, env = given.env, lines = {}, bytes = {} }
  task.strategy = require("overseer.strategy." .. name).new(type(choice) == "table" and choice)
  function task:dispatch(event, data)
    assert(type(data) == "table")
    if event == "on_output" then
      self.bytes[#self.bytes + 1] = table.concat(data, "\n")
    else
      vim.list_extend(self.lines, data)
    end
  end
  function task:on_exit(code) self.code = code end
  function task:start() self.strategy:start(self) end
  task:start()
  return task
end

-- neotest -----------------------------------------------------------------------------

-- Runs a spec of an adapter; calls done(code, path of the output).
function plugins.neotest_run(name, spec, started, done)
  plugins.nio.run(function()
    spec.strategy = spec.strategy or {}
    local process = require("neotest.client.strategies." .. name)(spec)
    started(process)
    local code = process.result()
    done(code, process.output(), process)
  end)
end

-- Makes require() find them.
for name, module in pairs{ nio = "nio", ["plenary.async"] = "plenary_async",
    ["codecompanion.config"] = "codecompanion_config",
    ["avante.llm_tools.helpers"] = "avante_helpers", mcphub = "mcphub" } do
  package.preload[name] = function() return plugins[module] end
end

return plugins
