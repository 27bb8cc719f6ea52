-- Robots race for coins. Each is a script in robots/ that somebody else may have
-- written: it reads "its x, its y, the coin's x, the coin's y" and prints where
-- to go. It runs in a sandbox, so the worst it can do is lose its turn.
local contree = require("contree")

local SIZE, GOAL = 16, 5                    -- fields a side, coins to win
local TURN = love.graphics and 0.25 or 0.02 -- seconds; faster without a window
local STEPS = { left = { -1, 0 }, right = { 1, 0 }, up = { 0, -1 }, down = { 0, 1 } }

local image, coin
local robots, clock = {}, 0

local function place() return { x = love.math.random(SIZE), y = love.math.random(SIZE) } end

function love.load()
  io.stdout:setvbuf("line")
  image = contree.new().images:use("busybox:latest")
  coin = place()
  for _, name in ipairs(love.filesystem.getDirectoryItems("robots")) do
    local robot = place()
    robot.name, robot.coins, robot.says = name:gsub("%.sh$", ""), 0, ""
    robot.script = love.filesystem.read("robots/" .. name)
    robots[#robots + 1] = robot
  end
end

-- Asks a robot for its move. The answer comes as an event, frames later. (Events
-- copy tables: it carries the robot's number.)
local function ask(number, robot)
  robot.thinking = true
  contree.spawn(function()
    local ok, result = pcall(image.run, image, {
      shell = robot.script, timeout = 1, truncate_output_at = 100,
      stdin = ("%d %d %d %d\n"):format(robot.x, robot.y, coin.x, coin.y),
    })
    love.event.push("answered", number, ok and result.stdout:match("%a+") or "",
      not ok and tostring(result) or result.timed_out and "too slow" or result.stderr)
  end)
end

local function finish(robot)
  print(robot.name .. " has won")
  love.event.quit()
end

function love.handlers.answered(number, word, says)
  local robot = robots[number]
  robot.thinking, robot.says = false, says
  local step = STEPS[word]
  if not step then return end
  robot.x = math.max(1, math.min(SIZE, robot.x + step[1]))
  robot.y = math.max(1, math.min(SIZE, robot.y + step[2]))
  if robot.x == coin.x and robot.y == coin.y then
    robot.coins = robot.coins + 1
    print(("%s has %d"):format(robot.name, robot.coins))
    if robot.coins == GOAL then return finish(robot) end
    coin = place()
  end
end

-- contree.step() is all that the sandboxes need of a frame. It waits for them
-- only when it is given seconds to do so.
function love.update(dt)
  contree.step()
  clock = clock + dt
  if clock < TURN then return end
  clock = 0
  for number, robot in ipairs(robots) do
    if not robot.thinking then ask(number, robot) end
  end
end

function love.draw()
  local field = love.graphics.getWidth() / SIZE
  local function centre(at) return (at.x - 0.5) * field, (at.y - 0.5) * field end
  love.graphics.setColor(1, 0.8, 0.2)
  local x, y = centre(coin)
  love.graphics.circle("fill", x, y, field / 4)
  for _, robot in ipairs(robots) do
    x, y = centre(robot)
    love.graphics.setColor(0.4, 0.7, 1)
    love.graphics.rectangle("fill", x - field / 3, y - field / 3, field / 1.5, field / 1.5)
    love.graphics.setColor(1, 1, 1)
    love.graphics.print(("%s %d %s"):format(robot.name, robot.coins, robot.says), x, y + field / 3)
  end
end
