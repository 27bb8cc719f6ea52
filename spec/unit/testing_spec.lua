-- contree.testing, the client for the tests of user programs.
local contree = require("contree")
local failure = require("spec.support.failure")
local testing = require("contree.testing")

describe("contree.testing", function()
  local function refuses(kind, pattern, fn, ...)
    local err = failure(fn, ...)
    assert.are.equal(kind, err.kind)
    assert.matches(pattern, tostring(err))
    return err
  end

  it("answers what it was told, and logs what was asked", function()
    local client, fake = testing.client{ run = {
      ["ls -la"] = "listing\n",
      ["^make"] = { stdout = "cc\n", stderr = "no rule\n", exit_code = 2 },
      ["^make test"] = { signal = 11 },
      ["wc"] = function(call) return tostring(#call.stdin) end,
    } }
    local image = client.images:use("busybox:latest")
    assert.are.equal("listing\n", image:run("ls -la").stdout)
    local result = image:run{ command = "make", args = { "all" }, env = { A = "1" } }
    assert.are.equal("cc\n", result.stdout)
    assert.are.equal("no rule\n", result.stderr)
    assert.are.equal(2, result.exit_code)
    assert.are.equal(11, image:run("make test").signal)
    assert.are.equal("3", image:run{ shell = "wc -c", stdin = "\0\255a" }.stdout)
    assert.are.equal(4, #fake.calls)
    assert.are.same({ "make", "all" }, fake.calls[2].argv)
    assert.are.equal("1", fake.calls[2].env.A)
    assert.are.equal("busybox:latest", fake.calls[1].image)
    assert.are.equal(2, #fake:called("^make"))
  end)

  it("may be told more later", function()
    local client, fake = testing.client()
    local image = client.images:use("a")
    refuses("invalid_argument", 'no answer for the command "true"', image.run, image, "true")
    fake:on(".", "one"):on(".", "two"):on("broken", { error = "no disk" })
      :on("busy", { raises = "rate_limited", message = "later" })
    assert.are.equal("two", image:run("true").stdout)
    refuses("operation_failed", "no disk", image.run, image, "broken")
    refuses("rate_limited", "later", image.run, image, "busy")
    refuses("command_failed", "exit code 1", image.run,
      fake:on("x", { exit_code = 1 }) and image, { shell = "x", check = true })
    refuses("invalid_argument", "stdot", fake.on, fake, "x", { stdot = "" })
    refuses("invalid_argument", "did you mean", image.run, image, { shel = "true" })
  end)

  it("keeps what commands write, as images do", function()
    local client = testing.client{ run = { cc = { files = { ["/app"] = "ELF" } }, cat = "" },
      images = { ["gcc:14"] = { ["/etc/os-release"] = "x" } } }
    local image = client.images:use("gcc:14", { strict = true })
    local built = image:run{ shell = "cc -o /app", files = { ["/src/a.c"] = { data = "int;" } },
      tag = "app:v1" }
    assert.is_true(built.changed)
    assert.are.equal("ELF", built:read("/app"))
    assert.are.equal("int;", client.images:use("app:v1"):read("/src/a.c"))
    assert.is_false(image:exists("/app"))
    local names = {}
    for i, entry in ipairs(built:ls("/")) do names[i] = entry.name .. " " .. entry.type end
    assert.are.same({ "app file", "etc directory", "src directory" }, names)
    assert.are.equal(image.uuid, image:run{ shell = "cat", disposable = false }.uuid)
    assert.are.equal(2, #client.images:list{ tagged = true })
    refuses("not_found", "nope", client.images.use, client.images, "nope", { strict = true })
    local session = image:session()
    session:run("cc")
    assert.is_true(session:exists("/app"))
    session:rollback()
    assert.is_false(session:exists("/app"))
  end)

  it("plays running commands", function()
    local client, fake = testing.client{ run = {
      sort = function(call) return { stdout = call.stdin:upper(), stderr = "e" } end, ps = "PID\n",
    } }
    local image = client.images:use("a")
    local p = image:popen("sort")
    p.stdin:write("a\n")
    local out, err = p:communicate("b\n")
    assert.are.equal("A\nB\n", out)
    assert.are.equal("e", err)
    assert.are.equal(0, p.returncode)
    local op = image:start{ command = "sort", stdin = contree.PIPE }
    assert.are.equal("PID\n", op:spawn("ps"):wait().stdout)
    op = image:start{ command = "sort", stdin = contree.PIPE }
    assert.is_true(op:kill("TERM"))
    assert.are.equal(15, op:wait().signal)
    p = image:popen("sort", { tty = true })
    p:resize(10, 20)
    assert.is_true(p:close())
    assert.are.equal(-1, p:wait())
    assert.is_false(p:close())
    refuses("conflict", "not running", p.resize, p, 10, 20)
    p = image:popen("sort")
    refuses("conflict", "no terminal", p.resize, p, 10, 20)
    p:kill()
    op = image:start{ command = "sort", stdin = contree.PIPE }
    assert.is_true(op:cancel())
    refuses("cancelled", "cancelled", op.wait, op)
    local chunks = {}
    image:run{ command = "sort", stdin = "x", stdout = function(c) chunks[#chunks + 1] = c end }
    assert.are.same({ "X" }, chunks)
    assert.are.equal(8, #fake.calls)
  end)

  it("builds Dockerfiles as far as it can", function()
    local client, fake = testing.client{ run = { ["^make"] = { files = { ["/app/bin"] = "made" } },
      fail = { exit_code = 2, stderr = "no\n" } } }
    local image = client.images:build{ dockerfile = { data = [[
FROM busybox:latest
ARG FLAGS
WORKDIR /app
COPY <<EOF Makefile
all:
EOF
RUN make $FLAGS
ENV A=1
COPY <<x /etc/y
x
CMD ["/app/bin"]
]] }, args = { FLAGS = "-j" } }
    assert.are.equal("made", image:read("/app/bin"))
    assert.are.equal("all:\n", image:read("/app/Makefile"))
    assert.are.same({ "/app/bin" }, image.config.cmd)
    local call = fake:called("^make")[1]
    assert.are.equal("-j", call.env.FLAGS)
    assert.are.equal("/app", call.request.cwd)
    local err = refuses("command_failed", "Dockerfile:2: RUN fail: .* exit code 2: no",
      client.images.build, client.images, { dockerfile = { data = "FROM x\nRUN fail" } })
    assert.are.equal(2, err.line)
  end)

  it("plays a client of contree.safe, too", function()
    local client = testing.client{ safe = true, run = { x = { raises = "server" } } }
    local result, err = client.images:use("a"):run("x")
    assert.is_nil(result)
    assert.are.equal("server", err.kind)
    local _, problem = client.images:use("a"):grep("x")
    assert.are.equal("not_supported", problem.kind)
  end)
end)
