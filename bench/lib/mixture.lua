--- The work of bench/soak: what clients do with an engine, in fixed proportions. Each function
--- checks what came back, and raises if it is not what it has to be.
local contree = require("contree")
local disk = require("spec.support.disk")
local wire = require("contree.wire")

local mixture = {}

local FOLDERS, LANES, A_CHAIN = 16, 32, 100

local function same(wanted, got)
  if wanted ~= got then error(("wanted %q, got %q"):format(wanted, tostring(got)), 2) end
end

local kinds = {}

function kinds.run(self, n)
  same(n .. "\n", self.image:run("echo " .. n).stdout)
end

--- One run of a chain; after a hundred, the lane begins a new one.
function kinds.keep(self, n)
  local lane = n % LANES
  local at = self.chains[lane]
  if not at or at.length >= A_CHAIN then at = { image = self.image, length = 0 } end
  local result = at.image:run{ shell = ("echo %d > /f%d"):format(n, n % 7), disposable = false }
  same(n .. "\n", result:read("/f" .. n % 7))
  self.chains[lane] = { image = result, length = at.length + 1 }
end

-- Each archive is another one, lest the engine knows it.
function kinds.import(self, n)
  local name = ("%s/root%d"):format(self.directory, n)
  disk.write(name, tostring(n))
  assert(os.execute(("tar -C %s --transform s/^root%d$/mark/ -cf %s.tar random root%d")
    :format(self.directory, n, name, n)))
  local answer = wire.fetch(self.client, { method = "POST", path = "/import",
    json = { operand = name .. ".tar", tag = "import:" .. n % 8 } })
  same(tostring(n), self.client.images:use(answer.uuid):read("/mark"))
  os.remove(name)
  os.remove(name .. ".tar")
end

--- A folder comes in, a run changes it, the change comes home and is taken back.
function kinds.workspace(self, n)
  local path
  repeat
    path = table.remove(self.folders)
    if not path then contree.sleep(0.01) end
  until path
  local ws = self.image:workspace{ path = path }
  ws:run(("echo %d > new; echo %d >> f3"):format(n, n))
  ws:apply()
  same(n .. "\n", disk.read(path .. "/new"))
  ws:undo()
  same(nil, disk.peek(path .. "/new"))
  self.folders[#self.folders + 1] = path
end

function kinds.cancel(self)
  local operation = self.image:start("sleep 600")
  contree.sleep(0.02)
  operation:cancel()
end

function kinds.upload(self, n)
  local path = disk.write(("%s/upload%d"):format(self.directory, n), ("%d "):format(n):rep(5000))
  same(n, tonumber(self.image:run{ shell = "cut -d' ' -f1 /f", files = { ["/f"] = path } }.stdout))
  os.remove(path)
end

function kinds.output(self)
  local bytes = 0
  self.image:run{ shell = "head -c 1000000 /dev/zero",
    stdout = function(text) bytes = bytes + #text end }
  same(1000000, bytes)
end

--- A box with a command, a snapshot, a terminal, a pause, a port.
function kinds.box(self, n)
  local box = self.image:open{}
  box:run("echo " .. n .. " > /f")
  same(n .. "\n", box:snapshot():read("/f"))
  same("x\r\n", box:run{ shell = "echo x", tty = true }.stdout)
  box.operation:pause()
  box.operation:resume()
  box.operation:forward(8000)
  box:close()
end

function kinds.network(self)
  local result = self.image:run{ shell = "wget -q -T 3 -O - http://no.example/ || echo none",
    networking = { allow = {} } }
  same("none\n", result.stdout)
end

function kinds.merge(self, n)
  local ours = self.image:run{ shell = "echo " .. n .. " > /ours", disposable = false }
  local theirs = self.image:run{ shell = "echo " .. n .. " > /theirs", disposable = false }
  local both = ours:merge(theirs)
  same(n .. "\n", both:read("/theirs"))
  same(1, #both:diff(ours))
end

function kinds.volume(self, n)
  local name = "v" .. n % 8
  self.image:run{ shell = "echo " .. n .. " > /v/f", volumes = { ["/v"] = name } }
end

-- In a control group of its own.
function kinds.limits(self, n)
  local result = self.image:run{ shell = "echo " .. n,
    resources_limits = { memory_bytes = 64 * 1048576, pids = 64 } }
  same(n .. "\n", result.stdout)
end

--- The kind of the n-th piece of work: of a thousand, 100 are kept runs, 10 imports, 5
--- workspaces.
local function kind_of(n)
  if n % 10 == 2 then return "keep" end
  if n % 100 == 1 then return "import" end
  if n % 200 == 3 then return "workspace" end
  if n % 100 == 4 then return "cancel" end
  if n % 100 == 5 then return "upload" end
  if n % 100 == 6 then return "output" end
  if n % 200 == 7 then return "box" end
  if n % 200 == 8 then return "network" end
  if n % 200 == 9 then return "merge" end
  if n % 100 == 10 then return "volume" end
  if n % 50 == 11 then return "limits" end
  return "run"
end

--- Prepares the work in a directory.
function mixture.new(client, directory)
  local image = client.images:use("busybox:latest")
  local self = { client = client, image = image, directory = directory, folders = {}, chains = {},
    counts = {} }
  assert(os.execute(("head -c 200000 /dev/urandom > %s/random"):format(directory)))
  for i = 1, FOLDERS do
    self.folders[i] = ("%s/folder%d"):format(directory, i)
    assert(os.execute(("mkdir %s; cd %s; for i in 1 2 3 4 5 6 7 8; do echo $i > f$i; done")
      :format(self.folders[i], self.folders[i])))
  end
  return self
end

--- Does the n-th piece of work. Returns its kind.
function mixture.work(self, n)
  local kind = kind_of(n)
  kinds[kind](self, n)
  self.counts[kind] = (self.counts[kind] or 0) + 1
  return kind
end

return mixture
