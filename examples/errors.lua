-- Errors that are raised, and failures that are only a result.

local contree = require("contree")

local client = contree.new()
local image = client.images:use("busybox:latest")

local function try(title, fn, ...)
  local ok, err = pcall(fn, ...)
  print(("%-10s %s"):format(title, ok and "fine" or err.kind .. ": " .. err.message))
  return not ok and err or nil
end

-- An exit code is not an error, unless check = true makes it one.
try("exit code", image.run, image, "exit 1")
local err = try("check", image.run, image, { shell = "echo because >&2; exit 1", check = true })
print("           the result is there: " .. err.result.exit_code)

-- A command that could not be run at all raises.
try("cwd", image.run, image, { shell = "true", cwd = "/nowhere" })
try("image", client.images.use, client.images, "no/such:image", { strict = true })

-- A disposable run leaves no image to go on from; the hint says what to do.
local gone = image:run("touch /f")
err = try("gone", gone.run, gone, "ls /f")
print("           " .. err.hint)

-- Misuse names its line, and what was probably meant.
err = try("misuse", image.run, image, { shel = "true" })
print("           " .. err.hint)

-- contree.safe is the same API, but returns nil and the error. Misuse still raises.
local safe = require("contree.safe")
local result, why = safe.new().images:use("busybox:latest"):run{ shell = "exit 2", check = true }
print("safe       " .. tostring(result) .. ", " .. why.kind)

-- A time limit around anything; runs in it are cancelled.
try("timeout", contree.timeout, 0.2, image.run, image, "sleep 60")
