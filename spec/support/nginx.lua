-- Starts an nginx for specs, in its own directory, listening on a socket there.
local core = require("contree.core")
local disk = require("spec.support.disk")
local host = require("spec.support.host")

local nginx = {}

local CONF = [[
daemon off;
user root;
worker_processes WORKERS;
pid nginx.pid;
error_log error.log notice;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
thread_pool spec threads=1;
env CONTREE_URL;
env CONTREE_ENGINE;
env PATH;
MAIN
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path tmp_body;
  proxy_temp_path tmp_proxy;
  fastcgi_temp_path tmp_fastcgi;
  uwsgi_temp_path tmp_uwsgi;
  scgi_temp_path tmp_scgi;
  LUAPATH
  %s
}
]]

-- The limit for every wait, in seconds.
local TIME_LIMIT = 60

local reactor = core.loop()

--- Waits until ready() is true. Requests make progress meanwhile.
local function wait_until(what, ready)
  local limit = core.now() + TIME_LIMIT
  while not ready() do
    assert(core.now() < limit, "waited too long for " .. what)
    reactor:wait(20)
    while reactor:next_ready() do end -- unread, they would end each wait at once
  end
end

nginx.wait_until = wait_until

local Request = {}
Request.__index = Request

function Request:done() return self.transfer:done() end

--- Waits for the answer; returns status, body and headers.
function Request:wait()
  wait_until(self.path, function() return self:done() end)
  local result = self.transfer:result()
  assert(not result.error, result.error and result.error.message)
  return result.status, result.body, self.transfer:headers()
end

--- Hangs up.
function Request:cancel() self.transfer:cancel() end

local Server = {}
Server.__index = Server

--- Sends a request; a body makes it a POST.
function Server:request(path, body, headers)
  local transfer = reactor:add{
    method = body and "POST" or "GET", url = "http://nginx" .. path, unix_socket = self.socket,
    body = body, headers = headers,
  }
  return setmetatable({ path = path, transfer = transfer }, Request)
end

--- Sends a request and waits for its answer: status, body, headers.
function Server:get(path, body) return self:request(path, body):wait() end

function Server:log() return disk.peek(self.directory .. "/error.log") or "" end

--- Waits until the log has a line that matches; returns the match.
function Server:logged(pattern)
  local found
  wait_until(pattern, function()
    found = self:log():match(pattern)
    return found
  end)
  return found
end

function Server:signal(name)
  disk.capture(("kill -%s %s"):format(name, disk.peek(self.directory .. "/nginx.pid")))
end

--- Waits until nginx has ended; returns its exit code.
function Server:ended()
  local code
  wait_until("the end of nginx", function()
    code = (disk.peek(self.directory .. "/code") or ""):match("^(%d+)\n")
    return code
  end)
  return tonumber(code)
end

--- Ends it, if it is there still, and removes its directory.
function Server:stop()
  if not disk.peek(self.directory .. "/code") then
    self:signal("TERM")
    self:ended()
  end
  disk.remove(self.directory)
end

--- A server on a socket that is running already.
function nginx.at(socket) return setmetatable({ socket = socket }, Server) end

--- Makes a directory for a server. Lua files in it can be required.
function nginx.directory() return disk.directory() end

--- Runs nginx in a directory.
---@param command string the words after "nginx -p DIRECTORY "
function nginx.run(directory, command, env)
  host.run("luajit", ("{ nginx -p %s %s; echo $? > %s/code; } >%s/output 2>&1 &"):format(
    directory, command, directory, directory), env)
  local server = setmetatable({ directory = directory, socket = directory .. "/http.sock" }, Server)
  wait_until("nginx", function()
    return (disk.peek(directory .. "/nginx.pid") or "") ~= "" or disk.peek(directory .. "/code")
  end)
  assert(not disk.peek(directory .. "/code"), disk.peek(directory .. "/output"))
  return server
end

--- Starts nginx with this content of http { … }. SOCKET in it becomes the socket to listen on.
---@param given? table workers: how many; main: directives outside of http
function nginx.start(directory, http, env, given)
  http = http:gsub("SOCKET", "unix:" .. directory .. "/http.sock")
  local has_path = http:find("lua_package_path", 1, true)
  local made = { WORKERS = given and given.workers or 1, MAIN = given and given.main or "",
    LUAPATH = has_path and "" or 'lua_package_path "$prefix/?.lua;;";' }
  disk.write(directory .. "/nginx.conf", (CONF:format(http):gsub("%u+", made)))
  return nginx.run(directory, "-c nginx.conf", env)
end

return nginx
