-- Testing a program that uses contree: no engine, no network.

local testing = require("contree.testing")

-- The code under test.
local function release(client)
  local image = client.images:use("app:v1")
  local result = image:run{ shell = "make test", env = { CI = "1" } }
  if result.exit_code ~= 0 then return nil, result.stderr end
  local built = image:run{ shell = "make", disposable = false, tag = "app:v2" }
  return built:read("/app/VERSION")
end

-- A client whose commands answer what the test says.
local client, fake = testing.client{ run = {
  ["make test"] = "ok\n",
  ["make"] = { files = { ["/app/VERSION"] = "2\n" } },
} }
print("version: " .. release(client):gsub("\n", ""))

-- The calls were recorded.
print("asked:   " .. #fake.calls .. " commands, the first with CI=" .. fake.calls[1].env.CI)

-- Failures are as easy to simulate.
fake:on("make test", { exit_code = 1, stderr = "2 tests failed" })
print("failing: " .. select(2, release(client)))
fake:on("make test", { raises = "rate_limited", message = "slow down" })
local ok, err = pcall(release, client)
print("trouble: " .. tostring(ok) .. ", " .. err.kind)
