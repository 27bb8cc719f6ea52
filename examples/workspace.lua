-- A folder of yours as a branch: three fixes are tried in three forks, side by side, and the
-- best one comes home.

local contree = require("contree")

-- A small project with a mistake. With yours this is path = ".".
local folder = io.popen("mktemp -d"):read("l")
local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "w"))
  file:write(text)
  file:close()
end
write("add.sh", "#!/bin/sh\n# Adds two numbers.\nexpr $1 - $2\n")
write("test.sh", [[
passed=0
for case in "1 1 2" "2 3 5" "0 0 0"; do
  set -- $case
  if [ "$(sh add.sh $1 $2)" = $3 ]; then passed=$((passed + 1)); fi
done
echo $passed
]])

local image = contree.new().images:use("busybox:latest")
local ws = image:workspace{ path = folder }

-- What a model might come up with.
local fixes = {
  "sed -i 's/-/ + /' add.sh && sed -i 's/Adds/Add/' add.sh",
  "sed -i 's/expr .*/echo $(($1 + $2))/' add.sh",
  "echo 'echo 2' > add.sh",
}

local tries = {}
for i, fix in ipairs(fixes) do
  tries[i] = function()
    local fork = ws:fork()
    fork:run{ shell = fix, check = true }
    return { number = i, fork = fork, passed = tonumber(fork:run("sh test.sh").stdout) }
  end
end

local best
for _, try in ipairs(contree.gather(tries)) do
  print(("fix %d passes %d of 3 tests"):format(try.number, try.passed))
  try.size = #tostring(try.fork:changes())
  if not best or try.passed > best.passed
    or try.passed == best.passed and try.size < best.size then
    best = try
  end
end

print("the best is fix " .. best.number)
print(tostring(best.fork:changes()))
print(best.fork:apply())
print("here:   " .. io.popen("cd " .. folder .. " && sh test.sh"):read("l") .. " tests pass")

-- The next run of the workspace sees it, since it is in the folder now.
print("there:  " .. ws:run("sh test.sh").stdout:gsub("\n", "") .. " tests pass")
print(ws:undo())
os.execute("rm -r " .. folder)
