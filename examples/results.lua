-- The result object of a run.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")

local result = image:run{ shell = "echo out; echo err >&2; touch /made; exit 3",
  disposable = false }
io.write("stdout:    ", result.stdout)
io.write("stderr:    ", result.stderr)
print("exit code: " .. result.exit_code)

-- It is also the image that the command left, so runs can go on from there.
print("uuid:      " .. #result.uuid .. " characters, changed: " .. tostring(result.changed))
io.write("goes on:   ", result:run("ls /made").stdout)
print("reads:     " .. tostring(result:exists("/made")))

-- How it ended, and which resources it used.
result = image:run("kill -TERM $$")
print("signal:    " .. result.signal .. ", exit code " .. result.exit_code)
result = image:run{ shell = "sleep 60", timeout = 1 }
print("timed out: " .. tostring(result.timed_out) .. ", limit " .. result.limit .. " of "
  .. result.limit_value .. " s")
print("took:      " .. tostring(result.duration >= 1) .. ", memory known: "
  .. tostring(result.resources.max_rss > 0))

-- Output that was too long is marked as cut off; the result is never lost.
result = image:run{ shell = "echo 123456789", truncate_output_at = 4 }
print("truncated: " .. result.stdout .. ", " .. tostring(result.stdout_truncated))

-- The operation behind it: its id, and all that happened.
print("operation: " .. result.operation:status())
