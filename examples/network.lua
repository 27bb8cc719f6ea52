-- A run that may reach what rules name, and nothing else. Names are pinned to addresses here, so
-- that it needs no network.
local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

local result = image:run{
  shell = "nslookup index.example.org >/dev/null && echo there; nslookup evil.example.net; "
    .. "nc -w 1 192.0.2.7 5432",
  networking = {
    allow = { "index.example.org", "*.files.example.org:8443",
      { host = "api.example.org", methods = { "GET" }, paths = { "/v1/*" } },
      { host = "db.example.org", ports = 5432, private = true } },
    deny = { "telemetry.files.example.org" },
    resolve = { ["index.example.org"] = "127.0.0.1:8080" },
  },
  trace = true,
}

print(result.stdout:match("^there") and "its name is known")
for _, refused in ipairs(result.denied) do
  print(refused.protocol, refused.name or refused.address, refused.port, refused.reason)
end
local connected = 0
for _, tried in ipairs(result.tried) do -- programs, too
  if tried.protocol then connected = connected + 1 end
end
print(connected == 0 and "nothing was connected")

-- A token that the run uses and never sees: its variable has a placeholder, and the airlock puts
-- the token into requests to these hosts.
local token = "a-token-of-32-bytes-for-examples"
local deployed = image:run{
  shell = "test ${#TOKEN} = 32 && echo a placeholder; env | grep -c a-token",
  networking = { allow = { "api.example.org" } },
  secrets = { TOKEN = { value = token, hosts = { "api.example.org" }, header = "Authorization",
    places = { "header" } } },
}
print((deployed.stdout:gsub("\n", ", ")))
