-- Files and shell commands, for specs.
local disk = {}

--- A shell loop that ends when the process has ended. A zombie counts as ended, because PID 1
--- does not reap in some containers.
function disk.wait_for_end(pid)
  return ([[while awk '/^State/ { s = $2 } /^Threads/ { t = $2 }
    END { exit !(s != "" && (s !~ /[ZX]/ || t > 1)) }' /proc/%d/status 2>/dev/null
    do sleep 0.02; done]]):format(pid)
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

--- Makes a directory with a name that shows it is a spec's.
function disk.directory()
  -- With "" specs would make their files in the root directory.
  return assert(disk.capture("mktemp -d -t contree-spec.XXXXXX"):match("^(/.+)\n$"))
end

--- Removes a tree, including the files of a rootless engine's other ids.
function disk.remove(path)
  local quoted = disk.quote(path)
  os.execute(([[chmod -R u+rwX %s 2>/dev/null
    rm -rf %s 2>/dev/null || unshare --map-auto --map-root-user rm -rf %s]])
    :format(quoted, quoted, quoted))
end

--- The content of a file, or nil if it does not exist.
function disk.peek(path)
  local file = io.open(path, "rb")
  local data = file and file:read("*a")
  if file then file:close() end
  return data
end

--- The content of a file, which must exist.
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
