--- Secrets that a run may use and never sees (docs/use/network.md): the option, and its form in
--- a request.

local errors = require("contree.base.errors")
local json = require("contree.base.json")
local networking = require("contree.wire.networking")
local options = require("contree.base.options")

local secrets = {}

---@class contree.Secret
---@field value? string         16 to 8,192 bytes without control characters; no default: this or
---  `sign`
---@field sign? fun(request: contree.SigningRequest): contree.Signature?, any in place of a value:
---  called with each request to the hosts, returns the headers that sign it; no default
---@field digest? boolean        with sign: the request has the SHA-256 of its body, of 256 KiB at
---  most; default false
---@field hosts (string|contree.Rule)[] who gets it: rules with names; without a port, 443
---@field header? string         the only header of a request that it may stand in; default any
---@field places? string[]       where in a request it may stand: "header", "query", "body";
---  default { "header" }

local MIN, MAX = 16, 8192

-- Never with the value: it would be told to whoever reads the error.
local function is_value(value)
  if type(value) ~= "string" then return ("a string, got a %s"):format(type(value)) end
  if #value < MIN or #value > MAX then
    return ("a string of %d to %d bytes, and has %d"):format(MIN, MAX, #value), true
  end
  if value:find("%c") then return "a string without control characters", true end
end

local PLACES = { header = true, query = true, body = true }

local function is_places(value)
  local wrong = options.texts(value)
  if wrong then return wrong end
  for _, each in ipairs(value) do
    if not PLACES[each] then
      local near = options.nearest(each, PLACES)
      return ('a list of "header", "query" and "body"%s'):format(
        near and (', did you mean "%s"?'):format(near) or "")
    end
  end
  if #value == 0 then return "a list of one place at least" end
end

local secret = options.nested{ value = is_value, hosts = networking.rules, header = options.name,
  places = is_places, sign = options.callable, digest = options.boolean }

-- A function says itself what is sent, and where.
local function is_use(value)
  if not value.sign then
    if value.value == nil then return 'a table with value = "…", or with sign = function … end' end
    if value.digest ~= nil then return "a table with sign when it has digest" end
    return nil
  end
  for _, name in ipairs{ "value", "header", "places" } do
    if value[name] ~= nil then return ("a table with either sign or %s"):format(name) end
  end
end

local function is_secret(value)
  local wrong, is_data = secret(value)
  if wrong then return wrong, is_data end
  wrong = is_use(value)
  if wrong then return wrong end
  if value.hosts == nil or #value.hosts == 0 then return "a table with hosts = { … }" end
end

local function is_variable(name)
  if type(name) ~= "string" or not name:find("^[%a_][%w_]*$") then
    return "names of variables: letters, digits and _"
  end
end

--- The check of the option.
secrets.check = options.map(is_variable, is_secret)

--- The member `secrets` of a request.
---@param given? table<string, contree.Secret> as checked
---@return table? # empty: none, in place of the client's
function secrets.member(given)
  if not given then return nil end
  local member = {}
  for name, each in pairs(given) do
    member[name] = { value = each.value, hosts = networking.wire_rules(each.hosts),
      header = each.header, sign = each.sign and true, digest = each.digest,
      ["in"] = each.places and json.array{ (table.unpack or unpack)(each.places) } }
  end
  return member
end

--- The functions that sign, by the names of their secrets.
---@param given? table<string, contree.Secret> as checked
---@return table<string, function>?
function secrets.signers(given)
  local signers = {}
  for name, each in pairs(given or {}) do signers[name] = each.sign end
  return next(signers) and signers or nil
end

--- Make sure that a run which names secrets has rules: only then somebody keeps them. Those of
--- the client are for runs with rules alone.
---@param body table       of the request
---@param own? table       the run's own
function secrets.settle(body, own)
  if body.secrets and not next(body.secrets) then body.secrets = nil end
  if not body.secrets or body.networking and body.networking.allow then return end
  if not own then
    body.secrets = nil
  else
    errors.misuse("secrets need networking = { allow = … }: rules that say what the run may reach",
      "the hosts of a secret have to be allowed, too")
  end
end

return secrets
