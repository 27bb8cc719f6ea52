local core = require("contree.core")
local support = require("spec.support.core_peer")

describe("spawn_detached", function()
  local directory

  before_each(function() directory = support.directory() end)
  after_each(function() os.execute("rm -rf " .. directory) end)

  -- Runs a shell script whose $1 $2 are what spawn_detached() appended.
  local function spawn(script, timeout, log)
    return core.spawn_detached("/bin/sh", {"sh", "-c", script, "name"}, timeout or 20, log)
  end

  it("returns when the program says that it is ready", function()
    local path = directory .. "/out"
    assert.is_true(spawn("echo \"$@\" >" .. path .. "; printf x >&3; exec sleep 0"))
    assert.equal("--ready-fd 3\n", support.read_file(path))
  end)

  it("gives it a world of its own", function()
    local path = directory .. "/out"
    os.execute("true") -- a child of ours that is gone
    local kept = io.open(path .. ".held", "w") -- must not be inherited
    assert.is_true(spawn(([[
      { pwd; cut -d" " -f4,6 /proc/$$/stat; echo $$; ls -l /proc/$$/fd | wc -l
        readlink /proc/$$/fd/0; readlink /proc/$$/fd/1; readlink /proc/$$/fd/2
        while read -r line; do case $line in Sig[BI]*) echo "$line";; esac; done </proc/$$/status
      } >%s
      printf x >&3]]):format(path)))
    kept:close()
    local lines = {}
    for line in support.read_file(path):gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal("/", lines[1])
    local parent, session = lines[2]:match("(%d+) (%d+)")
    assert.not_equal(core.getpid(), tonumber(parent))
    assert.not_equal(lines[3], session) -- cannot get a terminal again
    local own = support.read_file("/proc/" .. core.getpid() .. "/stat"):match("%) %S %d+ %d+ (%d+)")
    assert.not_equal(own, session)
    -- 0 to 3, the total line, and what the shell itself opened for ls
    assert.is_true(tonumber(lines[4]) <= 7)
    assert.equal("/dev/null", lines[5])
    assert.equal("/dev/null", lines[7])
    assert.matches("SigBlk:%s*0+$", lines[8])
    -- 32 and 33 are the C library's own: whoever started us may ignore them.
    local ignored = lines[9]:match("SigIgn:%s*%x*(%x%x%x%x%x%x%x%x)$")
    assert.equal(0, tonumber(ignored, 16) % 2 ^ 31)
  end)

  it("is not our child", function()
    assert.is_true(spawn("printf x >&3; sleep 0.1"))
    local children = support.capture("ps -o pid= --ppid " .. core.getpid() .. " | wc -l")
    assert.equal(1, tonumber(children)) -- the shell that counts
  end)

  it("leaves our signals and descriptors as they were", function()
    local function ours()
      local status = support.read_file("/proc/" .. core.getpid() .. "/status")
      return status:match("SigBlk:%s*(%x+)") .. status:match("SigIgn:%s*(%x+)")
        .. status:match("SigCgt:%s*(%x+)") .. support.open_files()
    end
    local before = ours()
    spawn("printf x >&3")
    spawn("exit 1")
    spawn("sleep 5", 0.05)
    core.spawn_detached("/nowhere/engine", {"engine"}, 1)
    core.spawn_detached("/bin/true", {"true"}, 1, "/nowhere/log")
    assert.equal(before, ours())
  end)

  it("appends what it prints to the log, which only we may read", function()
    local log = directory .. "/log"
    assert.is_true(spawn("echo out; echo err >&2; printf x >&3", 20, log))
    assert.is_true(spawn("echo more; printf x >&3", 20, log))
    assert.equal("out\nerr\nmore\n", support.read_file(log))
    assert.equal(384, core.stat(log).mode)
  end)

  it("tells that it ended, and its last words", function()
    local log = directory .. "/log"
    local ok, message = spawn("echo first; echo cannot bind >&2; exit 1", 20, log)
    assert.is_nil(ok)
    assert.equal("/bin/sh exited before it was ready: cannot bind", message)
    ok, message = spawn("exit 1", 20, log)
    assert.is_nil(ok)
    assert.equal("/bin/sh exited before it was ready", message)
    message = select(2, spawn("yes x | head -c 100000; printf end", 20, log))
    assert.equal("/bin/sh exited before it was ready: end", message:sub(-#message))
    assert.equal("/bin/sh exited before it was ready", (select(2, spawn("echo gone; exit 1"))))
  end)

  it("ends one that is late", function()
    local ok, message = spawn("trap 'echo ended >" .. directory .. "/ended; exit' TERM; "
                              .. "while :; do sleep 0.05; done", 0.3)
    assert.is_nil(ok)
    assert.matches("was not ready within 0.3 seconds", message)
    for _ = 1, 200 do
      if core.stat(directory .. "/ended") then break end
      os.execute("sleep 0.05")
    end
    assert.is_table(core.stat(directory .. "/ended"))
  end)

  it("tells why it cannot start", function()
    local ok, message = core.spawn_detached("/nowhere/engine", {"engine"}, 1)
    assert.is_nil(ok)
    assert.equal("/nowhere/engine: No such file or directory", message)
    assert.matches("Permission denied", select(2, core.spawn_detached("/etc/passwd", {"x"}, 1)))
    assert.equal("/nowhere/log: No such file or directory",
                 (select(2, core.spawn_detached("/bin/true", {"true"}, 1, "/nowhere/log"))))
  end)

  it("raises for misuse", function()
    assert.error(function() core.spawn_detached("/bin/true") end)
    assert.error(function() core.spawn_detached("/bin/true", {}, 1) end)
    assert.error(function() core.spawn_detached("/bin/true", {1}, 1) end)
    assert.error(function() core.spawn_detached("/bin/true", {"true"}) end)
  end)
end)
