-- Games in LÖVE, without a window.
local love = {}

local CONF = [[
  function love.conf(t)
    t.window = false
    for _, name in ipairs{ "window", "graphics", "audio", "joystick" } do
      t.modules[name] = false
    end
  end
]]

--- Plays the game in a directory.
---@param place table from host.place
---@return string output
---@return integer code
function love.play(place, directory, arguments)
  return place:run("luajit", ("exec env SDL_VIDEODRIVER=dummy SDL_AUDIODRIVER=dummy love %s %s")
    :format(directory, arguments or ""))
end

--- Plays a game that is one main.lua.
function love.play_main(place, main)
  place:write("conf.lua", CONF)
  place:write("main.lua", main)
  return love.play(place, place.directory)
end

return love
