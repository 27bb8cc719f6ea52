-- Memory and processor time of processes, from /proc.
local disk = require("spec.support.disk")
local process = {}

--- The largest resident size that a process has had, in MB.
---@param pid integer|"self"
function process.peak(pid)
  return tonumber(disk.read("/proc/" .. pid .. "/status"):match("VmHWM:%s*(%d+)")) / 1024
end

--- Its resident size now, in MB.
function process.now(pid)
  return tonumber(disk.read("/proc/" .. pid .. "/status"):match("VmRSS:%s*(%d+)")) / 1024
end

--- Seconds of processor time that it has used.
function process.cpu(pid)
  local fields = {}
  for field in disk.read("/proc/" .. pid .. "/stat"):match("%) (.*)"):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  return (tonumber(fields[12]) + tonumber(fields[13])) / 100
end

return process
