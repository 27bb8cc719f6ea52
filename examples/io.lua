-- Input and output: every way for bytes to get in and out.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")
local path = os.tmpname()

-- stdin = a string. Strings are bytes: nothing is ever re-encoded.
local result = image:run{ command = "wc", args = { "-c" }, stdin = "\0\1\2\255" }
io.write("a string:   ", result.stdout)

-- stdin = a function that returns chunks, then nil.
local left = 3
result = image:run{
  command = "cat",
  stdin = function()
    left = left - 1
    return left >= 0 and "chunk " or nil
  end,
}
print("a function: " .. result.stdout)

-- stdout = { path = } writes a local file, stdin = { path = } reads one.
image:run{ shell = "echo 'from the sandbox'", stdout = { path = path } }
result = image:run{ command = "cat", stdin = { path = path } }
io.write("files:      ", result.stdout)

-- stdout = an open file: written at its position, and not closed.
local file = assert(io.open(path, "w"))
file:write("header\n")
image:run{ shell = "echo line", stdout = file }
file:close()
result = image:run{ command = "cat", stdin = { path = path } }
print("handles:    " .. result.stdout:gsub("\n", " "))

-- contree.PIPE makes the result's field something to read from.
result = image:run{ shell = "echo one; echo two; echo oops >&2", stdout = contree.PIPE }
for line in result.stdout:lines() do print("PIPE:       " .. line) end

-- A buffer collects from several runs.
local log = contree.buffer()
image:run{ shell = "echo first", stdout = log }
image:run{ shell = "echo second >&2", stderr = log }
print("buffer:     " .. log:read("a"):gsub("\n", " "))

-- A function is called as output arrives, while the command runs.
image:run{
  shell = "for i in 1 2 3; do echo $i; sleep 0.1; done",
  stdout = function(chunk) io.write("live:       ", chunk) end,
}

-- Output beyond truncate_output_at (1 MiB by default) is cut off, and marked so.
result = image:run{ shell = "yes", truncate_output_at = 4, timeout = 1 }
print("truncated:  " .. result.stdout:gsub("\n", " ") .. tostring(result.stdout_truncated))

os.remove(path)
