-- Command mode and shell mode.

local contree = require("contree")

local image = contree.new().images:use("busybox:latest")

-- Command mode: the program gets its arguments as they are. Nothing is quoted,
-- split or expanded, so strings from elsewhere are safe here.
local name = "it's; rm -rf $HOME *"
io.write("command:  ", image:run{ command = "/bin/echo", args = { name } }.stdout)

-- Shell mode: pipes, redirects, wildcards and variables mean something.
io.write("shell:    ", image:run{ shell = "ls -d /b* | tr '\\n' ' '; echo" }.stdout)

-- Strings from elsewhere go into a shell line as variables or as input.
io.write("variable: ", image:run{ shell = 'printf "%s\\n" "$NAME" | wc -c',
  env = { NAME = name } }.stdout)
io.write("input:    ", image:run{ shell = "cat | wc -c", stdin = name }.stdout)

-- A program without a path is looked for in PATH; 127 says that there is none.
print("missing:  " .. image:run{ command = "no-such-program" }.exit_code)

-- One of the two has to be said, and only one.
local ok, err = pcall(image.run, image, { shell = "true", command = "true" })
print("both:     " .. tostring(ok) .. ", " .. err.message)
