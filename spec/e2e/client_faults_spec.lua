-- A program with the module of which one system call fails: it gets an error object or what it
-- wanted, and what it has on the disk is the old or the new, never half. CONTREE_FAULTS=all tries
-- every place with every error, a number that many; CONTREE_SEED repeats the same ones.
local carrier = require("spec.support.carrier")
local core = require("contree.core")
local disk = require("spec.support.disk")
local faults = require("spec.support.faults")
local generator = require("spec.support.generator")
local socket = require("socket")
local wire = require("spec.support.wire")

local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()
local ALL = os.getenv("CONTREE_FAULTS") == "all"
local EACH = ALL and 1e9 or tonumber(os.getenv("CONTREE_FAULTS")) or 2

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

describe(("one failed system call of a program, seed %d,"):format(SEED), function()
  local engine, directory, place, random, long

  setup(function()
    if wire.run("id -u") ~= "0" then return end
    random = generator(SEED)
    engine = wire.start()
    directory = disk.directory()
    place = directory .. "/place"
    local image = engine:run(wire.shell("mkdir -p /w/d; seq 3 > /w/text; seq 60000 > /w/long; "
      .. "ln -s text /w/link; for i in $(seq 30); do echo $i > /w/d/$i; done; chmod 600 /w/d/7",
      { disposable = false })).result_image_uuid
    assert(engine:request("PATCH", ("/v1/images/%s/tag"):format(image),
      { body = '{"tag":"faults"}' }).status == 200)
    long = engine:get(("/v1/inspect/%s/download?path=/w/long"):format(image)).body
  end)
  teardown(function()
    if not engine then return end
    engine:stop()
    disk.remove(directory)
  end)

  local function write(values)
    for path, value in pairs(values) do
      if value == "/" then os.execute("mkdir -p " .. place .. "/folder/" .. path) end
    end
    for path, value in pairs(values) do
      if type(value) == "table" then
        os.execute(("ln -s %s %s/folder/%s"):format(value.link, place, path))
      elseif value ~= "/" then
        disk.write(("%s/folder/%s"):format(place, path), value)
      end
    end
  end

  -- What the program contree is asked.
  local LINES = {
    contree_run = function()
      return ("contree run --url unix:%s -n tag:faults -- cat /w/text"):format(engine.path)
    end,
    contree_on = function()
      return ("contree on --url unix:%s -n -i tag:faults %s/folder -- "
        .. "sh -c cat<a>b;echo${IFS}x>>a"):format(engine.path, place)
    end,
    contree_apply = function()
      return ("contree apply --url unix:%s -C %s/folder"):format(engine.path, place)
    end,
    contree_export = function()
      return ("contree export --data-dir %s --output %s/out.tar tag:faults"):format(engine.data,
        place)
    end,
  }

  -- The action of a program; fault may be nil. Returns what it printed and its places.
  local function act(action, fault)
    local control, counting = directory .. "/ctl", fault == nil
    local environment = ("CONTREE_STATE_DIR=%s/state XDG_CACHE_HOME=%s/cache "):format(place,
      place)
    if fault and fault ~= "none" then
      environment = environment .. ("CONTREE_FAULTY='%s' "):format(faults.text(fault))
    end
    local command = ("%s spec/support/fault_client.lua %s %s unix:%s"):format(lua,
      disk.quote(LINES[action] and LINES[action]() or action), place, engine.path)
    -- The program is one of Lua 5.4.
    if LINES[action] then
      command = command:gsub("^luajit ", "lua5.4 ")
      environment = ("LUA_CPATH=%s "):format(disk.quote((os.getenv("LUA_CPATH"):gsub("/luajit/",
        "/lua5.4/")))) .. environment
    end
    if fault ~= "none" then command = faults.program() .. " " .. control .. " " .. command end
    if not counting then
      return wire.run(("%s timeout 60 %s 2>&1 </dev/null; echo exit $?"):format(environment,
        command))
    end
    os.remove(control)
    os.execute(("rm -f %s/go; mkfifo %s/go; (%s CONTREE_FAULTY_COUNT=1 %s >%s/said 2>&1 <%s/go) &")
      :format(directory, directory, environment, command, directory, directory))
    local go = assert(io.open(directory .. "/go", "w"))
    go:setvbuf("no")
    local function await(pattern)
      wire.eventually(pattern, function()
        return (disk.peek(directory .. "/said") or ""):find(pattern)
      end)
    end
    await("loaded\n")
    local sock = faults.control(control)
    local loading = {}
    for _, each in ipairs(faults.places(sock)) do loading[each.call .. each.site] = true end
    go:write("\n")
    await("\ndid\n")
    local places = {}
    for _, each in ipairs(faults.places(sock)) do
      if not loading[each.call .. each.site] then places[#places + 1] = each end
    end
    sock:close()
    go:write("\n")
    go:close()
    return disk.read(directory .. "/said"), places
  end

  ---- what each action starts from, and what has to hold afterwards ----

  local begins, checks = {}, {}

  local function fresh() os.execute(("rm -rf %s; mkdir -p %s/folder"):format(place, place)) end

  local function shown(value) return type(value) == "table" and "-> " .. value.link or value end

  local function read(path)
    local found = core.lstat(path)
    if not found then return nil end
    if found.type == "link" then return "-> " .. found.target end
    return found.type == "directory" and "/" or disk.read(path)
  end

  -- How the folder differs from both versions, or from the one that is wanted.
  local function folder_problem(which)
    local all = {}
    for path in pairs(carrier.before) do all[path] = true end
    for path in pairs(carrier.after) do all[path] = true end
    for path in pairs(all) do
      local old, new = shown(carrier.before[path]), shown(carrier.after[path])
      local found = read(place .. "/folder/" .. path)
      local right = found == old or found == new
      if which then right = found == shown(carrier[which][path]) end
      if not right and (which or found ~= nil or not path:find("/", 1, true)) then
        return ("%s is %s"):format(path, tostring(found):sub(1, 40))
      end
    end
    local left = disk.capture("find " .. place .. "/folder -name '.contree*'")
    if which and left ~= "" then return "left: " .. left end
  end

  function begins.apply()
    fresh()
    write(carrier.before)
  end

  function checks.apply(said)
    local why = folder_problem(said:find("\ndid") and "after" or nil)
    if why then return why end
    local again = act("apply", "none")
    if not again:find("\ndid") then return "again: " .. again end
    why = folder_problem("after")
    return why and "again: " .. why
  end

  function begins.undo()
    begins.apply()
    assert(act("apply", "none"):find("\ndid"))
  end

  function checks.undo(said)
    local why = folder_problem(said:find("\ndid") and "before" or nil)
    if why then return why end
    for _ = 1, 3 do
      local again = act("undo", "none")
      if not again:find("\ndid") then return "again: " .. again end
    end
    why = folder_problem("before")
    return why and "again: " .. why
  end

  begins.download, begins.tree, begins.run = fresh, fresh, fresh

  function checks.download(said)
    local found = disk.peek(place .. "/long")
    if found and found ~= long then return ("half: %d of %d bytes"):format(#found, #long) end
    if said:find("\ndid") and not found then return "no file" end
    local left = wire.run("ls -A " .. place .. " | grep -vE '^(folder|state|cache|long)$'")
    if left ~= "" then return "left: " .. left end
  end

  function checks.tree(said)
    local left = wire.run("ls -A " .. place .. " | grep -vxE 'folder|state|cache|tree'")
    if left ~= "" then return "left: " .. left end
    local list = wire.run(("cd %s/tree 2>/dev/null && find . -type f | wc -l && md5sum <long "
      .. "&& readlink link && stat -c %%a d/7"):format(place))
    disk.write(directory .. "/long", long)
    local want = ("32\n%s\ntext\n600"):format(wire.run("md5sum <" .. directory .. "/long"))
    if said:find("\ndid") and list ~= want then return "a tree that is not whole: " .. list end
    if not said:find("\ndid") and list ~= "" and list ~= want then
      return "half a tree: " .. list
    end
  end

  function begins.upload()
    fresh()
    disk.write(place .. "/local", ("upload %d "):format(random(1e6)):rep(20000))
  end

  function checks.upload(said)
    local uuid = said:match("\nfile (%S+)")
    if not uuid then return end
    local text = engine:run(wire.shell("cat /f", { files = { ["/f"] = { uuid = uuid } },
      truncate_output_at = 1e7 }))
    if wire.bytes(text.metadata.result.stdout) ~= disk.read(place .. "/local") then
      return "another content"
    end
  end

  function checks.run() end

  function begins.session()
    fresh()
    local said = act("session", "none")
    assert(said:find("\ndid"), said)
  end

  -- The next program has the session where the last one was told it is.
  function checks.session(said)
    local after = said:match("\nafter (%S+)")
    local again = act("session", "none")
    if not again:find("\ndid") then return "again: " .. again end
    local before = again:match("before (%S+)")
    if after and before ~= after then return "the session is not where it was told to be" end
  end

  function begins.workspace()
    fresh()
    disk.write(place .. "/folder/a", "1\n")
    local said = act("workspace", "none")
    assert(said:find("\ndid"), said)
    disk.write(place .. "/folder/a", "2\n")
  end

  function checks.workspace(said)
    local text = disk.read(place .. "/folder/a")
    if text ~= "2\n" and text ~= "2\nx\n" then return "the file is " .. text end
    if said:find("\ndid") and text ~= "2\nx\n" then return "told, and not there: " .. text end
    local again = act("workspace", "none")
    if not again:find("\ndid") then return "again: " .. again end
    text = disk.read(place .. "/folder/a")
    if text ~= "2\nx\n" and text ~= "2\nx\nx\n" then return "again: the file is " .. text end
    local left = disk.capture("find " .. place .. "/folder -name '.contree*'")
    if left ~= "" then return "left: " .. left end
  end

  -- The program says what fails.
  local function said_why(said)
    if said:find("\ndid") or said:find("contree[%w-]*: %S")
      or said:find("left %S+ alone %(failed%): %S") then
      return nil
    end
    return "it does not say why"
  end

  begins.contree_run, begins.contree_export = fresh, fresh

  function checks.contree_run(said)
    if said:find("\ndid") and not said:find("1\n2\n3\n", 1, true) then return "wrong output" end
    return said_why(said)
  end

  function begins.contree_on()
    fresh()
    disk.write(place .. "/folder/a", "1\n")
  end

  function checks.contree_on(said)
    if disk.read(place .. "/folder/a") ~= "1\n" then return "the folder is written to" end
    local again = act("contree_on", "none")
    if not again:find("\ndid") then return "again: " .. again end
    return said_why(said)
  end

  function begins.contree_apply()
    begins.contree_on()
    local said = act("contree_on", "none")
    assert(said:find("\ndid"), said)
  end

  function checks.contree_apply(said)
    local function version()
      return disk.read(place .. "/folder/a"):gsub("\n", ".") .. (disk.peek(place .. "/folder/b")
        or "-"):gsub("\n", ".")
    end
    local found = version()
    if said:find("\ndid") and found ~= "1.x.1." then return "told, and not there: " .. found end
    if not (found == "1.-" or found == "1.x.1." or found == "1.x.-" or found == "1.1.") then
      return "half: " .. found
    end
    local again = act("contree_apply", "none")
    if not again:find("\ndid") then return "again: " .. again end
    if version() ~= "1.x.1." then return "again: " .. version() end
    local left = disk.capture("find " .. place .. "/folder -name '.contree*'")
    if left ~= "" then return "left: " .. left end
    return said_why(said)
  end

  function checks.contree_export(said)
    local path = place .. "/out.tar"
    local names = disk.peek(path) and wire.run("tar tf " .. path .. " 2>&1 | grep -c 'w/d/.'")
    if said:find("\ndid") and names ~= "30" then return "not whole: " .. tostring(names) end
    if names and names ~= "30" then return "half: " .. names end
    local left = wire.run("ls -A " .. place .. " | grep -vE '^(folder|state|cache|out.tar)$'")
    if left ~= "" then return "left: " .. left end
    return said_why(said)
  end

  ---- the attempts ----

  -- To libuv a child that cannot be waited for has not ended; none is taken from it. LuaJIT ends
  -- the program when its compiled code cannot be protected.
  local BEYOND = { wait4 = true, mprotect = true }

  local function faults_of(action)
    begins[action]()
    local said, places = act(action)
    assert(said:find("did"), said)
    local list = {}
    for _, each in ipairs(places) do
      local is_ours = (each.kind == "client" or LINES[action]) and not BEYOND[each.call]
        and not faults.is_sanitizers(each.call)
      if is_ours and each.site ~= "0,0" then
        for _, name in ipairs(faults.errors(each.call)) do
          list[#list + 1] = { step = action, kind = each.kind, call = each.call, site = each.site,
            error = name, count = each.count, nth = random(math.min(each.count, 3)) }
        end
      end
    end
    faults.shuffle(list, random)
    return list
  end

  local function try(fault)
    begins[fault.step]()
    local began = socket.gettime()
    local said = act(fault.step, fault)
    local code = said:match("exit (%d+)$")
    if not said:find("did\n") and not said:find("error %S+: ") then return said end
    if code ~= "0" or said:find("a fault of contree itself", 1, true) then return said end
    if socket.gettime() - began > 45 then return "it took long: " .. said end
    local ok, why = pcall(checks[fault.step], said)
    -- What cannot be removed stays.
    local stays = fault.call:find("^unlink") and ok and why and why:find("^left: ")
    if (why or not ok) and not stays then return ("%s (it said %s)"):format(tostring(why), said) end
  end

  -- What once did harm is tried every time.
  local KNOWN = {
    -- What could not be removed was told as changed, and the call was used up.
    { step = "undo", kind = "client", call = "unlinkat", site = "-", error = "EBUSY", nth = 2 },
  }
  -- A loop of libuv that cannot watch ours was no error object, and in Neovim the last one.
  for _, each in ipairs{ "timerfd_create EMFILE", "epoll_ctl ENOMEM", "epoll_create1 EMFILE" } do
    local call, err = each:match("(%S+) (%S+)")
    KNOWN[#KNOWN + 1] = { step = "contree_run", kind = "client", call = call, site = "-",
      error = err, nth = 1 }
  end
  for nth = 1, 4 do
    -- A directory that could not be read to its end lost files in the sandbox.
    KNOWN[#KNOWN + 1] = { step = "workspace", kind = "client", call = "getdents64", site = "-",
      error = "EIO", nth = nth }
  end

  it("does no harm where it once did", function()
    if not engine then return pending("only root may fail the calls of others") end
    for _, fault in ipairs(KNOWN) do assert.is_nil(try(fault)) end
  end)

  for _, action in ipairs{ "apply", "undo", "download", "tree", "upload", "run", "session",
    "workspace", "contree_run", "contree_on", "contree_apply", "contree_export" } do
    it("does no harm: " .. action, function()
      if not engine then return pending("only root may fail the calls of others") end
      local list, problems = faults_of(action), {}
      for i = 1, math.min(EACH, #list) do
        local why = try(list[i])
        if why then
          problems[#problems + 1] = faults.describe(list[i]) .. ": " .. why
          if ALL then print(problems[#problems]) end
        end
      end
      if ALL then print(action, #list, #problems) end
      assert(#problems == 0, ("CONTREE_SEED=%d: %s"):format(SEED, table.concat(problems, "\n")))
    end)
  end
end)
