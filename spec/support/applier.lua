-- A program that works on a folder, so that it can be killed:
-- lua applier.lua begin|apply|undo|look SOCKET STORE FOLDER
local what, socket, store, folder = arg[1], arg[2], arg[3], arg[4]
local contree = require("contree")

local client = contree.new{ url = "unix:" .. socket }
local ws = client.images:use("busybox:latest"):workspace{ path = folder, store = store, id = "w",
  prefer = "sandbox" }
io.write("ready\n")
io.flush()

local ways = {
  begin = function()
    ws:run{ shell = "echo x >> a; echo x >> b; rm gone; echo 4 > new", check = true }
  end,
  apply = function() ws:apply() end,
  undo = function()
    local ok, err = pcall(ws.undo, ws)
    assert(ok or contree.is_error(err, "not_found"), err)
  end,
  look = function() io.write((ws:run("ls -A").stdout:gsub("\n", " "))) end,
}
ways[what]()
io.write("over\n")
