--- The variables of ARG: from the call, from before the first FROM, and predefined ones.

local errors = require("contree.base.errors")
local expand = require("contree.dockerfile.expand")
local parser = require("contree.dockerfile.parser")
local problem = require("contree.dockerfile.problem")

local arguments = {}

--- Variables that args= may hold without an ARG in the Dockerfile.
arguments.proxies = {}
for _, name in ipairs{ "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY" } do
  arguments.proxies[name], arguments.proxies[name:lower()] = true, true
end

local ARCHITECTURES = { x86_64 = "amd64", aarch64 = "arm64", x64 = "amd64", arm64 = "arm64" }

-- A local engine has the architecture of this machine.
local function architecture(client)
  local file = client.extended and io.open("/proc/sys/kernel/arch")
  local name = file and file:read("l") or client.extended and jit and jit.arch
  if file then file:close() end
  return ARCHITECTURES[name] or "amd64"
end

--- The variables for the platform of an image.
---@param client contree.Client
---@return table<string, string>
function arguments.platform(client)
  local arch, found = architecture(client), {}
  for _, side in ipairs{ "TARGET", "BUILD" } do
    found[side .. "PLATFORM"], found[side .. "OS"] = "linux/" .. arch, "linux"
    found[side .. "ARCH"], found[side .. "VARIANT"] = arch, ""
  end
  return found
end

--- The names and defaults of an ARG instruction.
---@param step contree.build.Instruction
---@param lookup contree.build.Lookup
---@return { name: string, default: string? }[] the defaults as they are written
function arguments.of(step, lookup)
  local list = {}
  for i, word in ipairs(parser.words(step.text, lookup.escape)) do
    local name, default = word:match("^([^=]*)=(.*)$")
    name = expand.text(name or word, lookup)
    if not name:find("^[%a_][%w_.-]*$") then
      problem.raise(step, ("ARG: %q is not a valid name"):format(name))
    end
    list[i] = { name = name, default = default }
  end
  return list
end

--- Variables before the first FROM, and in FROM itself.
---@param build contree.build.Build
---@param step contree.build.Instruction
---@return contree.build.Lookup
function arguments.lookup(build, step)
  return {
    escape = build.escape,
    value = function(name) return build.globals[name] or build.platform[name] end,
    fail = function(message, hint) problem.raise(step, message, hint) end,
  }
end

--- Gives the ARGs before the first FROM their values.
---@param build contree.build.Build
---@param steps contree.build.Instruction[]
function arguments.read(build, steps)
  for _, step in ipairs(steps) do
    local lookup = arguments.lookup(build, step)
    for _, each in ipairs(arguments.of(step, lookup)) do
      local value = build.args[each.name]
      if value == nil and each.default then value = expand.text(each.default, lookup) end
      build.globals[each.name] = value
    end
  end
end

--- Refuse arguments of the call that no ARG takes.
---@param build contree.build.Build
---@param steps contree.build.Instruction[] those before the first FROM
function arguments.check(build, steps)
  local known = {}
  local function learn(list)
    for _, step in ipairs(list) do
      local found = step.name == "ARG" and arguments.of(step, arguments.lookup(build, step)) or {}
      for _, each in ipairs(found) do known[each.name] = true end
    end
  end
  learn(steps)
  for _, stage in ipairs(build.stages) do learn(stage.steps) end
  for name in pairs(build.args) do
    if not known[name] and not arguments.proxies[name] and not build.platform[name] then
      errors.misuse(("images:build: %s has no ARG %s"):format(build.file, name),
        problem.nearest(name, known))
    end
  end
end

return arguments
