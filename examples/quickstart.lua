-- A tour of contree. Run it with `make demo`, or by hand:
--
--   eval "$(make -s env)" && lua5.4 examples/quickstart.lua
--
-- No account is needed: the local engine is started by the first command.

local contree = require("contree")

local client = contree.new()
local busybox = client.images:use("busybox:latest")

-- Prints a heading, then what a command wrote.
local function show(title, text)
  print(("%-34s %s"):format(title, (text:gsub("\n$", ""):gsub("\n", " | "))))
end

-- A lone string is run by the sandbox's shell.
local result = busybox:run("echo hello | tr a-z A-Z")
show("a shell command", result.stdout)

-- A program with its arguments: no shell, nothing to quote.
result = busybox:run{ command = "echo", args = { "$HOME", "*", "a  b" } }
show("a program with arguments", result.stdout)

-- Bytes in, bytes out.
result = busybox:run{ shell = "sort -r | head -n 2", stdin = "cherry\napple\nbanana\n" }
show("stdin", result.stdout)

-- Environment and working directory.
result = busybox:run{
  shell = 'echo "$GREETING from $PWD"',
  env = { GREETING = "hi" },
  cwd = "/tmp",
}
show("env and cwd", result.stdout)

-- The two outputs are kept apart, and a failing command is a result: ask its
-- exit code. (With check = true it would be an error.)
result = busybox:run{ shell = "echo fine; echo trouble >&2; exit 3" }
show("stdout", result.stdout)
show("stderr", result.stderr)
show("exit code", tostring(result.exit_code))

-- Files go in: from this machine, or made on the spot.
result = busybox:run{
  shell = "wc -l < /tour.lua; /bin/greet",
  files = {
    ["/tour.lua"] = arg and arg[0] or "examples/quickstart.lua",
    ["/bin/greet"] = { data = "#!/bin/sh\necho made on the spot\n", mode = "0755" },
  },
}
show("files", result.stdout)

-- What a command changes is dropped, unless it is kept as a new image.
local built = busybox:run{ shell = "echo 'version 1' > /release", disposable = false }
show("a new image", built.uuid)
show("run from it", built:run("cat /release").stdout)
show("the old one has not changed", busybox:run("cat /release").stderr)

-- Two futures of one image, at the same time.
local fast, safe = contree.gather(
  function() return built:run{ shell = "sed -i s/1/1-fast/ /release", disposable = false } end,
  function() return built:run{ shell = "sed -i s/1/1-safe/ /release", disposable = false } end)
show("one branch", fast:run("cat /release").stdout)
show("another", safe:run("cat /release").stdout)

-- A session is an image that moves with every run, and can go back.
local session = busybox:session()
session:run("echo bread >> /list")
session:run("echo butter >> /list")
session:run("echo poison >> /list")
session:rollback()
show("a session, rolled back", session:read("/list"))

-- Output can be watched while the command runs.
io.write(("%-34s "):format("live output"))
busybox:run{
  shell = "for i in 1 2 3; do echo $i; sleep 0.05; done",
  stdout = function(chunk)
    io.write((chunk:gsub("\n", " ")))
    io.flush()
  end,
}
print()

-- Errors say what is wrong and what to do.
local ok, err = pcall(busybox.run, busybox, { shel = "true" })
show("a mistake", tostring(ok or err))
