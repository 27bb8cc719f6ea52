-- A program can open its own streams again by each of their names: as every user, in the
-- main process and in subprocesses, in the native sandbox and in that of a runtime.
-- (nginx, tee, loggers and every script with `> /dev/stderr` do so.)
local wire = require("spec.support.wire")

-- Opens all three streams by each of their names, for reading, writing or both.
local OPENS = [[
  for d in /dev/ /proc/self/fd/ /dev/fd/; do
    case $d in /dev/) i=stdin o=stdout e=stderr;; *) i=0 o=1 e=2;; esac
    cat < $d$i > /tmp/in-$$ || echo "cannot read $d$i"
    echo "$d$o" > $d$o || echo "cannot write $d$o"
    echo "$d$e" > $d$e || echo "cannot write $d$e"
    echo "$d$e" | tee -a $d$e > /dev/null || echo "cannot append to $d$e"
    exec 7<>$d$o && echo both >&7 || echo "cannot open $d$o for both"
    exec 7>&-
  done
  exec 3>/dev/stderr && echo three >&3
  cat /tmp/in-$$; rm /tmp/in-$$]]

local OUT, ERR = "", ""
for _, name in ipairs{ "/dev/stdout", "/proc/self/fd/1", "/dev/fd/1" } do
  OUT = OUT .. name .. "\nboth\n"
  ERR = ERR .. (name:gsub("stdout", "stderr"):gsub("1$", "2") .. "\n"):rep(2)
end
ERR = ERR .. "three\n"

for _, runtime in ipairs{ "native", "crun" } do
  describe("A1: the streams of a process, made by " .. runtime .. ",", function()
    local engine

    setup(function() engine = wire.start("--runtime " .. runtime) end)
    teardown(function() engine:stop() end)

    for _, id in ipairs{ 0, 1000, 65534 } do
      it("open again as user " .. id, function()
        for _, input in ipairs{ wire.null, { value = "" } } do
          local found = engine:run(wire.shell(OPENS,
            { uid = engine:id(id), gid = engine:id(id), stdin = input })).metadata.result
          assert.are.equal(ERR, wire.bytes(found.stderr))
          assert.are.equal(OUT, wire.bytes(found.stdout))
        end
      end)
    end

    it("are read again, whole, by a program that opens them", function()
      for _, name in ipairs{ "/dev/stdin", "/proc/self/fd/0", "/dev/fd/0" } do
        local found = engine:run(wire.shell("cat " .. name,
          { uid = engine:id(1000), stdin = { value = ("line\n"):rep(20000) } })).metadata.result
        assert.are.equal(100000, #wire.bytes(found.stdout), wire.bytes(found.stderr))
      end
    end)

    -- Returns the output of a subprocess in a sandbox whose main process is root's.
    local function join(command, uid, gid)
      local uuid = engine:spawn(wire.shell("sleep 60"))
      local at = ("/v1/operations/%s/subprocesses"):format(uuid)
      wire.await(engine:follow(uuid, "?follow=1"), "spawn")
      local reply = engine:post(at, wire.shell(command, { uid = uid, gid = gid }))
      assert.are.equal(201, reply.status, reply.body)
      local found = wire.eventually("its end", function()
        local state = engine:get(("%s/%d"):format(at, reply.json.spid)).json
        return state.state and state.state.exit_code ~= -1 and state
      end)
      engine:request("DELETE", "/v1/operations/" .. uuid)
      engine:wait(uuid)
      return wire.bytes(found.stdout), wire.bytes(found.stderr)
    end

    it("open again in a process that joins", function()
      local out, err = join(OPENS, engine:id(1000), engine:id(7))
      assert.are.equal(ERR, err)
      assert.are.equal(OUT, out)
    end)

    it("are closed to processes of another user", function()
      local id = engine:id(1000)
      if id == 0 then return end -- there is only one user
      local out, err = join("echo x > /proc/2/fd/1; cat /proc/1/fd/3; echo $?", id, id)
      assert.are.equal("1\n", out)
      local _, refused = err:gsub("ermission denied", "")
      assert.are.equal(2, refused, err)
    end)
  end)
end
