-- What comes from outside (files of images, of projects and of the user, answers of servers,
-- messages of agents) is read, or refused with an error of ours, whatever it is. The inputs
-- are random changes of right ones. CONTREE_INPUTS is how many each reader gets (300);
-- CONTREE_SEED repeats them.
local contree = require("contree")
local core = require("contree.core")
local config = require("contree.wire.config")
local errors = require("contree.base.errors")
local expand = require("contree.dockerfile.expand")
local hunks = require("contree.workspace.hunks")
local journal = require("contree.workspace.journal")
local kept = require("contree.workspace.record")
local sessions = require("contree.session.sessions")
local ignore = require("contree.base.ignore")
local json = require("contree.base.json")
local logins = require("contree.command.logins")
local outcome = require("contree.run.outcome")
local parser = require("contree.dockerfile.parser")
local pattern = require("contree.base.pattern")
local reference = require("contree.image.reference")
local retry = require("contree.wire.retry")
local stage = require("contree.dockerfile.stage")
local tar = require("contree.base.tar")
local untar = require("contree.dockerfile.untar")
local users = require("contree.image.users")
local disk = require("spec.support.disk")
-- The server for agents runs in Lua 5.4 alone.
local mcp = not rawget(_G, "jit") and require("contree.mcp")
-- So does the program.
local arguments = not rawget(_G, "jit") and require("contree.command.arguments")

local INPUTS = tonumber(os.getenv("CONTREE_INPUTS")) or 300
local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()
local LONGEST = 20000

-- The same numbers in every Lua.
local state = SEED % 2 ^ 31
local function below(n)
  state = (state * 1103515245 + 12345) % 2 ^ 31
  return math.floor(state / 65536) % n
end
local function pick(list) return list[below(#list) + 1] end

local PIECES = { "\0", "\255", "${", "}", "\\", "\"", "'", "<<", "--", "=", "\n", "\r\n", "[", "]",
  "*", "**", "%", "..", "/", " ", "\t", "#", "!", ":", "@", "\239\187\191", "null", "{}", "-1",
  "1e999", ("9"):rep(20), ("a"):rep(300), "FROM ", "RUN ", "\"id\":", "0" }

local function change(text, other)
  local at, to = below(#text + 1), below(#other + 1)
  local before, rest = text:sub(1, at), text:sub(at + 1)
  local kind = below(6)
  if kind == 0 then return before .. pick(PIECES) .. rest end
  if kind == 1 then return before .. rest:sub(2 + below(20)) end
  if kind == 2 then return before .. string.char(below(256)) .. rest:sub(2) end
  if kind == 3 then return before .. other:sub(to + 1, to + 1 + below(40)) .. rest end
  if kind == 4 then return before end
  return text .. rest
end

-- Calls read() with each of the right inputs, then with changes of them. Errors of ours are
-- fine; those of Lua are not.
local function try(inputs, read)
  for i = 1, #inputs + INPUTS do
    local text = inputs[i]
    if not text then
      text = pick(inputs)
      for _ = 0, below(5) do text = change(text, pick(inputs)):sub(1, LONGEST) end
    end
    local ok, problem = pcall(read, text)
    if not ok and not errors.is(problem) then
      error(("%s\nCONTREE_SEED=%d CONTREE_INPUTS=%d, input %d: %q"):format(tostring(problem), SEED,
        INPUTS, i, text), 0)
    end
    assert(ok or i > #inputs, ok or tostring(problem))
  end
end

describe(("%d inputs each, seed %d:"):format(INPUTS, SEED), function()
  local directory

  setup(function() directory = disk.capture("mktemp -d"):gsub("%s+$", "") end)
  teardown(function() disk.remove(directory) end)

  local function file(text)
    disk.write(directory .. "/file", text)
    return assert(io.open(directory .. "/file", "rb"))
  end

  it("a Dockerfile has steps of its own lines", function()
    try({ "# syntax=docker/dockerfile:1\n# escape=`\nARG A=1\nFROM busybox:latest AS x\n"
      .. "RUN a `\n b\n"
      .. "COPY --chown=1:1 --chmod=0755 --from=x a b\nENV a=b \"c d\"=e f\nCMD [\"a\",\"b\"]\n"
      .. "ENTRYPOINT [\"x\"]\nSHELL [\"/bin/sh\",\"-c\"]\nEXPOSE 80/tcp\nONBUILD RUN x\n",
      "FROM scratch\nRUN <<EOF\necho a\nEOF\nCOPY <<\"A\" <<-B /x/\na\nA\n\tb\n\tB\n",
      "FROM a\nRUN --mount=type=bind,source=.,target=/x --network=none x\n" }, function(text)
      local steps = parser.parse(text, "Dockerfile")
      local _, lines = text:gsub("\n", "")
      local line = 0
      for _, step in ipairs(steps) do
        assert(step.line >= line and step.line <= lines + 1, "its line")
        line = step.line
      end
      stage.split(steps, "Dockerfile")
    end)
  end)

  it("variables are put into a text, or it is refused", function()
    local lookup = { escape = "\\", value = function(name) return name == "a" and "A" or nil end,
      fail = function(message) errors.raise("invalid_argument", message) end }
    try({ "${a:-b}${c:+d}$g\\$h'${i}'\"$j\"", "a=1 b='2 3' \"c\"=d", "${a:-${b:-${c}}}", "x y  z" },
      function(text)
        expand.text(text, lookup)
        expand.variables(text, lookup)
        expand.words(text, lookup)
      end)
    try({ "a=1 b='2 3' \"c\"=d", "a the rest $a" }, function(text)
      for _, pair in ipairs(expand.pairs(text, lookup)) do assert(pair.name ~= "", "no name") end
    end)
  end)

  it("rules of a .dockerignore ignore what they prune", function()
    try({ "*.o\n!a.o\n**/x\n# c\n[a-z]*\n\\!x\n a/../b\n", "**\n!**/y\n",
      "a/*/b[^c]?\n" }, function(text)
      local rules = ignore.parse(text, ".dockerignore")
      for _, names in ipairs{ { "a" }, { "a", "b", "c.o" }, { ("a"):rep(60) }, { "x", "y" } } do
        if rules:prunes(names) then
          table.insert(names, "below")
          assert(rules:ignores(names), "what is below is not ignored")
        end
      end
    end)
  end)

  it("patterns are compiled, or not, and literal ones cover themselves", function()
    try({ "a/*.c", "[a-z]?", "\\*", "a/b/c" }, function(text)
      local found = pattern.compile(text)
      if found and text:find("^[%w/]+$") and not text:find("//") then
        assert(found:covers((text:gsub("^/+", ""):gsub("/+$", ""))), "it does not")
      end
    end)
  end)

  it("references mean what they say", function()
    try({ "busybox", "docker://ghcr.io/a/b:1@sha256:" .. ("a"):rep(64), "localhost:5000/x",
      "oci:/p:name", "tag:x", "[::1]:80/a" }, function(text)
      local found = reference.parse(text)
      assert(found == nil or type(found) == "table", "no reference")
    end)
    try({ "01a209c8-7de6-709f-b1ff-58ce37160283", "a/b:c_d-1.e" }, function(text)
      local uuid = reference.uuid(text)
      assert(not uuid or uuid:find("^[%x-]+$") and #uuid == 36, "no uuid")
      assert(not reference.is_tag(text) or text:find("^[%l%d/:._-]+$"), "no tag")
    end)
  end)

  -- Headers whose checksum is wrong would not be looked at.
  local function mended(archive)
    return (archive:gsub(("."):rep(512), function(block)
      if block:sub(258, 262) ~= "ustar" then return nil end
      local head, tail = block:sub(1, 148), block:sub(157)
      local sum = 8 * 32
      for _, part in ipairs{ head, tail } do
        for i = 1, #part do sum = sum + part:byte(i) end
      end
      return ("%s%06o\0 %s"):format(head, sum, tail)
    end))
  end

  local function entries_of(text)
    local from, list = file(mended(text)), {}
    local ok, problem = pcall(function()
      local reader = untar.reader(from)
      for entry in function() return reader:next() end do
        list[#list + 1] = entry
        assert(#list < 100, "it has no end")
        for _, id in ipairs{ entry.uid, entry.gid, entry.size } do
          assert(id >= 0 and id % 1 == 0, "no number")
        end
        local size = entry.map and 0 or entry.size
        for bytes in untar.bytes(from, entry.offset or 0, size) do size = size - #bytes end
        assert(size == 0, "its bytes")
      end
    end)
    from:close()
    if not ok then error(problem, 0) end
    return list
  end

  it("an archive is read to its end", function()
    local function tarred(how)
      return disk.capture(("cd %s && mkdir -p t/d && echo x > t/f && ln -sf f t/l && "
        .. "truncate -s 1M t/s && echo y >> t/s && echo long > t/%s && "
        .. "tar cf - -b 1 -C t --sort=name %s ."):format(directory, ("n"):rep(120), how))
    end
    local archives = { tarred("--format=gnu -S"), tarred("--format=pax -S --sparse-version=1.0"),
      tarred("--format=pax -S --sparse-version=0.0 --pax-option=comment=x,mtime:=1.5"),
      tarred("--format=ustar --exclude=n*") }
    try(archives, entries_of)
    -- What tar never writes. A number that is none, or is negative, could lead backwards.
    local function header(size)
      return tar.header{ name = "f", type = "file", mode = 420, uid = 0, gid = 0, size = size }
    end
    for _, record in ipairs{ "pairs=x", "size=-1536", "size=0x10", "size=1e2", "size=nan",
      "uid=1.5", "GNU.sparse.numbytes=x", "GNU.sparse.size=-1" } do
      local text = ("%d %s\n"):format(#record + 4, record)
      local before = header(#text)
      before = before:sub(1, 156) .. "x" .. before:sub(158)
      local ok, problem = pcall(entries_of, before .. text .. tar.padding(#text) .. header(512)
        .. ("a"):rep(512) .. tar.FINISH)
      assert(ok or errors.is(problem, "file"), record .. ": " .. tostring(problem))
    end
  end)

  it("an archive has what was written", function()
    local out = io.tmpfile()
    local writer = tar.writer(out)
    local left = "abc"
    writer:add({ name = "a/" .. ("x"):rep(150), type = "file", mode = 420, uid = 3000000, gid = 0,
      size = 3, mtime = 5 }, function()
      local bytes = left
      left = nil
      return bytes
    end)
    writer:add{ name = "l", type = "link", mode = 511, uid = 0, gid = 0, size = 0, target = "a" }
    writer:finish()
    out:seek("set")
    local list = entries_of(out:read("*a"))
    out:close()
    assert.are.same({ "a/" .. ("x"):rep(150), "l" }, { list[1].name, list[2].name })
    assert.are.same({ 3000000, 3, 5 }, { list[1].uid, list[1].size, list[1].mtime })
    assert.are.equal("a", list[2].target)
  end)

  it("JSON is read, written and read as the same", function()
    try({ '{"a":[1,2.5e3,"\\u00e4",null,true],"b":{"c":-0}}', "[[[[1]]]]", '{"a":"\\ud800"}' },
      function(text)
        local value = json.decode(text)
        local written = value and json.encode(value)
        -- A null in a list leaves a hole.
        if written and not text:find("null") then assert.same(value, json.decode(written)) end
      end)
  end)

  it("profiles are found in any file", function()
    local function getenv(name) return name == "CONTREE_HOME" and directory or nil end
    try({ "[DEFAULT]\nprofile=x\n[profile:x]\ntoken = a%%b\nurl: https://h/p\nproject=p\n; c\n",
      "\239\187\191[profile:default]\r\nurl = local\r\n" }, function(text)
      disk.write(directory .. "/auth.ini", text)
      config.resolve({}, getenv)
    end)
  end)

  it("rules of the network are found by their name", function()
    local function getenv(name) return name == "CONTREE_HOME" and directory or nil end
    try({ "[x]\nallow = a.example, b.example:443\ndeny=c\nresolve = n 1.2.3.4\n[y]\n# c\n" },
      function(text)
        disk.write(directory .. "/network.ini", text)
        local found = config.network("x", getenv)
        assert(type(found.allow) == "table" and type(found.resolve) == "table", "no rules")
      end)
  end)

  it("logins of registries are texts", function()
    local function getenv(name)
      return name == "REGISTRY_AUTH_FILE" and directory .. "/auth.json" or nil
    end
    try({ '{"auths":{"ghcr.io":{"auth":"dTpw"},"ghcr.io/a":{"auth":"dTpx"}}}',
      '{"auths":{"ghcr.io":{}},"credHelpers":{"x":"../no"},"credsStore":"no such helper"}' },
      function(text)
        disk.write(directory .. "/auth.json", text)
        local found = logins.of("docker://ghcr.io/a/b:c", getenv)
        assert(not found or type(found.username) == "string" and type(found.password) == "string",
          "no login")
      end)
  end)

  it("users are ids", function()
    try({ "root:x:0:0:root:/root:/bin/sh\nuser:x:7:8::/home/user:/bin/sh\nwheel:x:10:root\n",
      "user:x:4294967295:1::/:\nwheel::-1:\n",
      "user:x:1e3:0x10:a:b:c\nwheel:x:1.5:\n" }, function(text)
      for _, name in ipairs{ "user", "7", "user:wheel", "root:5" } do
        local ok, found = pcall(users.find, nil, nil, name, function() return text end)
        if ok then
          for _, id in ipairs{ found.uid, found.gid } do
            assert(id >= 0 and id < 4294967295 and id % 1 == 0, "no id")
          end
        elseif not errors.is(found) then
          error(found, 0)
        end
      end
    end)
  end)

  it("operations have an outcome, whatever a server answers", function()
    try({ [[{"uuid":"x","status":"SUCCESS","error":null,"duration":1.5,"metadata":{"result":
      {"state":{"exit_code":0,"signal":-1,"timed_out":false,"pid":5},
      "resources":{"elapsed_time":0.1},
      "stdout":{"value":"aGk=","encoding":"base64"},"stderr":{"value":"x","encoding":"ascii"},
      "limit":"memory","limit_value":5,"isolation":["airlock"],"denied":[{"host":"a","count":1}]}},
      "result":{"image":"y"},"result_image_uuid":"z","image_uuid":"w"}]] }, function(text)
      local value = json.decode(text)
      if not value then return end
      local found = outcome.of_operation(value)
      assert(type(found.exited) == "boolean" and type(found.resources) == "table", "no outcome")
    end)
  end)

  it("Retry-After is a time, or nothing", function()
    try({ "120", "1.5", "-3", "Wed, 21 Oct 2065 07:28:00 GMT" }, function(text)
      local after = retry.after(text, 0)
      assert(after == nil or after >= 0, "no time")
    end)
  end)

  it("a text with all hunks of a diff is the other text", function()
    try({ "a\nb\nc\n|a\nc\nd", "1\n2\n3\n4\n5\n6\n7\n8\n9\n|1\n2\nx\n4\n5\n6\n7\n8\n", "|x\n",
      "a|a\n" }, function(text)
      local old, new = text:match("^([^|]*)|(.*)$")
      if not old or (old .. new):find("%z") then return end
      local list, numbers = core.diff_lines(old, new, 1), {}
      for i = 1, #list do numbers[i] = i end
      assert.equal(new, hunks.apply(old, list, numbers, "f"))
    end)
  end)

  -- Calls fn() where the user's state is in a directory of ours.
  local function with_state(fn)
    local getenv = os.getenv
    os.getenv = function(name) -- luacheck: ignore
      return name == "CONTREE_STATE_DIR" and directory or getenv(name)
    end
    local ok, problem = pcall(fn)
    os.getenv = getenv -- luacheck: ignore
    assert(ok, problem)
  end

  it("the plan of an apply is whole, or refused", function()
    local hash = ("a"):rep(64)
    local path = ("%s/workspace/journal/%s/00000001"):format(directory,
      core.sha256("/some/folder"):sub(1, 32))
    disk.capture("mkdir -p " .. path)
    local regular = '{"type":"file","mode":420,"sha256":"' .. hash .. '","uid":0,"gid":0}'
    local link = '{"type":"link","sha256":"' .. hash .. '","target":"YQ=="}'
    local plan = ('{"version":1,"time":5,"steps":[{"path":"YS9i","name":".contree-1","old":"old/1",'
      .. '"expected":%s,"wanted":{"type":"absent"}},{"path":"YQ==","name":".contree-2",'
      .. '"expected":%s,"wanted":%s}]}'):format(regular, link, regular)
    with_state(function()
      try({ plan .. "|1 2\n", plan .. "|", plan .. "|2\n" }, function(text)
        local before, ended = text:match("^(.*)|([^|]*)$")
        disk.write(path .. "/plan", before or text)
        disk.write(path .. "/ended", ended or "")
        local call = journal.last("/some/folder")
        if not call then return end
        for _, step in ipairs(call.steps) do
          assert(type(step.path) == "string", "no path")
          for _, found in ipairs{ step.expected, step.wanted } do
            assert(type(found.type) == "string", "no state")
            assert(found.type ~= "link" or type(found.target) == "string", "no target")
          end
        end
        call.folder:close()
      end)
    end)
  end)

  it("the record of a folder is what was kept, or none", function()
    with_state(function()
      local records = kept.open({ "a", "b" }, true)
      records:keep("x", { base = "y", index = "some index\n" })
      local name = core.sha256(table.concat({ "a\0b", "record", "x" }, "\0"))
      local right = disk.read(directory .. "/workspace/" .. name)
      try({ right }, function(text)
        disk.write(directory .. "/workspace/" .. name, text)
        local found = kept.open({ "a", "b" }, true):of("x")
        assert(not found or found.base == "y" and found.index == "some index\n", "damaged")
      end)
    end)
  end)

  it("a store of sessions is read, or refused", function()
    local path = directory .. "/sessions.db"
    local store = sessions.new(path)
    store.rows:write(function(rows)
      rows:add_session{ id = "s", server = "x", branch = "main", created_at = "1",
        updated_at = "2" }
    end)
    store:close()
    try({ disk.read(path) }, function(text)
      disk.write(path, text)
      for _, suffix in ipairs{ "-wal", "-shm", "-journal" } do os.remove(path .. suffix) end
      local damaged = sessions.new(path, { timeout = 0 })
      local ok, problem = pcall(damaged.list, damaged)
      damaged:close()
      if not ok then error(problem, 0) end
    end)
  end)

  -- What the program's parser makes of a command line; nothing where it ends with a message.
  local function parsed(argv)
    local exit, stderr, print_before = os.exit, io.stderr, print
    local ended = {}
    os.exit = function() error(ended, 0) end -- luacheck: ignore
    io.stderr = { write = function() end }  -- luacheck: ignore
    _G.print = function() end               -- luacheck: ignore
    local ok, args, row = pcall(arguments.parse, argv)
    os.exit, io.stderr, _G.print = exit, stderr, print_before -- luacheck: ignore
    if ok then return args, row end
    if args ~= ended then error(args, 0) end
  end

  if arguments then it("a command line is what it says, or a mistake", function()
    local NUMBERS = { "timeout", "memory", "cpus", "pids", "quota", "steps" }
    try({ "run\n-e\nA=b\n--timeout\n2m\n--memory=512M\n--cpus\n1.5\n--pids\n9\nbusybox\n--\n"
        .. "ls\n-l\n--", "on\n.\n-i\nbusybox\n--allow\nexample.org\n--\nmake\ntest",
      "shell", "--json\nlog\n-S\nname", "rollback\n3", "volumes\ncache\n--quota\n2G",
      "run\n-f\na:/b\n-v\nc:/d\n-s\n@\necho hi", "gc\n--older-than\n30d", "apply\n--risky\na/**",
      "run\n--cpus\n1e999\nbusybox\nls", "run\n--timeout\n" .. ("9"):rep(400) .. "\nbusybox\nls",
      "run\n--memory\n" .. ("9"):rep(400) .. "\nbusybox\nls",
      "--help", "changes\n-C\n/tmp\n--stat\na\nb", "completion\nzsh" }, function(text)
      local argv = {}
      for word in (text .. "\n"):gmatch("([^\n]*)\n") do argv[#argv + 1] = word end
      local args, row = parsed(argv)
      if not args then return end
      assert(row and row[1] == args.command_name, "no command")
      for _, name in ipairs(NUMBERS) do
        local value = args[name]
        assert(value == nil or value >= 0 and value < math.huge, name)
      end
      -- The other command's last words are those behind the first "--".
      local dashes, words = 1, row.rest and args.command or {}
      while argv[dashes] and argv[dashes] ~= "--" do dashes = dashes + 1 end
      for i = 0, math.min(#words, #argv - dashes) - 1 do
        assert(words[#words - i] == argv[#argv - i], "another command")
      end
    end)
  end) end

  -- What a server writes that gets these lines.
  local function served(...)
    local lines, at, written = { ... }, 0, {}
    contree.spawn(function()
      mcp.serve({}, function()
        at = at + 1
        contree.sleep(0)
        return lines[at] and lines[at] .. "\n"
      end, function(line) written[#written + 1] = assert(json.decode(line)) end)
    end):wait()
    return written
  end

  -- How many answers a message must have at least: a request of a batch that cancels another
  -- one of it has none.
  local function count_requests(value)
    local count = 0
    for _, message in ipairs(value and value[1] ~= nil and value or { value }) do
      local is_request = type(message) == "table" and message.id ~= nil
        and type(message.method) == "string"
      count = count + (is_request and 1 or 0)
    end
    return count
  end

  if mcp then it("messages of agents are answered, and the server goes on", function()
    local last = '{"jsonrpc":"2.0","id":"last","method":"ping"}'
    try({ '{"jsonrpc":"2.0","id":1,"method":"initialize","params":'
        .. '{"protocolVersion":"2025-03-26"}}',
      '{"jsonrpc":"2.0","id":"a","method":"tools/list"}',
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
      '[{"jsonrpc":"2.0","id":2,"method":"ping"},{"jsonrpc":"2.0","id":3,"method":"prompts/list"}]',
      '[{"jsonrpc":"2.0","id":2,"method":"\255"},{"jsonrpc":"2.0","id":3,"method":"ping"}]',
      '{"jsonrpc":"2.0","id":"\255","method":"ping"}',
      '{"jsonrpc":"2.0","id":4,"method":"prompts/get","params":{"name":"x","arguments":{"a":"b"}}}',
      '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"no_such_tool"}}',
      '{"jsonrpc":"2.0","id":6,"method":"server/discover","params":{"_meta":'
        .. '{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        .. '"io.modelcontextprotocol/clientCapabilities":{}}}}' }, function(text)
      text = text:gsub("\n", " ")
      local count, is_last = 0, false
      for _, value in ipairs(served(text, last)) do
        for _, message in ipairs(value[1] and value or { value }) do
          assert(message.jsonrpc == "2.0" and (message.result == nil) ~= (message.error == nil))
          is_last = is_last or message.id == "last"
          count = count + 1
        end
      end
      assert(is_last, "the last message is not answered")
      local expected = core.is_utf8(text) and count_requests(json.decode(text)) or 0
      assert(text:find("cancelled") or count > expected, "a lost answer")
    end)
  end) end
end)
