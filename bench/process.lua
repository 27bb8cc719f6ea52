-- What processes take, from /proc: for the benchmarks.
local process = {}

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

--- The most that a process has had resident, in MB.
---@param pid integer|"self"
function process.peak(pid)
  return tonumber(read("/proc/" .. pid .. "/status"):match("VmHWM:%s*(%d+)")) / 1024
end

--- What it has resident now, in MB.
function process.now(pid)
  return tonumber(read("/proc/" .. pid .. "/status"):match("VmRSS:%s*(%d+)")) / 1024
end

--- Seconds of processor time that it has used.
function process.cpu(pid)
  local fields = {}
  for field in read("/proc/" .. pid .. "/stat"):match("%) (.*)"):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  return (tonumber(fields[12]) + tonumber(fields[13])) / 100
end

return process
