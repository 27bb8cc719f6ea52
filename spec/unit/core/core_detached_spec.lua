local core = require("contree.core")
local disk = require("spec.support.disk")
local support = require("spec.support.core_peer")

describe("start_detached", function()
  local directory

  before_each(function() directory = disk.directory() end)
  after_each(function() os.execute("rm -rf " .. directory) end)

  -- Starts a shell script whose $1 $2 are what start_detached() appended.
  local function start(script, log)
    return assert(core.start_detached("/bin/sh", {"sh", "-c", script, "name"}, log))
  end

  local function eventually(condition)
    for _ = 1, 2000 do
      if condition() then return true end
      os.execute("sleep 0.01")
    end
    return false
  end

  -- The same, and waits until it is ready or has ended: ready, last line.
  local function spawn(script, log)
    local program, ready = start(script, log), nil
    eventually(function()
      ready = program:ready()
      return ready ~= nil
    end)
    return ready, program:last_line()
  end

  it("tells when the program says that it is ready", function()
    local path = directory .. "/out"
    assert.is_true(spawn("echo \"$@\" >" .. path .. "; printf x >&3; exec sleep 0"))
    assert.equal("--ready-fd 3\n", disk.read(path))
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
    for line in disk.read(path):gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal("/", lines[1])
    local parent, session = lines[2]:match("(%d+) (%d+)")
    assert.not_equal(core.getpid(), tonumber(parent))
    assert.not_equal(lines[3], session) -- cannot get a terminal again
    local own = disk.read("/proc/" .. core.getpid() .. "/stat"):match("%) %S %d+ %d+ (%d+)")
    assert.not_equal(own, session)
    -- 0 to 3, the total line, and what the shell itself opened for ls
    assert.is_true(tonumber(lines[4]) <= 7)
    assert.equal("/dev/null", lines[5])
    assert.equal("/dev/null", lines[7])
    assert.matches("SigBlk:%s*0+$", lines[8])
    -- 32 and 33 are the C library's own, and may be ignored from the beginning.
    local ignored = lines[9]:match("SigIgn:%s*%x*(%x%x%x%x%x%x%x%x)$")
    assert.equal(0, tonumber(ignored, 16) % 2 ^ 31)
  end)

  it("is not our child", function()
    assert.is_true(spawn("printf x >&3; sleep 0.1"))
    local children = disk.capture("ps -o pid= --ppid " .. core.getpid() .. " | wc -l")
    assert.equal(1, tonumber(children)) -- the shell that counts
  end)

  it("leaves our signals and descriptors as they were", function()
    local function ours()
      local status = disk.read("/proc/" .. core.getpid() .. "/status")
      return status:match("SigBlk:%s*(%x+)") .. status:match("SigIgn:%s*(%x+)")
        .. status:match("SigCgt:%s*(%x+)") .. support.open_files()
    end
    local before = ours()
    spawn("printf x >&3")
    spawn("exit 1")
    start("sleep 5"):stop()
    core.start_detached("/nowhere/engine", {"engine"})
    core.start_detached("/bin/true", {"true"}, "/nowhere/log")
    collectgarbage()
    collectgarbage()
    assert.equal(before, ours())
  end)

  it("appends what it prints to the log, which only we may read", function()
    local log = directory .. "/log"
    assert.is_true(spawn("echo out; echo err >&2; printf x >&3", log))
    assert.is_true(spawn("echo more; printf x >&3", log))
    assert.equal("out\nerr\nmore\n", disk.read(log))
    assert.equal(384, core.stat(log).mode)
  end)

  it("does not wait", function()
    local path = directory .. "/go"
    local program = start("while [ ! -e " .. path .. " ]; do sleep 0.01; done; printf x >&3")
    assert.is_nil(program:ready())
    assert.is_nil(program:ready())
    os.execute("touch " .. path)
    assert.is_true(eventually(function() return program:ready() end))
    assert.is_true(program:ready())
  end)

  it("tells that it ended, and its last words", function()
    local log = directory .. "/log"
    local ready, words = spawn("echo first; echo cannot bind >&2; exit 1", log)
    assert.is_false(ready)
    assert.equal("cannot bind", words)
    ready, words = spawn("exit 1", log)
    assert.is_false(ready)
    assert.is_nil(words)
    words = select(2, spawn("yes x | head -c 100000; printf end", log))
    assert.equal("end", words)
    assert.is_nil((select(2, spawn("echo gone; exit 1"))))
  end)

  it("can be ended", function()
    local program = start("trap 'echo ended >" .. directory .. "/ended; exit' TERM; echo >"
                          .. directory .. "/begun; while :; do sleep 0.05; done")
    assert.is_true(eventually(function() return core.stat(directory .. "/begun") end))
    program:stop()
    assert.is_false(program:ready())
    assert.is_true(eventually(function() return core.stat(directory .. "/ended") end))
    program:stop()
  end)

  it("is not ended once it is ready, nor by being forgotten", function()
    local program = start("printf x >&3; sleep 0.2; echo >" .. directory .. "/ready")
    assert.is_true(eventually(function() return program:ready() end))
    program:stop()
    start("trap '' PIPE; sleep 0.2; printf x >&3; echo >" .. directory .. "/forgotten")
    collectgarbage()
    collectgarbage()
    assert.is_true(eventually(function() return core.stat(directory .. "/ready") end))
    assert.is_true(eventually(function() return core.stat(directory .. "/forgotten") end))
  end)

  it("tells why it cannot start", function()
    local program, message = core.start_detached("/nowhere/engine", {"engine"})
    assert.is_nil(program)
    assert.equal("/nowhere/engine: No such file or directory", message)
    assert.matches("Permission denied", (select(2, core.start_detached("/etc/passwd", {"x"}))))
    assert.equal("/nowhere/log: No such file or directory",
                 (select(2, core.start_detached("/bin/true", {"true"}, "/nowhere/log"))))
  end)

  it("raises for misuse", function()
    assert.error(function() core.start_detached("/bin/true") end)
    assert.error(function() core.start_detached("/bin/true", {}) end)
    assert.error(function() core.start_detached("/bin/true", {1}) end)
    assert.error(function() core.start_detached("/bin/true", {"true"}, {}) end)
  end)
end)
