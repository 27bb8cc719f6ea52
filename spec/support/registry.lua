--- Registries on loopback to import from: Debian's docker-registry, and a misbehaving one of
-- our own (registry.py). Images are made by hand with the shell functions of layout.sh.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

local registry = {}
registry.__index = registry

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]+$")
local root = wire.run("cd " .. here .. "/../.. && pwd")

local function start(command, directory, port_pattern)
  local self = setmetatable({ directory = directory, log = directory .. "/log" }, registry)
  self.pid = tonumber(wire.run(("%s >%s 2>&1 & echo $!"):format(command, self.log)))
  self.port = wire.eventually("a registry: " .. self.log, function()
    return disk.read(self.log):match(port_pattern)
  end)
  self.host = "127.0.0.1:" .. self.port
  return self
end

local function directory_new()
  return wire.run("mktemp -d -t contree-spec-XXXXXX")
end

--- Starts Debian's. `login` is "USER:PASSWORD", or nil for everybody.
function registry.start(login)
  local directory = directory_new()
  local config = "version: 0.1\nlog: {level: info}\nhttp: {addr: 127.0.0.1:0}\n"
    .. ("storage: {filesystem: {rootdirectory: %s/store}}\n"):format(directory)
  if login then
    config = config .. ("auth: {htpasswd: {realm: test, path: %s/users}}\n"):format(directory)
    local user, password = login:match("^(.-):(.*)$")
    wire.run(("htpasswd -Bbn %s %s > %s/users"):format(user, password, directory))
  end
  disk.write(directory .. "/config.yml", config)
  local self = start("docker-registry serve " .. directory .. "/config.yml", directory,
    "listening on 127%.0%.0%.1:(%d+)")
  self.login = login
  return self
end

--- Starts ours, which serves the image that `commands` make in its directory.
function registry.fake(commands, login)
  local directory = directory_new()
  registry.make(directory, commands)
  return start(("python3 %s/spec/support/registry.py %s/oci %s"):format(root, directory,
    login or ""), directory, "^(%d+)\n")
end

--- Makes a layout in DIRECTORY/oci.
function registry.make(directory, commands)
  disk.write(directory .. "/make",
    (". %s/spec/support/layout.sh\n%s\n"):format(root, commands))
  local result = wire.run(("cd %s && sh -e make 2>&1 || echo FAILED"):format(directory))
  assert(not result:match("FAILED$"), result)
end

--- Makes an image and uploads it; returns the url to import it from.
function registry:push(name, commands)
  registry.make(self.directory, commands)
  local login = self.login and "--dest-creds " .. self.login or "--dest-no-creds"
  local url = ("docker://%s/%s"):format(self.host, name)
  local result = wire.run(("skopeo --insecure-policy copy -q --dest-tls-verify=false %s "
    .. "oci:%s/oci %s 2>&1 || echo FAILED"):format(login, self.directory, url))
  assert(not result:match("FAILED$"), result)
  return url
end

function registry:url(name) return ("docker://%s/%s"):format(self.host, name) end

--- The number of requests to our registry with a path that matches.
function registry:asked(pattern)
  local count = 0
  for line in disk.read(self.log):gmatch("[^\n]+") do
    if line:match(pattern) then count = count + 1 end
  end
  return count
end

function registry:kill()
  wire.run(("kill -9 %d 2>/dev/null"):format(self.pid))
end

function registry:stop()
  self:kill()
  wire.run("rm -rf " .. self.directory)
end

return registry
