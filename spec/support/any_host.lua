-- Checks of what a user's code can do in every host, in plain code and in tasks alike.
-- Returns a function of the module and an image that raises when a check fails.
local function equal(wanted, got)
  if wanted ~= got then
    error(("wanted %s, got %s"):format(tostring(wanted), tostring(got)), 2)
  end
end

local function echo(image, word)
  return image:run("echo " .. word).stdout:gsub("\n$", "")
end

local function protected(_, image)
  local ok, word = pcall(echo, image, "one")
  equal(true, ok)
  equal("one", word)
  local failed, err = pcall(image.run, image, { shell = "exit 3", check = true })
  equal(false, failed)
  equal("command_failed", err.kind)
  local _, trace = xpcall(function() error(echo(image, "two"), 0) end, function(text)
    return "traced " .. text
  end)
  equal("traced two", trace)
end

local function words(image, list)
  return coroutine.wrap(function()
    for _, word in ipairs(list) do coroutine.yield((echo(image, word))) end
  end)
end

-- Only the user resumes the user's coroutines, whatever waits in them.
local function generators(_, image)
  local seen = {}
  for word in words(image, { "a", "b", "c" }) do
    for inner in words(image, { word .. "1" }) do seen[#seen + 1] = inner end
  end
  equal("a1 b1 c1", table.concat(seen, " "))
end

-- Each function blocks inside another's wait. There is a limit to that depth: beyond it
-- functions get an error, and none is lost.
local function crowd(contree)
  local runs, refused = {}, 0
  for i = 1, 60 do
    runs[i] = function()
      local ok, err = pcall(coroutine.wrap(function() contree.sleep(0.05) end))
      if ok then return end
      equal("not_supported", err.kind)
      refused = refused + 1
    end
  end
  contree.gather(runs)
  equal(true, refused < 50)
end

-- With a C function on the stack no coroutine can be suspended.
local function inside_c(_, image)
  equal("<x><y>", (("xy"):gsub(".", function(letter) return "<" .. echo(image, letter) .. ">" end)))
  local list = { 2, 1 }
  table.sort(list, function(a, b) return echo(image, a) < echo(image, b) end)
  equal(1, list[1])
  local object = setmetatable({}, { __index = function(_, key) return (echo(image, key)) end })
  equal("field", object.field)
end

-- If the host must not be blocked either, waiting there is an error.
local function refused_inside_c(_, image)
  local ok, err = pcall(string.gsub, "xy", ".", function(letter) return echo(image, letter) end)
  equal(false, ok)
  equal("not_supported", err.kind)
end

-- Long computations are done in parts, between which other tasks run.
local function in_parts(contree)
  local client = contree.new{ url = "http://localhost:1", token = false, project = "p" }
  function client.respond(request)
    if request.method == "GET" then
      return { json = { uuid = "f", sha256 = ("0"):rep(64), size = 1 } }
    end
    error("nothing is sent", 0)
  end
  local over, turns = false, 0
  local other = contree.spawn(function()
    while not over do
      turns = turns + 1
      contree.sleep(0.001)
    end
  end)
  local large = contree.spawn(function() client.files:upload{ data = ("x"):rep(60000000) } end)
  large:wait()
  over = true
  other:wait()
  equal(true, turns >= 5)
end

local function side_by_side(contree, image)
  local runs = {}
  for i = 1, 8 do
    runs[i] = function() return image:run("sleep 0.05; echo " .. i).stdout end
  end
  equal("1\n2\n3\n4\n5\n6\n7\n8\n", table.concat(contree.gather(runs)))
end

local function tasks(contree, image)
  local failing = contree.spawn(function() error("mine", 0) end)
  local ok, err = pcall(failing.wait, failing)
  equal(false, ok)
  equal("mine", err)

  local long = contree.spawn(function() return image:run("sleep 30") end)
  contree.sleep(0.1)
  long:cancel()
  local finished, why = pcall(long.wait, long)
  equal(false, finished)
  equal("cancelled", why.kind)
  equal("cancelled", long.status)

  local late, reason = pcall(contree.timeout, 0.05, function() contree.sleep(30) end)
  equal(false, late)
  equal("timeout", reason.kind)
end

-- A function signs what a run sends, while the run is waited for. The server is in a sandbox, too.
local function signs(contree, image)
  local server = image:start("mkdir /w; echo content > /w/file; exec httpd -f -p 80 -h /w")
  local address, asked = server:forward(80), 0
  local host = "signed.example:" .. address:match("%d+$")
  local function run(sign)
    return image:run{ shell = ("for i in 1 2 3 4 5 6 7 8 9; do "
      .. "wget -q -O - http://%s/file && break; sleep 0.1; done 2>&1"):format(host),
      networking = { allow = { host }, resolve = { ["signed.example"] = "127.0.0.1" } },
      secrets = { KEY = { hosts = { host }, sign = sign } } }
  end
  local result = run(function(request)
    asked = asked + 1
    contree.sleep(0.001)
    return { headers = { ["X-Signature"] = request.method } }
  end)
  equal("content\n", result.stdout:match("content\n$"))
  equal(true, asked >= 1)
  result = run(function() error("mine", 0) end)
  equal("mine", result.denied[1].error)
  server:cancel()
end

---@param lacks? { blocking: boolean?, generators: boolean? } false: what the host refuses
return function(contree, image, lacks)
  lacks = lacks or {}
  local checks = { protected, side_by_side, tasks, in_parts, signs, require("spec.support.live"),
    lacks.blocking == false and refused_inside_c or inside_c }
  if lacks.generators ~= false then
    checks[#checks + 1] = generators
    checks[#checks + 1] = crowd
  end
  for _, check in ipairs(checks) do check(contree, image) end
end
