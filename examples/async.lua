-- Concurrency: the same calls block in plain code and yield in tasks.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")

-- gather runs functions side by side; results come in order.
local results = contree.gather({
  function() return image:run("sleep 0.3; echo slow").stdout end,
  function() return image:run("echo quick").stdout end,
}, { concurrency = 2 })
io.write(results[1], results[2])

contree.async(function()
  -- A task runs while others wait.
  local task = contree.spawn(function() return image:run("sleep 0.2; echo from a task").stdout end)
  print("meanwhile: " .. task.status)
  io.write(task:wait())

  -- Cancelling a task kills the command it waits for.
  local stuck = contree.spawn(function() return image:run("sleep 60") end)
  contree.sleep(0.1)
  stuck:cancel()
  local ok, err = pcall(stuck.wait, stuck)
  print("cancelled: " .. tostring(not ok) .. " " .. err.kind)

  -- The first error cancels the rest.
  local failed, why = pcall(contree.gather,
    function() return image:run("sleep 60") end,
    function() return image:run{ shell = "exit 1", check = true } end)
  print("gather:    " .. tostring(failed) .. " " .. why.kind)

  -- A worker pool: eight commands, three at a time.
  local jobs = {}
  for i = 1, 8 do jobs[i] = function() return tonumber(image:run("echo " .. i * i).stdout) end end
  print("pool:      " .. table.concat(contree.gather(jobs, { concurrency = 3 }), " "))
end)
