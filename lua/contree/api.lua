--- The top of the API: contree.new, and the methods of images, operations and clients that
--- need rooms above the one where their class is defined.
---
--- Many programs use no session, no Dockerfile and no popen. These modules are loaded by the
--- first call that needs them, which keeps contree.new fast.

local client = require("contree.wire.client")
local files = require("contree.image.files")
local image = require("contree.image")
local images = require("contree.image.images")
local import = require("contree.run.import")
local operation = require("contree.run.operation")
local run = require("contree.run")
local volumes = require("contree.image.volumes")

local api = {}

local Client = client.methods
local Image = image.methods
local Images = images.methods
local Operation = operation.methods

--- A client with its managers; contree.new.
---@param given? string|contree.ClientOptions
---@param safe boolean
---@return contree.Client
function api.new(given, safe)
  local self = client.new(given, safe)
  self.images, self.files = images.new(self), files.new(self)
  self.operations, self.volumes = operation.manager(self), volumes.new(self)
  return self
end

--- A store of sessions; contree.sessions.
---@param path string
---@param given? { timeout: number? }
---@param safe boolean
---@return contree.Sessions
function api.sessions(path, given, safe)
  return require("contree.session.sessions").new(path, given, safe)
end

-- Running ------------------------------------------------------------------

--- Runs a command and waits for its end. A lone string is the shell command. A command
--- that fails is a result, not an error, unless `check` is set.
---     local result = image:run{ shell = "make", cwd = "/src" }
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or
--- user that cannot be had, streamed output that was cut off), operation_failed (the
--- command could not be run), command_failed (with `check`), file (a local file).
---@async
---@param given contree.RunOptions|string
---@return contree.Result
function Image:run(given)
  image.reference(self)
  return run.run(self, run.plan("image:run", given))
end

--- Starts a command and returns at once.
---     local operation = image:start{ shell = "sleep 60", detach = true }
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or
--- user that cannot be had), file (a local file).
---@async
---@param given contree.RunOptions|string
---@return contree.Operation
function Image:start(given)
  image.reference(self)
  return run.start(self, run.plan("image:start", given))
end

--- Starts a command whose input and output are used while it runs, like Python's
--- subprocess.Popen. Its changes are dropped, unless `disposable` is false.
---     local process = image:popen({ "cat" }, { env = { LC_ALL = "C" } })
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or
--- user that cannot be had), file (a local file).
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's
---  name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.PopenOptions
---@return contree.Process
function Image:popen(argv, given)
  image.reference(self)
  return require("contree.run.process").open("image:popen", function(plan)
    return run.start(self, plan)
  end, argv, given)
end

--- Opens a box: one sandbox for many commands, for as long as it is wanted. It ends when no
--- command ran for `idle_timeout` seconds, when it is closed, and with its program.
---     local box = image:open{ idle_timeout = 600, cwd = "/src" }
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit that cannot
--- be had), not_supported (the hosted service), file (a local file).
---@async
---@param given? contree.BoxOptions
---@return contree.Box
function Image:open(given)
  image.reference(self)
  return require("contree.run.box").open("image:open", self, given)
end

--- A run that can be called any number of times.
---     local tests = image:prepare{ shell = "make test" }
--- Raises: file (a local file of `files`).
---@param given contree.RunOptions|string
---@return contree.Prepared
function Image:prepare(given)
  image.reference(self)
  return run.prepare(self, run.plan("image:prepare", given))
end

--- Puts files into the image by a run of `true`; returns the new image.
---     local built = image:apply_files{ ["/app/main.lua"] = "main.lua" }
--- Raises: request, not_found (the image, an uploaded file), operation_failed,
--- command_failed (the image has no program `true`), file (a local file).
---@async
---@param given contree.RunFiles|string as `files` of a run, or the path of one local file
---@return contree.Result
function Image:apply_files(given)
  if type(given) == "string" then given = { given } end
  image.reference(self)
  local plan = run.plan("image:apply_files",
    { command = "true", files = given, disposable = false, check = true })
  plan.offline = true
  return run.run(self, plan)
end

--- Starts another command in the same sandbox. It ends with the operation.
---     local sub = operation:spawn("ps")
--- Raises: request, not_found (the operation), conflict (the operation has ended),
--- unprocessable (a user that the image does not have), file (a local file).
---@async
---@param given contree.SpawnOptions|string
---@return contree.Subprocess
function Operation:spawn(given)
  return require("contree.run.subprocess").start(self, given)
end

-- Live ---------------------------------------------------------------------

--- Stops all processes of the operation until `resume`; returns when they have stopped. Its
--- timeout stands still meanwhile. It can be cancelled and killed all the same, and its
--- details have `paused = true`.
---     operation:pause()
--- Raises: request, not_found (the operation), conflict (it has ended), server (a process
--- did not stop, so all go on), not_supported (the hosted service).
---@async
---@return contree.Operation self
function Operation:pause()
  require("contree.run.live").pause(self)
  return self
end

--- Lets the processes of a paused operation go on. Does nothing if it is not paused.
---     operation:resume()
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the
--- hosted service).
---@async
---@return contree.Operation self
function Operation:resume()
  require("contree.run.live").resume(self)
  return self
end

---@class contree.Usage
---@field cpu_seconds number          of all its processes, also of those that have ended
---@field memory_bytes integer now
---@field memory_peak_bytes? integer  known with a limit on memory; nil without
---@field processes? integer and threads; nil where that is not known
---@field read_bytes? integer         from disks; nil where that is not known
---@field written_bytes? integer      to disks; nil where that is not known
---@field received_bytes? integer     over the network; its loopback interface is not counted; nil
---  where that is not known
---@field sent_bytes? integer         the same; nil as well

--- What the operation uses now, as far as the kernel tells.
---     local used = operation:usage()
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the
--- hosted service).
---@async
---@return contree.Usage
function Operation:usage() return require("contree.run.live").usage(self) end

---@class contree.WatchOptions
---@field recursive? boolean also the directories below; default false

---@class contree.FileEvent
---@field type "created"|"modified"|"written"|"attributes"|"deleted"|"moved"|"overflow" what
---  happened; "overflow": some events are lost
---@field path string         absolute, in the sandbox
---@field from? string        of "moved": the path before; nil of others
---@field directory? boolean  whether it is one; nil of overflow

--- Iterates over what changes in a directory of the sandbox, until the operation ends. It
--- returns when all directories are watched, so nothing that happens afterwards is missed.
--- "written" is a file that was closed after it was open for writing. "overflow" says that
--- more happened than could be told: look at the files again.
---     for change in operation:watch("/work", { recursive = true }) do print(change.path) end
--- Raises: request, not_found (the operation), conflict (it has ended), unprocessable (there
--- is no such directory), rate_limited (a limit of the kernel's), connection (it was cut off;
--- the last two and not_found also while it iterates), not_supported (the hosted service).
---@async
---@param path string absolute, in the sandbox
---@param given? contree.WatchOptions
---@return fun(): contree.FileEvent?
function Operation:watch(path, given)
  return require("contree.run.live").watch(self, path, given)
end

---@class contree.ForwardOptions
---@field listen? string  "ADDRESS:PORT" where the engine listens, with an IP address; default
---  "127.0.0.1:0", any port that only this machine reaches

--- Connects a port of this machine to one of the sandbox, until the operation ends; returns
--- the address. The sandbox needs no network for that. What connects while nobody listens
--- inside is refused.
---     local address = operation:forward(8000) -- "127.0.0.1:41234"
--- Raises: request, not_found (the operation), conflict (it has ended, or another program
--- has the address), rate_limited (it has 64 ports), not_supported (the hosted service).
---@async
---@param target integer|string a TCP port on the sandbox's loopback interface, or the
---  absolute path of a Unix socket in it
---@param given? contree.ForwardOptions
---@return string address
function Operation:forward(target, given)
  return require("contree.run.live").forward(self, target, given)
end

---@class contree.ForwardedPort
---@field id integer its number
---@field address string      where the engine listens
---@field port? integer       of the sandbox; nil of a Unix socket
---@field path? string        of a Unix socket in it; nil of a port
---@field connections integer how many there are now

--- What `forward` has made.
---     for _, port in ipairs(operation:ports()) do print(port.address, port.connections) end
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the
--- hosted service).
---@async
---@return contree.ForwardedPort[]
function Operation:ports() return require("contree.run.live").ports(self) end

--- Takes back what `forward` has made, and ends the connections.
---     operation:close_port(address)
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the
--- hosted service).
---@async
---@param address string as `forward` has returned it
---@return boolean closed whether a port had that address
function Operation:close_port(address)
  return require("contree.run.live").close_port(self, address)
end

-- Sessions -----------------------------------------------------------------

--- A session: an image that moves with every run. With `store` and `id` it outlives the
--- program, and an existing one continues where it was.
---     local session = image:session{ store = "sessions.db", id = "demo" }
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the
--- session belongs to another server), file (the store), timeout (the store is locked).
---@async
---@param given? contree.SessionOptions
---@return contree.Session
function Image:session(given)
  image.reference(self)
  return require("contree.session").new(self, given)
end

--- A workspace: a session whose images have a folder of this machine. What is edited in the
--- folder comes in before each run; what runs change comes home by `apply`. Which files come in
--- is what git says: those that it ignores stay out. Without git it is all but what
--- `.contreeignore` names, in the syntax of .dockerignore.
---     local workspace = image:workspace{ path = ".", at = "/work" }
--- Raises: request, not_found (no image has the tag), conflict (a file was changed on both
--- sides; the session belongs to another server), file (the folder, its index, the store),
--- timeout (the store is locked).
---@async
---@param given? contree.WorkspaceOptions
---@return contree.Workspace
function Image:workspace(given)
  image.reference(self)
  return require("contree.workspace").new(self, given)
end

--- A session of a store: an existing one, or a new one that begins at `image`.
---     local session = client:session{ store = "sessions.db", id = "demo" }
--- Raises: request (to look up a tag), not_found (the store has no such session, and there
--- is no image), conflict (the session belongs to another server), file (the store),
--- timeout (the store is locked).
---@async
---@param given contree.OpenedSessionOptions
---@return contree.Session
function Client:session(given) return require("contree.session").open(self, given) end

-- Where an image comes from ------------------------------------------------

--- The image and its ancestors, with the runs that made them, the newest first. The list
--- ends where the server knows no more.
---     for _, entry in ipairs(image:lineage()) do print(entry.title) end
--- Raises: request, not_found (the image).
---@async
---@param limit? integer no more entries than this; default all
---@return contree.LineageEntry[]
function Image:lineage(limit)
  return require("contree.history.lineage").list(self.client, image.uuid_of(self), limit)
end

--- The run that last changed a path (or anything below it), and the change. Links are not
--- followed.
---     local entry, change = image:blame("/etc/passwd")
--- Raises: request, not_found (the image; no image of the lineage had the path).
---@async
---@param path string absolute
---@return contree.LineageEntry entry
---@return contree.Change? change nil: the path came with the oldest image that is known
function Image:blame(path)
  local lineage = require("contree.history.lineage")
  return lineage.blame(self.client, lineage.walk(self.client, image.uuid_of(self)), path)
end

--- Finds the run of the image's lineage that broke it, as session:bisect does in a history.
---     local entry = image:bisect("make check")
--- Raises: request, not_found (the image; no entry has the number), unprocessable (the
--- ends are not good and bad, or all between them was skipped), operation_failed.
---@async
---@param test contree.BisectBy
---@param given? contree.BisectOptions
---@return contree.LineageEntry entry the run that turned it bad
---@return contree.BisectTest[] tests that were made
function Image:bisect(test, given)
  return require("contree.history.bisect").search("image:bisect", function()
    local newest_first, entries = Image.lineage(self), {}
    for i = #newest_first, 1, -1 do entries[#entries + 1] = newest_first[i] end
    return entries
  end, test, given)
end

--- The changes from another image to this one: parents before what they hold, at most
--- 100,000 changes unless `limit` says otherwise. With `text = true` each changed file has
--- its hunks, and tostring() of the list is a patch for patch(1) and git apply.
---     for _, change in ipairs(image:diff(base)) do print(change.change, change.path) end
--- Raises: request, not_found (one of the images), not_supported (the hosted service).
---@async
---@param other contree.Image|contree.Session|string the older image: a string is a uuid or
---  a tag
---@param given? contree.DiffOptions
---@return contree.Changes changes
---@return boolean truncated whether there are more
function Image:diff(other, given)
  return require("contree.image.diff").between(self.client, image.uuid_of(self), other, given)
end

--- An image of this one and of another that came from the same: this one with what the other
--- changed since. Files, directories, links, modes and owners are merged, texts line by line.
--- Where both changed something, each in its own way, it is an error, whose `conflicts` lists
--- the paths; or `prefer` says who wins, and the second result lists them. The new image
--- descends from this one.
---     local both = image:merge(other)
--- Raises: request, conflict (both changed something), not_found (one of the
--- images), unprocessable (both came from no image that is known: say `base`), timeout (it
--- took longer than `timeout`), not_supported (the hosted service).
---@async
---@param other contree.Image|contree.Session|string the other image: a string is a uuid or a
---  tag
---@param given? contree.MergeOptions
---@return contree.Image image
---@return contree.Conflict[] conflicts where both changed something, with `prefer`
function Image:merge(other, given)
  return require("contree.image.merge").images(self.client, image.uuid_of(self), other, given)
end

--- Writes the image to a registry, with one layer, through skopeo.
---     image:push("registry.example.net/me/app:v2", { username = "me", password = token })
--- Raises: request, invalid_argument (no reference that one can push to), server (the registry
--- refuses it, or cannot be reached), not_found (the image), not_supported (no skopeo is there;
--- the server is no engine of this machine).
---@async
---@param ref string "registry.example.net/me/app:v2"; "docker://" before it is understood
---@param given? contree.PushOptions
---@return string ref with "docker://"
function Image:push(ref, given)
  return require("contree.image.push").image(self.client, image.uuid_of(self), ref, given)
end

--- The images that the filter finds, and what they came from, as far as the server knows it:
--- a tree. Printed, it is text; its methods make DOT and SVG.
---     print(client.images:tree{ tagged = true })
--- Raises: request.
---@async
---@param given? contree.ImageFilter default all images
---@return contree.ImageTree
function Images:tree(given)
  local list = images.find_all(self, "images:tree", given)
  return require("contree.history.tree").of(self.client, list)
end

-- Making images ------------------------------------------------------------

--- Imports an image from a registry (or, on a local engine, from anything that skopeo reads)
--- and waits for it.
---     local image = client.images:import_from("ghcr.io/me/app:v1", { tag = "app:v1" })
--- Raises: request, operation_failed (the import failed).
---@async
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…", "oci-archive:/path"
---@param given? contree.ImportOptions
---@return contree.Image
function Images:import_from(ref, given) return import.always(self, ref, given) end

--- The image that has the reference's tag, or is imported now. A uuid or "tag:NAME" is never
--- imported. `docker`, `podman` and `pull` are other names of this method.
---     local image = client.images:oci("docker://debian:12")
--- Raises: request, not_found (no image has the uuid or "tag:NAME"), operation_failed (the
--- import failed).
---@async
---@param ref string as for import_from, or a uuid, or "tag:NAME"
---@param given? contree.ImportOptions
---@return contree.Image
function Images:oci(ref, given) return import.if_missing(self, ref, given) end

Images.docker, Images.podman, Images.pull_by_oci = Images.oci, Images.oci, Images.oci
Images.pull = Images.oci

--- Builds an image from a Dockerfile (docs/use/build.md). A step that has run before is not
--- run again. A lone string is the context, or the Dockerfile.
---     local image = client.images:build{ context = "app", tag = "app:v1" }
--- Raises: request, invalid_argument (the Dockerfile), not_found (an image of FROM or COPY),
--- command_failed (a RUN failed), operation_failed (a step could not be run), unprocessable
--- (a limit or user that cannot be had), file (the Dockerfile, the context, the cache).
---@async
---@param given contree.BuildOptions|string a lone string is the context's directory, or the
---  path of the Dockerfile
---@return contree.BuiltImage
function Images:build(given) return require("contree.dockerfile").build(self.client, given) end

return api
