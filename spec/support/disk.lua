-- Files, and the shell commands that deal with them, for specs.
local disk = {}

--- A loop of the shell that ends when the process has ended. A zombie has: where PID 1 does
--- not reap, as in some containers, it stays.
function disk.wait_for_end(pid)
  return ("while grep -q '^State:.[^ZX]' /proc/%d/status 2>/dev/null; do sleep 0.02; done")
    :format(pid)
end

--- Runs a shell command on this machine; returns what it printed.
function disk.capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

--- A text as one word of a shell command.
function disk.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- A new empty directory whose name tells that a spec made it.
function disk.directory()
  -- Of "" specs would make their files in the root directory.
  return assert(disk.capture("mktemp -d -t contree-spec.XXXXXX"):match("^(/.+)\n$"))
end

--- Removes a tree, with what belongs to the ids of a rootless engine.
function disk.remove(path)
  local quoted = disk.quote(path)
  os.execute(([[chmod -R u+rwX %s 2>/dev/null
    rm -rf %s 2>/dev/null || unshare --map-auto --map-root-user rm -rf %s]])
    :format(quoted, quoted, quoted))
end

--- What a file holds, or nil if it is not there.
function disk.peek(path)
  local file = io.open(path, "rb")
  local data = file and file:read("*a")
  if file then file:close() end
  return data
end

--- What a file holds, which must be there.
function disk.read(path)
  return disk.peek(path) or error("there is no " .. path, 2)
end

--- Writes a file; returns its path.
function disk.write(path, data)
  local file = assert(io.open(path, "wb"))
  assert(file:write(data))
  file:close()
  return path
end

return disk
