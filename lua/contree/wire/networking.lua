--- What a run may reach: rules and presets of them (docs/use/network.md), and how refusals read.

local config = require("contree.wire.config")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local wire = require("contree.wire")

local networking = {}

---@class contree.Rule
---@field host string                  a name, "*.name", an address, or a network "10.1.2.0/24"
---@field ports? integer|string|(integer|string)[] such as 443, "8000-8010"; default 80 and 443,
---  in `deny` all
---@field methods? string[]            of HTTP requests; default all
---@field paths? string[]              patterns of HTTP requests: "/v1/*"; default all
---@field private? boolean             the name may have a private address; default false

---@class contree.Networking
---@field enabled? boolean             whether there is a network; default true
---@field allow? (string|contree.Rule)[] what may be reached, and nothing else (local engine): rules
---  such as "example.org", "*.example.org:8443", "10.1.2.0/24:5432", and presets "@name"; default
---  everything
---@field deny? (string|contree.Rule)[] what may not, though it is allowed; default none
---@field resolve? table<string, string> where names are dialled: "address" or "address:port";
---  default what this machine resolves

---@class contree.Denied
---@field reason? string      "rule", "private", "sni", … (docs/use/network.md); nil: connected
---@field protocol? string    "dns", "tcp", "udp", "icmp", "tls" or "http"; nil: not known
---@field name? string        the host that was asked for by name; nil: by its address
---@field address? string     where it was, or was to be; nil: it came to no address
---@field port? integer       the port that was asked for; nil: the entry names none
---@field method? string      the method of the HTTP request; nil: the entry is of no request
---@field path? string        the path of the HTTP request; nil: the entry is of no request
---@field call? string        a system call that was refused, with trace; nil: the entry is of none
---@field program? string     a program that was executed, with trace; nil: the entry is of none
---@field missing? string     a file that was not there, with trace = "files"; nil: it is of none
---@field read? string        a file that was read, with trace = "files"; nil: it is of none
---@field written? string     a file that was written, with trace = "files"; nil: it is of none
---@field count integer       how often
---@field error? any          what the function of a secret that signs it has raised, in the process
---  that has it; nil: the entry is of no such request

---@class contree.DeniedList a list; tostring() shows an entry a line
---@field [integer] contree.Denied in the order in which they came

-- Rules ----------------------------------------------------------------------

local function is_rule_text(value)
  local wrong, is_data = options.name(value)
  if wrong then return wrong, is_data end
  if value:find("://", 1, true) then return 'a host such as "example.org:443", not an URL' end
end

local port = options.one_of(options.integer(1, 65535), options.name)

local function ports(value)
  if type(value) ~= "table" then return port(value) end
  for _, each in ipairs(value) do
    local wrong, is_data = port(each)
    if wrong then return "a list of ports, each " .. wrong, is_data end
  end
end

local rule_table = options.nested{ host = is_rule_text, ports = ports, methods = options.texts,
  paths = options.texts, private = options.boolean }

local function is_rule(value)
  if type(value) == "string" then return is_rule_text(value) end
  if type(value) ~= "table" then return 'a rule such as "example.org", or a table' end
  local wrong, is_data = rule_table(value)
  if not wrong and value.host == nil then return 'a table with host = "example.org"' end
  return wrong, is_data
end

local function is_list(value)
  if type(value) ~= "table" then return "a list of rules" end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if count ~= #value then
    return value.host and 'a list of rules: { { host = … } }' or "a list of rules without names"
  end
  for i, each in ipairs(value) do
    local wrong, is_data = is_rule(each)
    if wrong then return ("a list of rules: number %d must be %s"):format(i, wrong), is_data end
  end
end

local table_check = options.nested{ enabled = options.boolean, allow = is_list, deny = is_list,
  resolve = options.map(options.name, options.name) }

--- The check of the option.
function networking.check(value)
  if type(value) == "boolean" then return nil end
  if type(value) ~= "table" then return ("a boolean or a table, got a %s"):format(type(value)) end
  local wrong, is_data = table_check(value)
  if wrong then return wrong, is_data end
  if value.enabled == false and value.allow then return "without allow when enabled = false" end
  if not value.allow and (value.deny or value.resolve) then
    return "a table with allow = { … } when it has deny or resolve"
  end
  for _, each in ipairs(value.deny or {}) do
    if type(each) == "string" and each:sub(1, 1) == "@" then
      return "a table whose deny has no presets: they go into allow"
    end
  end
end

networking.rules = is_list

-- Presets --------------------------------------------------------------------

local function append(to, list)
  for _, each in ipairs(list) do to[#to + 1] = each end
end

local expand

local function add_preset(found, name, seen)
  if seen[name] then return end
  seen[name] = true
  local preset = config.network(name)
  expand(found, preset.allow, seen)
  append(found.deny, preset.deny)
  for host, address in pairs(preset.resolve) do
    if not found.resolve[host] then found.resolve[host] = address end
  end
end

-- Adds rules, and those of the presets among them.
function expand(found, rules, seen)
  for _, rule in ipairs(rules) do
    local name = type(rule) == "string" and rule:match("^@(.*)")
    if name then add_preset(found, name, seen) else found.allow[#found.allow + 1] = rule end
  end
end

local function wire_rule(rule)
  if type(rule) == "string" then return rule end
  local listed = rule.ports
  if listed ~= nil and type(listed) ~= "table" then listed = { listed } end
  return { host = rule.host, ports = listed and json.array{ (table.unpack or unpack)(listed) },
    methods = rule.methods and json.array{ (table.unpack or unpack)(rule.methods) },
    paths = rule.paths and json.array{ (table.unpack or unpack)(rule.paths) },
    private = rule.private }
end

local function wire_rules(rules)
  local list = json.array()
  for i, rule in ipairs(rules) do list[i] = wire_rule(rule) end
  return list
end

--- Rules as a request has them.
networking.wire_rules = wire_rules

--- The member `networking` of a request.
---@param given boolean|contree.Networking|nil as checked
---@return table?
function networking.member(given)
  if type(given) ~= "table" then return given ~= nil and { enabled = given } or nil end
  local found = { allow = {}, deny = {}, resolve = {} }
  for host, address in pairs(given.resolve or {}) do found.resolve[host] = address end
  expand(found, given.allow or {}, {})
  append(found.deny, given.deny or {})
  local enabled = given.enabled
  if given.allow and enabled == nil then enabled = true end
  return { enabled = enabled, allow = given.allow and wire_rules(found.allow),
    deny = (given.deny or #found.deny > 0) and wire_rules(found.deny) or nil,
    resolve = next(found.resolve) and found.resolve or nil }
end

--- A text that is equal for equal rules.
---@param member? table what networking.member() has returned
---@return string
function networking.key(member)
  if member == nil then return "nil" end
  local function text(value)
    if type(value) ~= "table" then return ("%s:%s"):format(type(value), tostring(value)) end
    local parts = {}
    for name, each in pairs(value) do
      parts[#parts + 1] = ("%d:%s=%s"):format(#tostring(name), tostring(name), text(each))
    end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  end
  if not (member.allow or member.deny or member.resolve) then return tostring(member.enabled) end
  return text(member)
end

-- Servers --------------------------------------------------------------------

local function lacks()
  errors.raise("not_supported", "this server cannot keep rules of what a run may reach",
    { hint = "a local engine does; networking = true or false works everywhere" })
end

--- Make sure that the server will not ignore the rules of a run: it would connect it to
--- everything. It is asked once.
---@async
---@param self contree.Client
---@param member? table of a request
function networking.need(self, member)
  if self.keeps_rules or not member or not (member.allow or member.deny or member.resolve) then
    return
  end
  if not self.extended then lacks() end
  local answer = wire.request(self, { method = "GET", path = "/whoami" })
  for _, name in ipairs(json.as("table", answer.json.extensions) or {}) do
    if name == "airlock" then self.keeps_rules = true end
  end
  if not self.keeps_rules then lacks() end
end

-- Refusals -------------------------------------------------------------------

local WHY = {
  rule = "no rule allows it",
  private = "its address is a private one",
  unresolved = "the name has no address",
  unreachable = "nobody answers there",
  sni = "the TLS client names no host, or another one",
  ech = "the TLS client hides which host it wants",
  encrypted = "only requests are allowed, and TLS hides them",
  protocol = "it is neither TLS nor HTTP",
  host = "the request is for another host",
  method = "no rule allows the method",
  path = "no rule allows the path",
  secret = "a secret's placeholder is where that secret does not go",
  sign = "the request could not be signed",
  certificate = "the server's certificate is not valid for its name",
  distrusted = "the program trusts no certificate of the airlock, which has to read its requests",
  limit = "there are too many connections",
  more = "there was more than can be listed",
  lost = "the network was lost: its airlock has ended",
}

local function place_of(entry)
  local host = entry.name or entry.address
  if not host then return nil end
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  return entry.port and ("%s:%d"):format(host, entry.port) or host
end

-- An error of the script's.
local function one_line(err)
  local ok, words = pcall(tostring, err)
  return ok and (words:gsub("[%c%s]+", " ")) or "an error that cannot be told"
end

--- The option `trace` by the words that people and agents have for it.
---@param word? string "programs" or "files"
---@return boolean|"files"|nil
function networking.tracing(word)
  if word == "programs" then return true end
  return word
end

-- What a trace tells, and what it says before it.
local TRACED = { call = "refused", program = "executed", missing = "not found", read = "read",
  written = "wrote" }

--- An entry of a list in words.
---@param entry contree.Denied
---@return string
function networking.words(entry)
  local words = {}
  for name, verb in pairs(TRACED) do
    if entry[name] then words[1] = verb .. " " .. entry[name] end
  end
  local parts = { entry.protocol or false, place_of(entry) or false, entry.method or false,
    entry.path or false }
  for _, part in ipairs(parts) do
    if part then words[#words + 1] = part end
  end
  local text = table.concat(words, " ")
  local why = entry.reason and (WHY[entry.reason] or entry.reason)
  if why and entry.error ~= nil then why = ("%s: %s"):format(why, one_line(entry.error)) end
  if why then text = text == "" and why or ("%s: %s"):format(text, why) end
  return entry.count > 1 and ("%s (%d times)"):format(text, entry.count) or text
end

local make_list = printed.list(networking.words)

local FIELDS = { protocol = "string", name = "string", address = "string", port = "number",
  method = "string", path = "string", reason = "string", call = "string", program = "string",
  missing = "string", read = "string", written = "string" }
local NAMES = {}
for name in pairs(FIELDS) do NAMES[#NAMES + 1] = name end

-- What a server says of an entry: anything.
local function entry_of(found)
  found = json.as("table", found) or {}
  local entry = { count = json.as("number", found.count) or 1 }
  for name, kind in pairs(FIELDS) do entry[name] = json.as(kind, found[name]) end
  return entry
end

--- A list of what was refused, connected or traced.
---@param found? table the server's; default empty
---@return contree.DeniedList
function networking.list(found)
  local list = {}
  for i, each in ipairs(found or {}) do list[i] = entry_of(each) end
  return make_list(list)
end

-- What tells entries apart.
local function key_of(entry)
  local parts = {}
  for i, name in ipairs(NAMES) do parts[i] = tostring(entry[name] or "") end
  return table.concat(parts, "\0")
end

-- As many different ones as the engine lists (http-api.md §8.17).
local ENTRIES_MAX = 1300
-- The entries of lists that are counted, by their keys.
local indexes = setmetatable({}, { __mode = "k" })

--- Count an entry that an event tells.
---@param list contree.DeniedList
---@param found table
function networking.count(list, found)
  local entry, index = entry_of(found), indexes[list] or {}
  local key = key_of(entry)
  indexes[list] = index
  if index[key] then
    index[key].count = index[key].count + entry.count
  elseif #list < ENTRIES_MAX then
    list[#list + 1], index[key] = entry, entry
  end
end

return networking
