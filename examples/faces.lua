-- Two faces of one API: contree raises, contree.safe returns nil and the error.

local contree = require("contree")
local safe = require("contree.safe")

-- The first is for scripts, where an error may end everything, and for code that
-- catches errors far above.
local image = contree.new().images:use("busybox:latest")
local ok, err = pcall(image.run, image, { shell = "exit 2", check = true })
print("raised:   " .. tostring(ok) .. ", " .. err.kind)

-- The second is for code that looks at each call, as is custom in OpenResty and
-- Neovim. Everything made from a safe client is safe.
local same = safe.new().images:use("busybox:latest")
local result, why = same:run{ shell = "exit 2", check = true }
print("returned: " .. tostring(result) .. ", " .. why.kind)
result, why = same:run("echo fine")
io.write("fine:     ", result.stdout)
print("          " .. tostring(why))

-- assert turns the second into the first.
ok, err = pcall(function() return assert(same:read("/no/such/file")) end)
print("assert:   " .. tostring(ok) .. ", " .. err.kind)

-- A mistake in the program itself raises on both.
ok, err = pcall(same.run, same, { shel = "echo" })
print("misuse:   " .. tostring(ok) .. ", " .. err.hint)

-- Iterators raise on both: they have no other way to tell an error from the end.
ok, err = pcall(function()
  for line in safe.new().operations:get("no-such-operation"):events() do print(line) end
end)
print("iterator: " .. tostring(ok) .. ", " .. err.kind)
