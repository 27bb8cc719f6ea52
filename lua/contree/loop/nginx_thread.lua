--- The code that a thread of an nginx pool runs, in a Lua state of its own (see
--- loop/nginx.lua).

local ffi = require("ffi")

ffi.cdef[[
struct contree_pollfd { int fd; short events, revents; };
int poll(struct contree_pollfd *fds, unsigned long count, int milliseconds);
]]

local POLLIN = 1
local nginx_thread = {}

--- Waits until a descriptor is readable, or so many milliseconds.
function nginx_thread.wait(fd, milliseconds)
  local waited = ffi.new("struct contree_pollfd[1]", { { fd, POLLIN, 0 } })
  return ffi.C.poll(waited, 1, milliseconds)
end

return nginx_thread
