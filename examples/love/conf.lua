-- love examples/love --headless plays without a window, and says who has won.
function love.conf(t)
  t.identity = "contree-robots"
  t.window.title = "contree: robots"
  t.window.width, t.window.height = 640, 640
  for _, argument in ipairs(arg) do
    if argument == "--headless" then
      t.window = false
      t.modules.window, t.modules.graphics, t.modules.audio = false, false, false
    end
  end
end
