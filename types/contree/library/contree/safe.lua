---@meta contree.safe
-- Written by scripts/library --write from the annotations of lua/contree.
-- luacheck: ignore

---@class contree.safe.Client : contree.Client
---@field images contree.safe.Images to find, import and build images
---@field files contree.safe.Files to upload contents
---@field operations contree.safe.Operations to find and list runs and imports
---@field volumes contree.safe.Volumes directories that outlive runs
local Client = {}

--- A session of a store: an existing one, or a new one that begins at `image`.
---     local session = client:session{ store = "sessions.db", id = "demo" }
---
--- Raises: request (to look up a tag), not_found (the store has no such session, and there is no image), conflict (the session belongs to another server), file (the store), timeout (the store is locked)
---@async
---@param given contree.OpenedSessionOptions
---@return contree.safe.Session|nil
---@return contree.Error? err why it failed
function Client:session(given) end

--- What the engine's disk is used for.
---     print(client:disk().layers.bytes)
---
--- Raises: request, not_supported (the hosted service)
---@async
---@return contree.Disk|nil
---@return contree.Error? err why it failed
function Client:disk() end

--- The token's owner, rights and limits, as they are now.
---     local limits = client:whoami().limits
---
--- Raises: request
---@async
---@return contree.WhoAmI|nil
---@return contree.Error? err why it failed
function Client:whoami() end

--- The last answer of whoami(); `refresh` asks again.
---     local permissions = client:get_token_info().permissions
---
--- Raises: request
---@async
---@param given? { refresh: boolean? } whether the server is asked again; default false
---@return contree.WhoAmI|nil
---@return contree.Error? err why it failed
function Client:get_token_info(given) end

--- Closes the client without waiting for requests in flight. In Lua 5.4 the end of the scope of a `local client <close>` does so, too.
---     client:close()
---
--- Raises: nothing
function Client:close() end

---@class contree.safe.Images : contree.Images
---@field client contree.safe.Client whose images they are
---@field docker fun(self, ref: string, given: contree.ImportOptions?): contree.safe.Image as oci()
---@field podman fun(self, ref: string, given: contree.ImportOptions?): contree.safe.Image as oci()
---@field pull fun(self, ref: string, given: contree.ImportOptions?): contree.safe.Image as oci()
---@field pull_by_oci fun(self, ref: string, given: contree.ImportOptions?): contree.safe.Image as oci()
---@operator call(contree.ImageFilter?): contree.safe.Image[]|nil
local Images = {}

--- The images that the filter finds, and what they came from, as far as the server knows it: a tree. Printed, it is text; its methods make DOT and SVG.
---     print(client.images:tree{ tagged = true })
---
--- Raises: request
---@async
---@param given? contree.ImageFilter default all images
---@return contree.safe.ImageTree|nil
---@return contree.Error? err why it failed
function Images:tree(given) end

--- Imports an image from a registry (or, on a local engine, from anything that skopeo reads) and waits for it.
---     local image = client.images:import_from("ghcr.io/me/app:v1", { tag = "app:v1" })
---
--- Raises: request, operation_failed (the import failed)
---@async
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…", "oci-archive:/path"
---@param given? contree.ImportOptions
---@return contree.safe.Image|nil
---@return contree.Error? err why it failed
function Images:import_from(ref, given) end

--- The image that has the reference's tag, or is imported now. A uuid or "tag:NAME" is never imported. `docker`, `podman` and `pull` are other names of this method.
---     local image = client.images:oci("docker://debian:12")
---
--- Raises: request, not_found (no image has the uuid or "tag:NAME"), operation_failed (the import failed)
---@async
---@param ref string as for import_from, or a uuid, or "tag:NAME"
---@param given? contree.ImportOptions
---@return contree.safe.Image|nil
---@return contree.Error? err why it failed
function Images:oci(ref, given) end

--- Builds an image from a Dockerfile (docs/use/build.md). A step that has run before is not run again. A lone string is the context, or the Dockerfile.
---     local image = client.images:build{ context = "app", tag = "app:v1" }
---
--- Raises: request, invalid_argument (the Dockerfile), not_found (an image of FROM or COPY), command_failed (a RUN failed), operation_failed (a step could not be run), unprocessable (a limit or user that cannot be had), file (the Dockerfile, the context, the cache)
---@async
---@param given contree.BuildOptions|string a lone string is the context's directory, or the path of the Dockerfile
---@return contree.safe.BuiltImage|nil
---@return contree.Error? err why it failed
function Images:build(given) end

--- The image of a uuid, of a tag, or of the reference under which it was imported, such as "x@sha256:…". Nothing is sent, unless `strict` asks for an error when no such image exists.
---     local image = client.images:use("busybox:latest")
---
--- Raises: request, not_found (both with `strict` only)
---@async
---@param ref string a uuid, a tag, "tag:NAME" or a reference
---@param given? { strict: boolean? } whether it must be there; default false
---@return contree.safe.Image|nil
---@return contree.Error? err why it failed
function Images:use(ref, given) end

--- Iterates over images, fetching them page by page.
---     for image in client.images:each{ tagged = true } do print(image.tag) end
---
--- Raises: request (while it iterates)
---@async
---@param given? contree.ImageFilter
---@return (fun(): contree.safe.Image?)|nil
---@return contree.Error? err why it failed
function Images:each(given) end

--- A list of images, the newest first. `client.images{…}` is short for it.
---     local images = client.images:list{ since = "7d", limit = 10 }
---
--- Raises: request
---@async
---@param given? contree.ImageFilter
---@return contree.safe.Image[]|nil
---@return contree.Error? err why it failed
function Images:list(given) end

--- Where an image comes from, and the tag that it gets here; nothing is sent.
---     local tag = client.images:reference("debian@sha256:" .. digest).tag
---
--- Raises: misuse (a malformed reference)
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…"
---@return { url: string, tag: string? }
function Images:reference(ref) end

---@class contree.safe.Image : contree.Image
---@field client contree.safe.Client whose server has it
local Image = {}

--- Runs a command and waits for its end. A lone string is the shell command. A command that fails is a result, not an error, unless `check` is set.
---     local result = image:run{ shell = "make", cwd = "/src" }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had, streamed output that was cut off), operation_failed (the command could not be run), command_failed (with `check`), file (a local file)
---@async
---@param given contree.RunOptions|string
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Image:run(given) end

--- Starts a command and returns at once.
---     local operation = image:start{ shell = "sleep 60", detach = true }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had), file (a local file)
---@async
---@param given contree.RunOptions|string
---@return contree.safe.Operation|nil
---@return contree.Error? err why it failed
function Image:start(given) end

--- Starts a command whose input and output are used while it runs, like Python's subprocess.Popen. Its changes are dropped, unless `disposable` is false.
---     local process = image:popen({ "cat" }, { env = { LC_ALL = "C" } })
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had), file (a local file)
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.PopenOptions
---@return contree.safe.Process|nil
---@return contree.Error? err why it failed
function Image:popen(argv, given) end

--- Opens a box: one sandbox for many commands, for as long as it is wanted. It ends when no command ran for `idle_timeout` seconds, when it is closed, and with its program.
---     local box = image:open{ idle_timeout = 600, cwd = "/src" }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit that cannot be had), not_supported (the hosted service), file (a local file)
---@async
---@param given? contree.BoxOptions
---@return contree.safe.Box|nil
---@return contree.Error? err why it failed
function Image:open(given) end

--- A run that can be called any number of times.
---     local tests = image:prepare{ shell = "make test" }
---
--- Raises: file (a local file of `files`)
---@param given contree.RunOptions|string
---@return contree.safe.Prepared|nil
---@return contree.Error? err why it failed
function Image:prepare(given) end

--- Puts files into the image by a run of `true`; returns the new image.
---     local built = image:apply_files{ ["/app/main.lua"] = "main.lua" }
---
--- Raises: request, not_found (the image, an uploaded file), operation_failed, command_failed (the image has no program `true`), file (a local file)
---@async
---@param given contree.RunFiles|string as `files` of a run, or the path of one local file
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Image:apply_files(given) end

--- A session: an image that moves with every run. With `store` and `id` it outlives the program, and an existing one continues where it was.
---     local session = image:session{ store = "sessions.db", id = "demo" }
---
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the session belongs to another server), file (the store), timeout (the store is locked)
---@async
---@param given? contree.SessionOptions
---@return contree.safe.Session|nil
---@return contree.Error? err why it failed
function Image:session(given) end

--- A workspace: a session whose images have a folder of this machine. What is edited in the folder comes in before each run; what runs change comes home by `apply`. Which files come in is what git says: those that it ignores stay out. Without git it is all but what `.contreeignore` names, in the syntax of .dockerignore.
---     local workspace = image:workspace{ path = ".", at = "/work" }
---
--- Raises: request, not_found (no image has the tag), conflict (a file was changed on both sides; the session belongs to another server), file (the folder, its index, the store), timeout (the store is locked)
---@async
---@param given? contree.WorkspaceOptions
---@return contree.safe.Workspace|nil
---@return contree.Error? err why it failed
function Image:workspace(given) end

--- The image and its ancestors, with the runs that made them, the newest first. The list ends where the server knows no more.
---     for _, entry in ipairs(image:lineage()) do print(entry.title) end
---
--- Raises: request, not_found (the image)
---@async
---@param limit? integer no more entries than this; default all
---@return contree.safe.LineageEntry[]|nil
---@return contree.Error? err why it failed
function Image:lineage(limit) end

--- The run that last changed a path (or anything below it), and the change. Links are not followed.
---     local entry, change = image:blame("/etc/passwd")
---
--- Raises: request, not_found (the image; no image of the lineage had the path)
---@async
---@param path string absolute
---@return contree.safe.LineageEntry|nil entry
---@return contree.Change?|contree.Error|nil change nil: the path came with the oldest image that is known
function Image:blame(path) end

--- Finds the run of the image's lineage that broke it, as session:bisect does in a history.
---     local entry = image:bisect("make check")
---
--- Raises: request, not_found (the image; no entry has the number), unprocessable (the ends are not good and bad, or all between them was skipped), operation_failed
---@async
---@param test contree.BisectBy
---@param given? contree.BisectOptions
---@return contree.safe.LineageEntry|nil entry the run that turned it bad
---@return contree.safe.BisectTest[]|contree.Error|nil tests that were made
function Image:bisect(test, given) end

--- The changes from another image to this one: parents before what they hold, at most 100,000 changes unless `limit` says otherwise. With `text = true` each changed file has its hunks, and tostring() of the list is a patch for patch(1) and git apply.
---     for _, change in ipairs(image:diff(base)) do print(change.change, change.path) end
---
--- Raises: request, not_found (one of the images), not_supported (the hosted service)
---@async
---@param other contree.Image|contree.Session|string the older image: a string is a uuid or a tag
---@param given? contree.DiffOptions
---@return contree.Changes|nil changes
---@return boolean|contree.Error|nil truncated whether there are more
function Image:diff(other, given) end

--- An image of this one and of another that came from the same: this one with what the other changed since. Files, directories, links, modes and owners are merged, texts line by line. Where both changed something, each in its own way, it is an error, whose `conflicts` lists the paths; or `prefer` says who wins, and the second result lists them. The new image descends from this one.
---     local both = image:merge(other)
---
--- Raises: request, conflict (both changed something), not_found (one of the images), unprocessable (both came from no image that is known: say `base`), timeout (it took longer than `timeout`), not_supported (the hosted service)
---@async
---@param other contree.Image|contree.Session|string the other image: a string is a uuid or a tag
---@param given? contree.MergeOptions
---@return contree.safe.Image|nil image
---@return contree.Conflict[]|contree.Error|nil conflicts where both changed something, with `prefer`
function Image:merge(other, given) end

--- Writes the image to a registry, with one layer, through skopeo.
---     image:push("registry.example.net/me/app:v2", { username = "me", password = token })
---
--- Raises: request, invalid_argument (no reference that one can push to), server (the registry refuses it, or cannot be reached), not_found (the image), not_supported (no skopeo is there; the server is no engine of this machine)
---@async
---@param ref string "registry.example.net/me/app:v2"; "docker://" before it is understood
---@param given? contree.PushOptions
---@return string|nil ref with "docker://"
---@return contree.Error? err why it failed
function Image:push(ref, given) end

--- The entries of a directory.
---     for _, entry in ipairs(image:ls("/etc")) do print(entry.name, entry.size) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no directory)
---@async
---@param path? string absolute; default "/"
---@return contree.safe.FileEntry[]|nil
---@return contree.Error? err why it failed
function Image:ls(path) end

--- The entry of one file or directory; a link is not followed.
---     print(image:stat("/bin/sh").target)
---
--- Raises: request, not_found (the image, the path), unprocessable (the parent is no directory)
---@async
---@param path string absolute
---@return contree.safe.FileEntry|nil
---@return contree.Error? err why it failed
function Image:stat(path) end

--- Whether there is a file or directory at a path.
---     if image:exists("/app/done") then print("built") end
---
--- Raises: request
---@async
---@param path string absolute
---@return boolean|nil
---@return contree.Error? err why it failed
function Image:exists(path) end

--- The content of a file. One that is larger than `max_size` raises `server`.
---     local text = image:read("/etc/os-release")
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return string|nil
---@return contree.Error? err why it failed
function Image:read(path, given) end

--- Iterates over the lines of a file, which is read at once.
---     for line in image:lines("/etc/passwd") do print(line) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return (fun(): string?)|nil
---@return contree.Error? err why it failed
function Image:lines(path, given) end

--- Copies a file or directory out. It appears under its local name when it is complete, or not at all. A program stays executable. A directory keeps links, modes and times, and goes where nothing is, or an empty directory.
---     image:download("/app/server", "build/server")
---     image:download("/app/share", "share")
---
--- Raises: request, not_found (the image, the path), unprocessable (neither a file nor a directory), file (the local file)
---@async
---@param path string absolute, in the image
---@param to? string local path; default its own name, in the working directory
---@return string|nil to
---@return contree.Error? err why it failed
function Image:download(path, to) end

--- Writes the tree of the image, or of one of its directories, to a directory of this machine: with links, modes and times, all of it or nothing. Set-id bits, owners, devices and FIFOs stay behind, and nothing is written outside of `path`, whatever the image has in it. `download` is for single files, and for directories by their name; this is for an image as a whole, tells how far it is, and can replace an older tree.
---     image:export_to("rootfs", { at = "/srv/app", replace = true })
---
--- Raises: request, not_found (the image, the directory), unprocessable (it is no directory), file (something is there already; the local directory)
---@async
---@param path string the local directory, which is made
---@param given? contree.ExportOptions
---@return string|nil path
---@return contree.Error? err why it failed
function Image:export_to(path, given) end

--- Copies a file or directory out as a tar file.
---     image:archive("/app", "app.tar")
---
--- Raises: request, not_found (the image, the path), unprocessable (it does not fit into a tar file), file (the local file)
---@async
---@param path string absolute, in the image
---@param to string local path
---@return string|nil to
---@return contree.Error? err why it failed
function Image:archive(path, to) end

--- Searches files for lines. Links are not followed, and files with NUL bytes are skipped. A lone string is the pattern.
---     for _, match in ipairs(image:grep("root").matches) do print(match.path) end
---
--- Raises: request, not_found (the image, a path), invalid_argument (a malformed pattern or glob)
---@async
---@param given contree.GrepOptions|string
---@return contree.GrepResult|nil
---@return contree.Error? err why it failed
function Image:grep(given) end

--- Names the image; an image that had the name loses it.
---     image:tag_as("app:v1")
---
--- Raises: request, not_found (the image), invalid_argument (a malformed tag)
---@async
---@param name string the tag, such as "app:v1"
---@return contree.safe.Image|nil self
---@return contree.Error? err why it failed
function Image:tag_as(name) end

--- Takes a name away from the image.
---     image:untag("app:v1")
---
--- Raises: request, not_found (the image has no such tag)
---@async
---@param name? string the tag; default the one that it has
---@return contree.safe.Image|nil self
---@return contree.Error? err why it failed
function Image:untag(name) end

---@class contree.safe.FileEntry : contree.FileEntry
local FileEntry = {}

--- The entries of this directory.
---     for _, inner in ipairs(file_entry:ls()) do print(inner.path) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no directory)
---@async
---@param sub? string a path below it; default the directory itself
---@return contree.safe.FileEntry[]|nil
---@return contree.Error? err why it failed
function FileEntry:ls(sub) end

---@class contree.safe.Session : contree.Session
---@field image contree.safe.Image where it is
---@field client contree.safe.Client whose server has its images
local Session = {}

--- Runs a command and moves to the image that it left. A run that fails leaves the session where it was.
---     session:run("make install")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had, streamed output that was cut off), operation_failed (the command could not be run), command_failed (with `check`), file (a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Session:run(given) end

--- Starts a command and returns at once. The session moves when somebody has waited for the end; in a store, any program may do that (session:pending, session:wait).
---     local operation = session:start("make test")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had), file (a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.safe.Operation|nil
---@return contree.Error? err why it failed
function Session:start(given) end

--- Starts a command that is talked to while it runs (image:popen). It runs beside the session and leaves no trace. With `disposable = false` it is a run of the session, which moves when the process has been waited for.
---     local process = session:popen({ "sh" }, { disposable = false })
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had), file (a local file, the store), conflict (with `disposable = false`: the session is running a command, or the branch was moved meanwhile), gone (likewise: the session or its branch was deleted)
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.PopenOptions
---@return contree.safe.Process|nil
---@return contree.Error? err why it failed
function Session:popen(argv, given) end

--- Puts files into the image by a run of `true`, and moves to the new image.
---     session:apply_files{ ["/app/main.lua"] = "main.lua" }
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), operation_failed, command_failed (the image has no program `true`), file (a local file, the store)
---@async
---@param given table|string as `files` of a run, or the path of one local file
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Session:apply_files(given) end

--- Puts files into the session's image without running a command, and moves to the new image. Until then nothing is executed: on a local engine the files become one layer. A server without layers runs `true`. In the history it is an entry of its own, which rollback() undoes.
---     session:stage{ ["/app/main.lua"] = "main.lua", ["/app/conf"] = { data = "x" } }
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a directory is in the way), operation_failed (the same on such a server), not_supported (there, the image has no program `true`), file (a local file, the store)
---@async
---@param given table|string as `files` of a run, or the path of one local file
---@return contree.safe.Image|nil image where the session is now
---@return contree.Error? err why it failed
function Session:stage(given) end

--- The runs of this session, on all its branches, that were started and not waited for, the oldest first. Waiting for one moves its branch.
---     for _, operation in ipairs(session:pending()) do operation:wait() end
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@return contree.safe.Operation[]|nil
---@return contree.Error? err why it failed
function Session:pending() end

--- Waits for the run that was started on this branch, by this program or by one that has ended, and moves to the image that it left.
---     local result = session:wait(60)
---
--- Raises: request, conflict (the branch was moved since the run was started), gone (the session was deleted), operation_failed (the command could not be run), command_failed (with `check`), unprocessable (streamed output was cut off), file (a local file, the store)
---@async
---@param seconds? number raises `timeout` after so long, and the run goes on; default no limit
---@return contree.safe.Result?|nil result nil: no run is pending on this branch
---@return contree.Error? err why it failed
function Session:wait(seconds) end

--- Gives up a run that nobody wants to wait for: it is cancelled if it still runs, and is pending no longer.
---     session:abandon(session:pending()[1])
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param pending contree.Operation one of session:pending()
---@return contree.safe.Session|nil self
---@return contree.Error? err why it failed
function Session:abandon(pending) end

--- Moves the session to an image that none of its runs made, or to the result of a run whose branch was moved meanwhile (`err.result`).
---     local ok, err = pcall(session.run, session, "make")
---     if not ok and err.result then session:commit(err.result, "mine") end
---
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the session is running a command, the branch was moved, or there is a branch of that name), gone (the session was deleted), file (the store)
---@async
---@param result contree.Image the image to go on with
---@param branch? string a new branch, from where the run was started; default the one that the run was started on
---@return contree.safe.Session|nil self
---@return contree.Error? err why it failed
function Session:commit(result, branch) end

--- Brings in what another session, or image, has done since both came from one, and moves to the result (image:merge). With forks of one workspace, two fixes become one.
---     session:merge(fork)
---
--- Raises: request, not_found (an image), conflict (both sides changed something; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), operation_failed, not_supported (by the server), file (the store)
---@async
---@param other contree.Image|contree.Session|string an image, where a session is, a uuid or tag
---@param given? contree.MergeOptions
---@return contree.safe.Image|nil image where the session is now
---@return contree.Conflict[]|contree.Error|nil conflicts that `prefer` has decided
function Session:merge(other, given) end

--- How the session came to where it is, or how a branch came to where it ends, the oldest entry first. The session does not move.
---     for _, entry in ipairs(session:history()) do print(entry.id, entry.title) end
---
--- Raises: not_found (there is no such branch), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param given? { branch: string? } branch: the one to list; default the entries that led to where the session is
---@return contree.safe.HistoryEntry[]|nil
---@return contree.Error? err why it failed
function Session:history(given) end

--- All entries of the session, on all its branches. The session does not move.
---     print(session:tree())
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@return contree.safe.Tree|nil
---@return contree.Error? err why it failed
function Session:tree() end

--- Goes back by some runs.
---     session:rollback()
---
--- Raises: conflict (the session is running a command, the branch was moved, or there are fewer runs), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param steps? integer how many runs; default 1
---@return contree.safe.Session|nil self
---@return contree.Error? err why it failed
function Session:rollback(steps) end

--- Begins a branch where the session is, and selects it.
---     session:branch("experiment")
---
--- Raises: conflict (the session is running a command, or there is such a branch), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param name string the name of the new branch
---@return contree.safe.Session|nil self
---@return contree.Error? err why it failed
function Session:branch(name) end

--- Selects a branch and moves to where it ends.
---     session:checkout("main")
---
--- Raises: not_found (there is no such branch), conflict (the session is running a command), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param name string the branch
---@return contree.safe.Session|nil self
---@return contree.Error? err why it failed
function Session:checkout(name) end

--- The names of the branches, sorted.
---     print(table.concat(session:list_branches(), ", "))
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@return string[]|nil
---@return contree.Error? err why it failed
function Session:list_branches() end

--- Removes a branch that the session is not on.
---     session:delete_branch("experiment")
---
--- Raises: not_found (there is no such branch), conflict (the session is on it), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param name string the branch
---@return contree.safe.Session|nil self
---@return contree.Error? err why it failed
function Session:delete_branch(name) end

--- An independent session that begins where this one is, with its history. In a store it has a name of its own.
---     local copy = session:fork("demo-2")
---
--- Raises: conflict (there is a session of that name), gone (this session was deleted), file (the store), timeout (the store is locked)
---@async
---@param id? string the name in the store; default this session's and a number
---@return contree.safe.Session|nil
---@return contree.Error? err why it failed
function Session:fork(id) end

--- The run that last changed a path, and the change (image:blame).
---     local entry, change = session:blame("/etc/passwd")
---
--- Raises: request, not_found (an image, or no image had the path), gone (the session was deleted), file (the store)
---@async
---@param path string absolute
---@return contree.safe.HistoryEntry|contree.safe.LineageEntry|nil entry
---@return contree.Change?|contree.Error|nil change nil: the path came with the oldest image that is known
function Session:blame(path) end

--- Finds the run that broke it, by disposable runs of a test in the images of the history: about as many as the logarithm of its length. A test that is a command ends with 0 for good, with 125 for "cannot tell" and with anything else for bad. A test that is a function returns true, nil or false.
---     local entry = session:bisect("make check")
---
--- Raises: request, not_found (an image; no entry has the number), unprocessable (the ends are not good and bad, or all between them was skipped), operation_failed, gone (the session was deleted), file (the store)
---@async
---@param test contree.BisectBy a command, or a function that gets the image and the entry
---@param given? contree.BisectOptions
---@return contree.safe.HistoryEntry|nil entry the run that turned it bad
---@return contree.safe.BisectTest[]|contree.Error|nil tests that were made, in the order in which they ended
function Session:bisect(test, given) end

--- Opens a box: one sandbox for many commands, for as long as it is wanted. It ends when no command ran for `idle_timeout` seconds, when it is closed, and with its program.
---     local box = image:open{ idle_timeout = 600, cwd = "/src" }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit that cannot be had), not_supported (the hosted service), file (a local file)
---@async
---@param given? contree.BoxOptions
---@return contree.safe.Box|nil
---@return contree.Error? err why it failed
function Session:open(given) end

--- A run that can be called any number of times.
---     local tests = image:prepare{ shell = "make test" }
---
--- Raises: file (a local file of `files`)
---@param given contree.RunOptions|string
---@return contree.safe.Prepared|nil
---@return contree.Error? err why it failed
function Session:prepare(given) end

--- Names the image; an image that had the name loses it.
---     image:tag_as("app:v1")
---
--- Raises: request, not_found (the image), invalid_argument (a malformed tag)
---@async
---@param name string the tag, such as "app:v1"
---@return contree.safe.Image|nil self
---@return contree.Error? err why it failed
function Session:tag_as(name) end

--- Takes a name away from the image.
---     image:untag("app:v1")
---
--- Raises: request, not_found (the image has no such tag)
---@async
---@param name? string the tag; default the one that it has
---@return contree.safe.Image|nil self
---@return contree.Error? err why it failed
function Session:untag(name) end

--- A session: an image that moves with every run. With `store` and `id` it outlives the program, and an existing one continues where it was.
---     local session = image:session{ store = "sessions.db", id = "demo" }
---
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the session belongs to another server), file (the store), timeout (the store is locked)
---@async
---@param given? contree.SessionOptions
---@return contree.safe.Session|nil
---@return contree.Error? err why it failed
function Session:session(given) end

--- A workspace: a session whose images have a folder of this machine. What is edited in the folder comes in before each run; what runs change comes home by `apply`. Which files come in is what git says: those that it ignores stay out. Without git it is all but what `.contreeignore` names, in the syntax of .dockerignore.
---     local workspace = image:workspace{ path = ".", at = "/work" }
---
--- Raises: request, not_found (no image has the tag), conflict (a file was changed on both sides; the session belongs to another server), file (the folder, its index, the store), timeout (the store is locked)
---@async
---@param given? contree.WorkspaceOptions
---@return contree.safe.Workspace|nil
---@return contree.Error? err why it failed
function Session:workspace(given) end

--- The image and its ancestors, with the runs that made them, the newest first. The list ends where the server knows no more.
---     for _, entry in ipairs(image:lineage()) do print(entry.title) end
---
--- Raises: request, not_found (the image)
---@async
---@param limit? integer no more entries than this; default all
---@return contree.safe.LineageEntry[]|nil
---@return contree.Error? err why it failed
function Session:lineage(limit) end

--- The entries of a directory.
---     for _, entry in ipairs(image:ls("/etc")) do print(entry.name, entry.size) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no directory)
---@async
---@param path? string absolute; default "/"
---@return contree.safe.FileEntry[]|nil
---@return contree.Error? err why it failed
function Session:ls(path) end

--- The entry of one file or directory; a link is not followed.
---     print(image:stat("/bin/sh").target)
---
--- Raises: request, not_found (the image, the path), unprocessable (the parent is no directory)
---@async
---@param path string absolute
---@return contree.safe.FileEntry|nil
---@return contree.Error? err why it failed
function Session:stat(path) end

--- Whether there is a file or directory at a path.
---     if image:exists("/app/done") then print("built") end
---
--- Raises: request
---@async
---@param path string absolute
---@return boolean|nil
---@return contree.Error? err why it failed
function Session:exists(path) end

--- The content of a file. One that is larger than `max_size` raises `server`.
---     local text = image:read("/etc/os-release")
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return string|nil
---@return contree.Error? err why it failed
function Session:read(path, given) end

--- Iterates over the lines of a file, which is read at once.
---     for line in image:lines("/etc/passwd") do print(line) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return (fun(): string?)|nil
---@return contree.Error? err why it failed
function Session:lines(path, given) end

--- Copies a file or directory out. It appears under its local name when it is complete, or not at all. A program stays executable. A directory keeps links, modes and times, and goes where nothing is, or an empty directory.
---     image:download("/app/server", "build/server")
---     image:download("/app/share", "share")
---
--- Raises: request, not_found (the image, the path), unprocessable (neither a file nor a directory), file (the local file)
---@async
---@param path string absolute, in the image
---@param to? string local path; default its own name, in the working directory
---@return string|nil to
---@return contree.Error? err why it failed
function Session:download(path, to) end

--- Copies a file or directory out as a tar file.
---     image:archive("/app", "app.tar")
---
--- Raises: request, not_found (the image, the path), unprocessable (it does not fit into a tar file), file (the local file)
---@async
---@param path string absolute, in the image
---@param to string local path
---@return string|nil to
---@return contree.Error? err why it failed
function Session:archive(path, to) end

--- Writes the tree of the image, or of one of its directories, to a directory of this machine: with links, modes and times, all of it or nothing. Set-id bits, owners, devices and FIFOs stay behind, and nothing is written outside of `path`, whatever the image has in it. `download` is for single files, and for directories by their name; this is for an image as a whole, tells how far it is, and can replace an older tree.
---     image:export_to("rootfs", { at = "/srv/app", replace = true })
---
--- Raises: request, not_found (the image, the directory), unprocessable (it is no directory), file (something is there already; the local directory)
---@async
---@param path string the local directory, which is made
---@param given? contree.ExportOptions
---@return string|nil path
---@return contree.Error? err why it failed
function Session:export_to(path, given) end

--- Writes the image to a registry, with one layer, through skopeo.
---     image:push("registry.example.net/me/app:v2", { username = "me", password = token })
---
--- Raises: request, invalid_argument (no reference that one can push to), server (the registry refuses it, or cannot be reached), not_found (the image), not_supported (no skopeo is there; the server is no engine of this machine)
---@async
---@param ref string "registry.example.net/me/app:v2"; "docker://" before it is understood
---@param given? contree.PushOptions
---@return string|nil ref with "docker://"
---@return contree.Error? err why it failed
function Session:push(ref, given) end

--- Searches files for lines. Links are not followed, and files with NUL bytes are skipped. A lone string is the pattern.
---     for _, match in ipairs(image:grep("root").matches) do print(match.path) end
---
--- Raises: request, not_found (the image, a path), invalid_argument (a malformed pattern or glob)
---@async
---@param given contree.GrepOptions|string
---@return contree.GrepResult|nil
---@return contree.Error? err why it failed
function Session:grep(given) end

--- The changes from another image to this one: parents before what they hold, at most 100,000 changes unless `limit` says otherwise. With `text = true` each changed file has its hunks, and tostring() of the list is a patch for patch(1) and git apply.
---     for _, change in ipairs(image:diff(base)) do print(change.change, change.path) end
---
--- Raises: request, not_found (one of the images), not_supported (the hosted service)
---@async
---@param other contree.Image|contree.Session|string the older image: a string is a uuid or a tag
---@param given? contree.DiffOptions
---@return contree.Changes|nil changes
---@return boolean|contree.Error|nil truncated whether there are more
function Session:diff(other, given) end

---@class contree.safe.Box : contree.Box
---@field operation contree.safe.Operation its sandbox: forward, usage, watch, pause
---@field client contree.safe.Client whose server it is on
local Box = {}

--- Runs a command in the box and waits for its end. What it does to files is there for the commands after it. Other commands may run at the same time. A task that is cancelled while it waits kills the command.
---     local result = box:run{ shell = "make test", timeout = 60 }
---
--- Raises: request, gone (the box has ended, and the field `reason` says why), unprocessable (a user that the image does not have, streamed output that was cut off), command_failed (with `check`), file (a local file)
---@async
---@param given contree.CommandOptions|string a lone string is the shell command
---@return contree.safe.SubprocessResult|nil
---@return contree.Error? err why it failed
function Box:run(given) end

--- Starts a command in the box and returns at once.
---     local server = box:spawn{ command = "httpd", args = { "-f" } }
---
--- Raises: request, gone (the box has ended), unprocessable (a user that the image does not have), file (a local file)
---@async
---@param given contree.CommandOptions|string a lone string is the shell command
---@return contree.safe.Subprocess|nil
---@return contree.Error? err why it failed
function Box:spawn(given) end

--- Starts a command that is talked to while it runs (image:popen), also on a terminal.
---     local shell = box:popen({ "sh" }, { tty = true })
---
--- Raises: request, gone (the box has ended), unprocessable (a user that the image does not have), file (a local file)
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.BoxPopenOptions
---@return contree.safe.Process|nil
---@return contree.Error? err why it failed
function Box:popen(argv, given) end

--- Makes an image of what the box holds now, while it goes on. All its commands stand still for a moment, so the image is of one point in time; it is durable when this returns. Volumes and directories of the host are not in it. A box that has changed nothing gives its image.
---     local built = box:snapshot()
---     built:run("make test")
---
--- Raises: request, gone (the box has ended), server (a command does not stop, or the disk is full; the box goes on)
---@async
---@param given? { tag: string? } tag: names the image; default none
---@return contree.safe.Image|nil
---@return contree.Error? err why it failed
function Box:snapshot(given) end

--- Ends the box with all that runs in it. What its commands wrote is dropped or, with `keep`, becomes an image. A box that is garbage, or that goes out of scope as `local box <close>`, is closed, and so is one whose program has ended, however that was.
---     local built = box:close{ keep = true }
---
--- Raises: request, gone (with `keep`: the box has ended), operation_failed (with `keep`: it could not be kept)
---@async
---@param given? { keep: boolean?, tag: string? } keep: default false; tag: names the image that is kept; default none
---@return contree.safe.Image|boolean|nil kept the image; without `keep` whether the box was open
---@return contree.Error? err why it failed
function Box:close(given) end

---@class contree.safe.Operation : contree.Operation
---@field client contree.safe.Client whose server it is on
local Operation = {}

--- Starts another command in the same sandbox. It ends with the operation.
---     local sub = operation:spawn("ps")
---
--- Raises: request, not_found (the operation), conflict (the operation has ended), unprocessable (a user that the image does not have), file (a local file)
---@async
---@param given contree.SpawnOptions|string
---@return contree.safe.Subprocess|nil
---@return contree.Error? err why it failed
function Operation:spawn(given) end

--- Stops all processes of the operation until `resume`; returns when they have stopped. Its timeout stands still meanwhile. It can be cancelled and killed all the same, and its details have `paused = true`.
---     operation:pause()
---
--- Raises: request, not_found (the operation), conflict (it has ended), server (a process did not stop, so all go on), not_supported (the hosted service)
---@async
---@return contree.safe.Operation|nil self
---@return contree.Error? err why it failed
function Operation:pause() end

--- Lets the processes of a paused operation go on. Does nothing if it is not paused.
---     operation:resume()
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@return contree.safe.Operation|nil self
---@return contree.Error? err why it failed
function Operation:resume() end

--- What the operation uses now, as far as the kernel tells.
---     local used = operation:usage()
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@return contree.Usage|nil
---@return contree.Error? err why it failed
function Operation:usage() end

--- Iterates over what changes in a directory of the sandbox, until the operation ends. It returns when all directories are watched, so nothing that happens afterwards is missed. "written" is a file that was closed after it was open for writing. "overflow" says that more happened than could be told: look at the files again.
---     for change in operation:watch("/work", { recursive = true }) do print(change.path) end
---
--- Raises: request, not_found (the operation), conflict (it has ended), unprocessable (there is no such directory), rate_limited (a limit of the kernel's), connection (it was cut off; the last two and not_found also while it iterates), not_supported (the hosted service)
---@async
---@param path string absolute, in the sandbox
---@param given? contree.WatchOptions
---@return (fun(): contree.FileEvent?)|nil
---@return contree.Error? err why it failed
function Operation:watch(path, given) end

--- Connects a port of this machine to one of the sandbox, until the operation ends; returns the address. The sandbox needs no network for that. What connects while nobody listens inside is refused.
---     local address = operation:forward(8000) -- "127.0.0.1:41234"
---
--- Raises: request, not_found (the operation), conflict (it has ended, or another program has the address), rate_limited (it has 64 ports), not_supported (the hosted service)
---@async
---@param target integer|string a TCP port on the sandbox's loopback interface, or the absolute path of a Unix socket in it
---@param given? contree.ForwardOptions
---@return string|nil address
---@return contree.Error? err why it failed
function Operation:forward(target, given) end

--- What `forward` has made.
---     for _, port in ipairs(operation:ports()) do print(port.address, port.connections) end
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@return contree.ForwardedPort[]|nil
---@return contree.Error? err why it failed
function Operation:ports() end

--- Takes back what `forward` has made, and ends the connections.
---     operation:close_port(address)
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@param address string as `forward` has returned it
---@return boolean|nil closed whether a port had that address
---@return contree.Error? err why it failed
function Operation:close_port(address) end

--- The operation's status, and everything that the server knows of it.
---     local status = operation:status()
---
--- Raises: request, not_found (the operation)
---@async
---@return "PENDING"|"ASSIGNED"|"EXECUTING"|"SUCCESS"|"FAILED"|"CANCELLED"|nil status
---@return contree.OperationDetails|contree.Error|nil details
function Operation:status() end

--- Cancels the operation; its changes are dropped.
---     operation:cancel()
---
--- Raises: request, not_found (the operation)
---@async
---@return boolean|nil accepted false when it had ended before
---@return contree.Error? err why it failed
function Operation:cancel() end

--- Iterates over the events, from the first on, until the operation has ended: { id, ts, type, spid, data }; `bytes` holds what an output event carries.
---     for event in operation:events() do print(event.type) end
---
--- Raises: request, not_found (the operation; both while it iterates)
---@async
---@param choice? { since: integer?, spid: integer? } since: the id of the last event that was seen, default none: from the first on; spid: only of this process
---@return (fun(): contree.Event?)|nil
---@return contree.Error? err why it failed
function Operation:events(choice) end

--- Iterates over the command's output, from its beginning, as it comes: the bytes, and "stdout" or "stderr". wait() returns how the command ended.
---     for bytes, stream in operation:output() do io.write(stream, ": ", bytes) end
---
--- Raises: request, not_found (the operation), unprocessable (at the end of what was cut off, unless `truncate_output_at` was asked for; all while it iterates)
---@async
---@return (fun(): string?, string?)|nil
---@return contree.Error? err why it failed
function Operation:output() end

--- Waits for the end; returns the Result or raises what went wrong. A task that is cancelled while it waits cancels the operation.
---     local result = operation:wait(60)
---
--- Raises: request, not_found (the operation), operation_failed (the command could not be run), command_failed (with `check`), unprocessable (streamed output was cut off), file (a local file)
---@async
---@param seconds? number raises `timeout` after so long, and the operation goes on; default no limit
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Operation:wait(seconds) end

--- Sends bytes to the command's input, which `stdin = contree.PIPE` has left open; returns when the server has them.
---     operation:write("a line\n")
---
--- Raises: request, not_found (the operation), conflict (the command has ended or has closed its input)
---@async
---@param data string any bytes
---@return contree.safe.Operation|nil self
---@return contree.Error? err why it failed
function Operation:write(data) end

--- Ends the command's input.
---     operation:close_stdin()
---
--- Raises: request, not_found (the operation), conflict (the command has ended or its input is closed)
---@async
---@return contree.safe.Operation|nil self
---@return contree.Error? err why it failed
function Operation:close_stdin() end

--- Gives the command's terminal (`tty`) another size; the programs in its foreground get SIGWINCH.
---     operation:resize(40, 120)
---
--- Raises: request, not_found (the operation), conflict (the command has ended, or has no terminal)
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.safe.Operation|nil self
---@return contree.Error? err why it failed
function Operation:resize(rows, cols) end

--- Sends a signal to the command. One that ends it ends the operation as any other end does: what it wrote is kept, unless it is disposable.
---     operation:kill("TERM")
---
--- Raises: request, not_found (the operation)
---@async
---@param signal? string|integer "TERM", "SIGTERM", 15; default "KILL"
---@return boolean|nil sent false when the command had ended before
---@return contree.Error? err why it failed
function Operation:kill(signal) end

---@class contree.safe.Subprocess : contree.Subprocess
---@field operation contree.safe.Operation the run that it is in
---@field client contree.safe.Client whose server it is on
---@field box? contree.safe.Box that it runs in; nil: in none
local Subprocess = {}

--- Waits for the end; output goes to its sinks meanwhile. A task that is cancelled while it waits kills the subprocess.
---     local result = subprocess:wait()
---
--- Raises: request, not_found (the operation), operation_failed (the engine was killed), command_failed (with `check`), unprocessable (streamed output was cut off), file (a local file)
---@async
---@param seconds? number raises `timeout` after so long, and the subprocess goes on; default no limit
---@return contree.safe.SubprocessResult|nil
---@return contree.Error? err why it failed
function Subprocess:wait(seconds) end

--- Sends bytes to its input, which `stdin = contree.PIPE` has left open.
---     subprocess:write("a line\n")
---
--- Raises: request, conflict (it has ended or has closed its input)
---@async
---@param data string any bytes
---@return contree.safe.Subprocess|nil self
---@return contree.Error? err why it failed
function Subprocess:write(data) end

--- Ends its input.
---     subprocess:close_stdin()
---
--- Raises: request, conflict (it has ended or its input is closed)
---@async
---@return contree.safe.Subprocess|nil self
---@return contree.Error? err why it failed
function Subprocess:close_stdin() end

--- Gives its terminal another size; the programs in the foreground get SIGWINCH.
---     subprocess:resize(40, 120)
---
--- Raises: request, conflict (it has ended, or has no terminal)
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.safe.Subprocess|nil self
---@return contree.Error? err why it failed
function Subprocess:resize(rows, cols) end

--- Hangs up its terminal: it gets SIGHUP.
---     subprocess:close()
---
--- Raises: request
---@async
---@return boolean|nil sent false when it had ended before, or has no terminal
---@return contree.Error? err why it failed
function Subprocess:close() end

--- Sends it, and its process group, a signal.
---     subprocess:kill("TERM")
---
--- Raises: request
---@async
---@param signal? string|integer "TERM", "SIGTERM", 15; default "KILL"
---@param given? { family: boolean? } family: also to all processes that it has started, those that left it (daemons) and those that outlived it, too (local engine); default false
---@return boolean|nil sent false when the sandbox had ended before
---@return contree.Error? err why it failed
function Subprocess:kill(signal, given) end

---@class contree.safe.SubprocessResult : contree.SubprocessResult
---@field process contree.safe.Subprocess the process that this is the result of

---@class contree.safe.Result : contree.Result, contree.safe.Image
---@field operation contree.safe.Operation what ran it

---@class contree.safe.Process : contree.Process
---@field stdin? contree.safe.ProcessInput nil when stdin= or input= said it all
---@field stdout contree.safe.ProcessOutput what it writes; read(), lines()
---@field stderr contree.safe.ProcessOutput the same of standard error
---@field result? contree.safe.Result when wait() has returned; nil before
---@field operation contree.safe.Operation the run that it is
---@field box? contree.safe.Box that it runs in; nil: in none
local Process = {}

--- The exit code when the command has ended, else nil; does not wait for it.
---     if process:poll() then print("done") end
---
--- Raises: request, operation_failed (the command could not be run)
---@async
---@return integer?|nil returncode negative: the signal that ended it
---@return contree.Error? err why it failed
function Process:poll() end

--- Waits for the end. Output need not be read first: it waits with the server.
---     local code = process:wait()
---
--- Raises: request, operation_failed (the command could not be run), command_failed (with `check`)
---@async
---@param timeout? number raises `timeout` after so many seconds, and the command goes on; default no limit
---@return integer|nil returncode negative: the signal that ended it
---@return contree.Error? err why it failed
function Process:wait(timeout) end

--- Sends input, ends it, waits for the end; returns the output that was not read yet.
---     local out, err = process:communicate("1 2 3\n", 10)
---
--- Raises: request, operation_failed (the command could not be run), command_failed (with `check`), conflict (another task is reading), unprocessable (output was cut off)
---@async
---@param input? string all of the input; default none
---@param timeout? number raises `timeout` after so many seconds; call it again to go on waiting; default no limit
---@return string|nil stdout
---@return string|contree.Error|nil stderr
function Process:communicate(input, timeout) end

--- Sends a signal; does nothing when the command has ended.
---     process:send_signal("INT")
---
--- Raises: request
---@async
---@param signal string|integer "INT", "SIGINT" or 2
---@return boolean|nil sent
---@return contree.Error? err why it failed
function Process:send_signal(signal) end

--- Asks the command to end (SIGTERM).
---     process:terminate()
---
--- Raises: request
---@async
---@return boolean|nil sent
---@return contree.Error? err why it failed
function Process:terminate() end

--- Gives its terminal (`tty`) another size; the programs in the foreground get SIGWINCH.
---     process:resize(40, 120)
---
--- Raises: request, conflict (it has ended, or has no terminal)
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.safe.Process|nil self
---@return contree.Error? err why it failed
function Process:resize(rows, cols) end

--- Hangs up its terminal: the command gets SIGHUP.
---     process:close()
---
--- Raises: request
---@async
---@return boolean|nil sent false when it had ended before, or has no terminal
---@return contree.Error? err why it failed
function Process:close() end

--- Ends the command (SIGKILL).
---     process:kill()
---
--- Raises: request
---@async
---@return boolean|nil sent
---@return contree.Error? err why it failed
function Process:kill() end

--- Iterates over the lines of its standard output as they come.
---     for line in process:lines() do print(line) end
---
--- Raises: request, conflict (another task is reading), unprocessable (as read)
---@async
---@return (fun(): string?)|nil
---@return contree.Error? err why it failed
function Process:lines() end

---@class contree.safe.ProcessInput : contree.ProcessInput
local ProcessInput = {}

--- Sends bytes; returns when the server has them.
---     process.stdin:write("a line\n")
---
--- Raises: request, conflict (the command has ended or has closed its input)
---@async
---@param data string any bytes
---@return contree.safe.ProcessInput|nil self
---@return contree.Error? err why it failed
function ProcessInput:write(data) end

--- Ends the input. Does nothing when it, or the command, has ended.
---     process.stdin:close()
---
--- Raises: request
---@async
---@return nil
---@return contree.Error? err why it failed
function ProcessInput:close() end

---@class contree.safe.ProcessOutput : contree.ProcessOutput
local ProcessOutput = {}

--- Reads as io files do, waiting for output that is not there yet: "a" all of it to the end, "l" or "L" a line, a number what there is of up to so many bytes (and waits only when there is nothing); nil at the end.
---     local line = process.stdout:read("l")
---
--- Raises: request, conflict (another task is reading), unprocessable (once, at the end of what was cut off, unless `truncate_output_at` was asked for)
---@async
---@param format? "a"|"l"|"L"|"*a"|"*l"|"*L"|integer default "a"
---@return string?|nil
---@return contree.Error? err why it failed
function ProcessOutput:read(format) end

--- Iterates over the lines as they come.
---     for line in process.stderr:lines() do print(line) end
---
--- Raises: request, conflict (another task is reading), unprocessable (as read)
---@async
---@return (fun(): string?)|nil
---@return contree.Error? err why it failed
function ProcessOutput:lines() end

---@class contree.safe.Prepared : contree.Prepared
---@operator call(): contree.safe.Result|nil
local Prepared = {}

--- Runs it and waits for its end; calling it does the same.
---     local result = prepared:run()
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (as image:run), operation_failed, command_failed (with `check`), file (a local file)
---@async
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Prepared:run() end

--- Starts it and returns at once.
---     local operation = prepared:start()
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (as image:start), file (a local file)
---@async
---@return contree.safe.Operation|nil
---@return contree.Error? err why it failed
function Prepared:start() end

---@class contree.safe.Sessions : contree.Sessions
local Sessions = {}

--- The sessions of the store, the one that was used last first.
---     for _, one in ipairs(store:list()) do print(one.id, one.title) end
---
--- Raises: file (the store cannot be read), timeout (it is locked)
---@async
---@return contree.StoredSession[]|nil
---@return contree.Error? err why it failed
function Sessions:list() end

--- Deletes a session; its images stay on the server.
---     store:delete("demo")
---
--- Raises: file (the store cannot be written), timeout (it is locked)
---@async
---@param id string the session's name in the store
---@return boolean|nil deleted false: there was none of that name
---@return contree.Error? err why it failed
function Sessions:delete(id) end

--- Closes the file. The next use opens it again.
---     store:close()
---
--- Raises: nothing
function Sessions:close() end

---@class contree.safe.Workspace : contree.Workspace, contree.safe.Session
local Workspace = {}

--- Runs a command on the folder as it is now, in it, and moves to the image that it left.
---     workspace:run("make test")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on both sides; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had, streamed output that was cut off), operation_failed (the command could not be run), command_failed (with `check`), file (the folder, its index, a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.safe.Result|nil
---@return contree.Error? err why it failed
function Workspace:run(given) end

--- Starts a command on the folder as it is now, in it, and returns at once (session:start).
---     local operation = workspace:start("make test")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on both sides; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had), file (the folder, its index, a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.safe.Operation|nil
---@return contree.Error? err why it failed
function Workspace:start(given) end

--- Starts a command that is talked to while it runs, on the folder as it is now, in it (session:popen).
---     local process = workspace:popen({ "python3", "-i" })
---
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on both sides; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had), file (the folder, its index, a local file, the store)
---@async
---@param argv string|string[] the program and its arguments
---@param given? contree.PopenOptions
---@return contree.safe.Process|nil
---@return contree.Error? err why it failed
function Workspace:popen(argv, given) end

--- Moves the workspace to another image (session:commit), which has to have the folder: else all its files would count as removed, and apply() would remove them.
---     workspace:commit(err.result, "mine")
---
--- Raises: request, not_found (no image has the tag), unprocessable (the image has no folder there), conflict (the session is running a command, the branch was moved, or there is a branch of that name), gone (the session was deleted), file (the store)
---@async
---@param result contree.Image the image to go on with
---@param branch? string a new branch, from where the run was started; default the one that the run was started on
---@return contree.safe.Workspace|nil self
---@return contree.Error? err why it failed
function Workspace:commit(result, branch) end

--- An independent workspace that begins where this one is (session:fork): three of them try three things on the same folder.
---     local copy = workspace:fork()
---
--- Raises: conflict (there is a session of that name), gone (this session was deleted), file (the store), timeout (the store is locked)
---@async
---@param id? string the name in the store; default this session's and a number
---@return contree.safe.Workspace|nil
---@return contree.Error? err why it failed
function Workspace:fork(id) end

--- Brings in what has changed in the folder, as each run does first.
---     local counts = workspace:sync{ prefer = "host" }
---
--- Raises: request, conflict (a file was changed on both sides and nothing is preferred; the session is running a command, or its branch was moved), file (the folder, its index)
---@async
---@param given? { prefer: "host"|"sandbox" } whose version it is where both have changed; default as the workspace was opened
---@return { added: integer, changed: integer, removed: integer }|nil counts of files
---@return contree.Error? err why it failed
function Workspace:sync(given) end

--- What the runs have done to the folder's files since they came in. Nothing on the host is touched. What git ignores (or what decides in its place) is left out. Printed, it is a patch.
---     print(workspace:changes())
---
--- Raises: request, file (the folder, its index)
---@async
---@param given? contree.ChangesOptions
---@return contree.Changes|nil changes with paths below the folder, and `risky`, which says why apply() leaves a change alone
---@return boolean|contree.Error|nil truncated there were more than `limit`
function Workspace:changes(given) end

--- Brings changes home. A path is written only if the folder's file is still what it was when it came in; else it is left alone, and `skipped` says so. Each file is the old or the new one at any time, also when the program is killed.
---     workspace:apply{ only = { "src/**" } }
---
--- Raises: request, conflict (another program brings changes home to this folder), file (the folder, the journal)
---@async
---@param given? contree.ApplyOptions
---@return contree.Applied|nil
---@return contree.Error? err why it failed
function Workspace:apply(given) end

--- Takes the last apply() back that was not taken back, of whichever program: files that have changed since are left alone. The sandbox keeps its version.
---     workspace:undo()
---
--- Raises: request, not_found (there is nothing to take back), conflict (another program brings changes home to this folder), file (the folder, the journal)
---@async
---@return contree.Applied|nil
---@return contree.Error? err why it failed
function Workspace:undo() end

--- The paths that were changed both in the folder and in the sandbox since it last came in, and cannot be merged. Nothing is brought in.
---     for _, each in ipairs(workspace:conflicts()) do print(each.path, each.host) end
---
--- Raises: request, file (the folder, its index)
---@async
---@return contree.workspace.Clash[]|nil
---@return contree.Error? err why it failed
function Workspace:conflicts() end

---@class contree.safe.LineageEntry : contree.LineageEntry
---@field image contree.safe.Image the image itself
---@field operation? contree.safe.Operation what made it; nil: it is not known any more

---@class contree.safe.HistoryEntry : contree.HistoryEntry
---@field image contree.safe.Image what the session was at
---@field operation? contree.safe.Operation what made the image; nil: none did

---@class contree.safe.Tree : contree.Tree
---@field [integer] contree.safe.TreeEntry in the order in which they came

---@class contree.safe.TreeEntry : contree.TreeEntry, contree.safe.HistoryEntry

---@class contree.safe.BisectTest : contree.BisectTest
---@field result? contree.safe.Result what the test printed, if it was a command; nil otherwise

---@class contree.safe.ImageTree : contree.ImageTree
---@field roots contree.safe.ImageNode[] the oldest images that the server knows
local ImageTree = {}

--- The lines of the tree, an image each.
---     for _, line in ipairs(client.images:tree():lines()) do print(line) end
---
--- Raises: nothing
---@param mark? fun(name: string, is_tag: boolean): string changes how a name is shown, such as by a colour; default as it is
---@return string[]
function ImageTree:lines(mark) end

--- The tree in the language of Graphviz.
---     io.open("images.dot", "w"):write(client.images:tree():dot())
---
--- Raises: nothing
---@return string
function ImageTree:dot() end

--- The tree as a picture, an SVG.
---     io.open("images.svg", "w"):write(client.images:tree():svg())
---
--- Raises: nothing
---@return string
function ImageTree:svg() end

---@class contree.safe.ImageNode : contree.ImageNode
---@field image contree.safe.Image the image itself
---@field children contree.safe.ImageNode[] the images that came from it, the oldest first

---@class contree.safe.BuildEvent : contree.BuildEvent
---@field error? contree.safe.Error why the step failed; nil of others

---@class contree.safe.BuiltImage : contree.BuiltImage, contree.safe.Image
---@field stages table<string|integer, contree.safe.Image> the stages that were made, by name and number

---@class contree.safe.Files : contree.Files
---@field client contree.safe.Client whose uploads they are
local Files = {}

--- Uploads a local file, or { data = "bytes" }, unless the server has it.
---     local file = client.files:upload("big.tar")
---
--- Raises: request, file (the local file), unprocessable (larger than the server takes)
---@async
---@param what string|{ path: string?, data: string? } a local path, or { path = } or { data = }: no default
---@return contree.UploadedFile|nil
---@return contree.Error? err why it failed
function Files:upload(what) end

--- The uploaded file with that content, or nil.
---     local file = client.files:find(digest)
---
--- Raises: request
---@async
---@param sha256 string the digest of the content, 64 hexadecimal digits
---@return contree.UploadedFile?|nil
---@return contree.Error? err why it failed
function Files:find(sha256) end

---@class contree.safe.Operations : contree.Operations
---@field client contree.safe.Client whose operations they are
local Operations = {}

--- An operation by its id; nothing is sent.
---     local result = client.operations:get(id):wait()
---
--- Raises: nothing
---@param uuid string its id
---@return contree.safe.Operation
function Operations:get(uuid) end

--- Summaries of operations, newest first (http-api.md §5.9).
---     local running = client.operations:list{ status = "EXECUTING" }
---
--- Raises: request, invalid_argument (an unknown status or kind)
---@async
---@param given? contree.OperationFilter
---@return contree.OperationSummary[]|nil
---@return contree.Error? err why it failed
function Operations:list(given) end

---@class contree.safe.Volumes : contree.Volumes
---@field client contree.safe.Client whose volumes they are
---@operator call(): contree.Volume[]|nil
local Volumes = {}

--- All volumes, by name. `client.volumes()` is short for it.
---     for _, volume in ipairs(client.volumes:list()) do print(volume.name, volume.size) end
---
--- Raises: request, not_supported (the hosted service)
---@async
---@return contree.Volume[]|nil
---@return contree.Error? err why it failed
function Volumes:list() end

--- One volume.
---     local volume = client.volumes:get("cargo")
---
--- Raises: request, not_found (no volume has the name), not_supported (the hosted service)
---@async
---@param name string of the volume
---@return contree.Volume|nil
---@return contree.Error? err why it failed
function Volumes:get(name) end

--- Makes a volume, or finds the one of that name. A quota that is given is set. Runs make the volumes that they lack, so only a quota needs this.
---     client.volumes:create("cargo", { quota = 10 * 2 ^ 30 })
---
--- Raises: request, invalid_argument (the name), not_supported (the hosted service)
---@async
---@param name string as tags are: a-z 0-9 _ - with single : / . between them
---@param given? contree.VolumeOptions
---@return contree.Volume|nil
---@return contree.Error? err why it failed
function Volumes:create(name, given) end

--- Deletes a volume and all in it, for good.
---     client.volumes:remove("cargo")
---
--- Raises: request, not_found (no volume has the name), conflict (a run uses it, or waits to), not_supported (the hosted service)
---@async
---@param name string of the volume
---@return true|nil
---@return contree.Error? err why it failed
function Volumes:remove(name) end

---@class contree.safe.Task : contree.Task
local Task = {}

--- Waits for the task's end; returns what its function returned, raises what it raised.
---     local task = contree.spawn(function() return image:run("make") end)
---     local result = task:wait()
---
--- Raises: any (what the function raised), cancelled (the task was cancelled)
---@async
---@param seconds? number raises `timeout` after so long, and the task goes on; default no limit
---@return any ... what the function returned
function Task:wait(seconds) end

--- Asks the task to end: what it waits for raises `cancelled` in it, which aborts its transfers and cancels its operation. Wait for the task to know when it has ended.
---     task:cancel()
---
--- Raises: nothing
function Task:cancel() end

---@class contree.safe.Buffer : contree.Buffer
local Buffer = {}

--- Adds bytes.
---     buffer:write("a line\n")
---
--- Raises: misuse (the buffer is closed)
---@param text string any bytes
---@return contree.safe.Buffer self
function Buffer:write(text) end

--- How many bytes are unread.
---     print(buffer:length())
---
--- Raises: nothing
---@return integer
function Buffer:length() end

--- Reads as io files do, what is there: "a" everything (""), a number up to so many bytes, "l" or "L" a line; nil at the end.
---     local line = buffer:read("l")
---
--- Raises: misuse (the buffer is closed)
---@param format? "a"|"l"|"L"|"*a"|"*l"|"*L"|integer default "a"
---@return string?
function Buffer:read(format) end

--- Iterates over the lines that are there.
---     for line in buffer:lines() do print(line) end
---
--- Raises: misuse (the buffer is closed)
---@return fun(): string?
function Buffer:lines() end

--- Does nothing: a buffer may stand where code expects a file.
---     buffer:flush()
---
--- Raises: nothing
---@return contree.safe.Buffer self
function Buffer:flush() end

--- Drops what is unread, and refuses more.
---     buffer:close()
---
--- Raises: nothing
function Buffer:close() end

---@class contree.safe.ProgressPrinter : contree.ProgressPrinter
---@operator call(contree.Progress): nil|nil
local ProgressPrinter = {}

--- Ends the line. That is only needed when what it was for has failed: a phase that is over ends its line itself.
---     printer:finish()
---
--- Raises: nothing
function ProgressPrinter:finish() end

---@class contree.safe
---@field version string The version of contree.
---@field _VERSION string Name and version, as other modules of Lua give theirs: "contree 0.1.0".
---@field PIPE table As `stdin`: the input is left open. As `stdout` or `stderr`: the result holds a buffer.
---@field null lightuserdata The value that is sent as null: `env = { HOME = contree.null }` unsets a variable.
local safe = {}

--- Whether a value is an error of contree's, and of a kind.
---     if contree.is_error(err, "not_found") then print("no such image") end
---
--- Raises: nothing
---@param value any what was caught
---@param kind? contree.ErrorKind default any kind
---@return boolean
function safe.is_error(value, kind) end

--- A client. A lone string is the url. Nothing is sent yet.
---     local client = contree.new("unix:/run/contree.sock")
---
--- Raises: misuse (missing or contradictory credentials), invalid_argument (no such profile)
---@param given? string|contree.ClientOptions
---@return contree.safe.Client|nil
---@return contree.Error? err why it failed
function safe.new(given) end

--- A store of sessions in a file, for session{ store = } and to list and delete what it holds.
---     local store = contree.sessions("sessions.db")
---
--- Raises: nothing
---@param path string the file; it is made at its first use
---@param given? { timeout: number? } seconds to wait for a locked file; default 5
---@return contree.safe.Sessions
function safe.sessions(path, given) end

--- Starts a task, which runs while something waits.
---     local task = contree.spawn(function() return image:run("make") end)
---
--- Raises: not_supported (this host cannot start a task here)
---@param fn function what it does
---@param ... any arguments of the function
---@return contree.safe.Task|nil
---@return contree.Error? err why it failed
function safe.spawn(fn, ...) end

--- Runs a function as the main task, for plain code; returns when it and all other tasks have ended. When it fails, the others are cancelled.
---     contree.async(function() print(image:run("date").stdout) end)
---
--- Raises: any (what the function raises)
---@param fn function what it does
---@param ... any arguments of the function
---@return any ... what the function returns
function safe.async(fn, ...) end

--- Calls functions at the same time, each in a task, and waits for all; tasks are waited for. The first error cancels the rest. With a list, results come as a list, too, and `{ concurrency = 4 }` may follow: so many at a time.
---     local results = contree.gather(list_of_functions, { concurrency = 8 })
---
--- Raises: any (the first error of the functions)
---@async
---@param ... any functions and tasks; or a list of them, then { concurrency = }
---@return any ... the first result of each, in order; or a list of them with `n`
function safe.gather(...) end

--- Waits; other tasks go on.
---     contree.sleep(0.5)
---
--- Raises: cancelled (the task was cancelled)
---@async
---@param seconds number how long
---@return nil
---@return contree.Error? err why it failed
function safe.sleep(seconds) end

--- Calls a function in a task and raises `timeout` when it takes longer: the task is cancelled then, and has ended when this returns.
---     local result = contree.timeout(5, function() return image:run("make") end)
---
--- Raises: timeout, any (what the function raises)
---@async
---@param seconds number how long it may take
---@param fn function what it does
---@param ... any arguments of the function
---@return any ... what the function returns
function safe.timeout(seconds, fn, ...) end

--- One turn for a program that steps by itself, such as a game's update: runs what is ready, and waits for more.
---     contree.step(0.01)
---
--- Raises: misuse (the host does that itself)
---@param seconds? number how long to wait at most; default 0
---@return integer tasks that have not ended yet
function safe.step(seconds) end

--- For the end of a program: cancels all tasks and all that they have started, but what has `detach = true`, and waits for that.
---     contree.shutdown(5)
---
--- Raises: misuse (called in a task), not_supported (in nginx)
---@param seconds? number how long it may take; default 2
---@return boolean|nil over false when the time ran out first
---@return contree.Error? err why it failed
function safe.shutdown(seconds) end

--- For a program that steps from an event loop of its own: a descriptor to poll for reading, and the seconds after which to call step() all the same.
---     local fd, seconds = contree.pollfd()
---
--- Raises: nothing
---@return integer? fd nil where the system has none
---@return number? seconds nil: no need
function safe.pollfd() end

--- The name of the event loop that contree is driven by. It is recognised at the first use; an argument chooses it before: "plain", "nvim", "luv", "cqueues", "copas", "nginx", "love", or a driver of your own (docs/use/hosts/writing-a-driver.md).
---     contree.host("luv")
---
--- Raises: misuse (another host is in use already, or there is no such driver)
---@param driver? string|fun(loop: table, options: table): table default the one in use
---@param given? table the driver's options (docs/use/hosts); default none
---@return string name
function safe.host(driver, given) end

--- A buffer of bytes, for `stdin`, `stdout` and `stderr`.
---     local buffer = contree.buffer("first line\n")
---
--- Raises: nothing
---@param text? string what it holds; default nothing
---@return contree.safe.Buffer
function safe.buffer(text) end

--- A ready-made printer for `progress =`: a line with a bar on standard error, if that is a terminal, and nothing else. In Neovim it is a message. Each phase has a line of its own.
---     client.images:oci("debian:12", { progress = contree.progress("debian") })
---
--- Raises: nothing
---@param title? string what it is that goes on; default nothing
---@return contree.safe.ProgressPrinter
function safe.progress(title) end

--- Marks a table as a list, so that an empty one is sent as [].
---     local list = contree.array{}
---
--- Raises: nothing
---@param list? table default a new one
---@return table list
function safe.array(list) end

return safe
