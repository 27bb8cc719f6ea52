---@meta contree
-- Written by scripts/library --write from the annotations of lua/contree.
-- luacheck: ignore

---@alias contree.ErrorKind "invalid_argument"|"auth"|"forbidden"|"not_found"|"conflict"|"gone"|"too_early"|"rate_limited"|"unprocessable"|"server"|"connection"|"timeout"|"cancelled"|"operation_failed"|"command_failed"|"engine_unavailable"|"not_supported"|"file"|"internal"

---@class contree.ClientOptions
---@field url? string the service, or "unix:/path", or "local"; default $CONTREE_URL, then a profile's, then the local engine
---@field token? string|false false sends none; default $CONTREE_TOKEN, then a profile's
---@field project? string default $CONTREE_PROJECT, then a profile's
---@field profile? string the section of auth.ini to use; default $CONTREE_PROFILE, or the one that auth.ini names as its default
---@field timeout? number seconds that one request may take; default 300
---@field operation_timeout? number seconds for runs and imports that name none; default the server's, 60 for runs
---@field operation_run_timeout? number the same for runs; default operation_timeout
---@field operation_import_timeout? number the same for imports; default operation_timeout
---@field default_truncate_output_at? integer bytes of output kept of each stream by runs that name no limit; default 1 MiB
---@field secrets? table<string, contree.Secret> of runs that have rules of networking; default none
---@field networking? boolean|contree.Networking of runs that do not say; default the server's
---@field retry? false|contree.RetryOptions how often a request that failed is sent again; false asks once; default as in contree.RetryOptions
---@field engine? boolean|contree.EngineOptions the local engine; false never uses it; default true: it is used where there is no account
---@field headers? table<string, string> sent with every request; default none
---@field user_agent? string put before ours; default none
---@field log? fun(line: string) called with a line for each request; CONTREE_DEBUG=1 prints them; default none

---@class contree.Secret
---@field value? string 16 to 8,192 bytes without control characters; no default: this or `sign`
---@field sign? fun(request: contree.SigningRequest): contree.Signature?, any in place of a value: called with each request to the hosts, returns the headers that sign it; no default
---@field digest? boolean with sign: the request has the SHA-256 of its body, of 256 KiB at most; default false
---@field hosts (string|contree.Rule)[] who gets it: rules with names; without a port, 443
---@field header? string the only header of a request that it may stand in; default any
---@field places? string[] where in a request it may stand: "header", "query", "body"; default { "header" }

---@class contree.SigningRequest what a program in a sandbox is about to send
---@field secret string the name of the secret, under which the function was given
---@field method string such as "GET"
---@field scheme string "https", or "http"
---@field host string in lower case
---@field port integer such as 443
---@field path string as it was sent, from the first slash on
---@field query? string what follows the question mark; nil: the URL has no query
---@field headers table<string, string> by names in lower case; those that came more than once are joined with ", "
---@field sha256? string of the body, in hexadecimal, with `digest = true`; nil: without

---@class contree.Signature
---@field headers table<string, string|false> to be sent in place of those that have the same name; false: to be left out

---@class contree.Rule
---@field host string a name, "*.name", an address, or a network "10.1.2.0/24"
---@field ports? integer|string|(integer|string)[] such as 443, "8000-8010"; default 80 and 443, in `deny` all
---@field methods? string[] of HTTP requests; default all
---@field paths? string[] patterns of HTTP requests: "/v1/*"; default all
---@field private? boolean the name may have a private address; default false

---@class contree.Networking
---@field enabled? boolean whether there is a network; default true
---@field allow? (string|contree.Rule)[] what may be reached, and nothing else (local engine): rules such as "example.org", "*.example.org:8443", "10.1.2.0/24:5432", and presets "@name"; default everything
---@field deny? (string|contree.Rule)[] what may not, though it is allowed; default none
---@field resolve? table<string, string> where names are dialled: "address" or "address:port"; default what this machine resolves

---@class contree.RetryOptions
---@field max_attempts? integer including the first; default 10
---@field max_delay? number seconds; a server that asks for more is not waited for; default 60

---@class contree.EngineOptions
---@field path? string the program; default it is looked for beside the module and in PATH
---@field data_dir? string absolute; where it keeps its images; default $CONTREE_DATA_DIR, then ~/.local/share/contree
---@field socket? string absolute; where it listens; default one for the data directory below $XDG_RUNTIME_DIR/contree
---@field idle? number seconds without work after which it ends; default 300
---@field nice? integer by how much its sandboxes have a lower priority, 0 to 19; default 10
---@field max_runs? integer sandboxes at a time, 1 to 64; default 64
---@field max_queued? integer runs that may wait for one; others are `rate_limited`; default 1024
---@field runtime? string what makes the sandboxes: "native", "crun", "runc", "/a/path"; default $CONTREE_RUNTIME, then "native"
---@field plain_api? boolean no more than the hosted service has, to try what a program needs; default false

---@class contree.Client
---@field images contree.Images to find, import and build images
---@field files contree.Files to upload contents
---@field operations contree.Operations to find and list runs and imports
---@field volumes contree.Volumes directories that outlive runs
local Client = {}

--- A session of a store: an existing one, or a new one that begins at `image`.
---     local session = client:session{ store = "sessions.db", id = "demo" }
---
--- Raises: request (to look up a tag), not_found (the store has no such session, and there is no image), conflict (the session belongs to another server), file (the store), timeout (the store is locked)
---@async
---@param given contree.OpenedSessionOptions
---@return contree.Session
function Client:session(given) end

--- What the engine's disk is used for.
---     print(client:disk().layers.bytes)
---
--- Raises: request, not_supported (the hosted service)
---@async
---@return contree.Disk
function Client:disk() end

--- The token's owner, rights and limits, as they are now.
---     local limits = client:whoami().limits
---
--- Raises: request
---@async
---@return contree.WhoAmI
function Client:whoami() end

--- The last answer of whoami(); `refresh` asks again.
---     local permissions = client:get_token_info().permissions
---
--- Raises: request
---@async
---@param given? { refresh: boolean? } whether the server is asked again; default false
---@return contree.WhoAmI
function Client:get_token_info(given) end

--- Closes the client without waiting for requests in flight. In Lua 5.4 the end of the scope of a `local client <close>` does so, too.
---     client:close()
---
--- Raises: nothing
function Client:close() end

---@class contree.Images
---@field client contree.Client whose images they are
---@field docker fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@field podman fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@field pull fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@field pull_by_oci fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@operator call(contree.ImageFilter?): contree.Image[]
local Images = {}

--- The images that the filter finds, and what they came from, as far as the server knows it: a tree. Printed, it is text; its methods make DOT and SVG.
---     print(client.images:tree{ tagged = true })
---
--- Raises: request
---@async
---@param given? contree.ImageFilter default all images
---@return contree.ImageTree
function Images:tree(given) end

--- Imports an image from a registry (or, on a local engine, from anything that skopeo reads) and waits for it.
---     local image = client.images:import_from("ghcr.io/me/app:v1", { tag = "app:v1" })
---
--- Raises: request, operation_failed (the import failed)
---@async
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…", "oci-archive:/path"
---@param given? contree.ImportOptions
---@return contree.Image
function Images:import_from(ref, given) end

--- The image that has the reference's tag, or is imported now. A uuid or "tag:NAME" is never imported. `docker`, `podman` and `pull` are other names of this method.
---     local image = client.images:oci("docker://debian:12")
---
--- Raises: request, not_found (no image has the uuid or "tag:NAME"), operation_failed (the import failed)
---@async
---@param ref string as for import_from, or a uuid, or "tag:NAME"
---@param given? contree.ImportOptions
---@return contree.Image
function Images:oci(ref, given) end

--- Builds an image from a Dockerfile (docs/use/build.md). A step that has run before is not run again. A lone string is the context, or the Dockerfile.
---     local image = client.images:build{ context = "app", tag = "app:v1" }
---
--- Raises: request, invalid_argument (the Dockerfile), not_found (an image of FROM or COPY), command_failed (a RUN failed), operation_failed (a step could not be run), unprocessable (a limit or user that cannot be had), file (the Dockerfile, the context, the cache)
---@async
---@param given contree.BuildOptions|string a lone string is the context's directory, or the path of the Dockerfile
---@return contree.BuiltImage
function Images:build(given) end

--- The image of a uuid, of a tag, or of the reference under which it was imported, such as "x@sha256:…". Nothing is sent, unless `strict` asks for an error when no such image exists.
---     local image = client.images:use("busybox:latest")
---
--- Raises: request, not_found (both with `strict` only)
---@async
---@param ref string a uuid, a tag, "tag:NAME" or a reference
---@param given? { strict: boolean? } whether it must be there; default false
---@return contree.Image
function Images:use(ref, given) end

--- Iterates over images, fetching them page by page.
---     for image in client.images:each{ tagged = true } do print(image.tag) end
---
--- Raises: request (while it iterates)
---@async
---@param given? contree.ImageFilter
---@return fun(): contree.Image?
function Images:each(given) end

--- A list of images, the newest first. `client.images{…}` is short for it.
---     local images = client.images:list{ since = "7d", limit = 10 }
---
--- Raises: request
---@async
---@param given? contree.ImageFilter
---@return contree.Image[]
function Images:list(given) end

--- Where an image comes from, and the tag that it gets here; nothing is sent.
---     local tag = client.images:reference("debian@sha256:" .. digest).tag
---
--- Raises: misuse (a malformed reference)
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…"
---@return { url: string, tag: string? }
function Images:reference(ref) end

---@class contree.ImportOptions
---@field tag? string the name that it gets here; default derived from the reference
---@field timeout? number seconds; default 300
---@field username? string for the registry; default anonymous
---@field password? string for the registry; default none
---@field progress? fun(progress: contree.Progress) called with each event of the import that says how far it is; `layer` of `of` is the one that is on its way; default none

---@class contree.Progress how far something is; a callback is called with it on the host's thread, between slices of the work. What it raises ends the work
---@field phase string what is done: "looking", "sending", "getting", "writing", or of an import what the engine says
---@field unit "bytes"|"files" what `done` and `total` count
---@field done integer how many of them so far
---@field total? integer nil where it is not known; reached when the phase ends

---@class contree.Image
---@field uuid? string nil until a request has told it, and of a disposable result
---@field tag? string nil: it has none, or it is not known
---@field created_at? string ISO 8601; nil where no request has told it
---@field client contree.Client whose server has it
local Image = {}

--- Runs a command and waits for its end. A lone string is the shell command. A command that fails is a result, not an error, unless `check` is set.
---     local result = image:run{ shell = "make", cwd = "/src" }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had, streamed output that was cut off), operation_failed (the command could not be run), command_failed (with `check`), file (a local file)
---@async
---@param given contree.RunOptions|string
---@return contree.Result
function Image:run(given) end

--- Starts a command and returns at once.
---     local operation = image:start{ shell = "sleep 60", detach = true }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had), file (a local file)
---@async
---@param given contree.RunOptions|string
---@return contree.Operation
function Image:start(given) end

--- Starts a command whose input and output are used while it runs, like Python's subprocess.Popen. Its changes are dropped, unless `disposable` is false.
---     local process = image:popen({ "cat" }, { env = { LC_ALL = "C" } })
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had), file (a local file)
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.PopenOptions
---@return contree.Process
function Image:popen(argv, given) end

--- Opens a box: one sandbox for many commands, for as long as it is wanted. It ends when no command ran for `idle_timeout` seconds, when it is closed, and with its program.
---     local box = image:open{ idle_timeout = 600, cwd = "/src" }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit that cannot be had), not_supported (the hosted service), file (a local file)
---@async
---@param given? contree.BoxOptions
---@return contree.Box
function Image:open(given) end

--- A run that can be called any number of times.
---     local tests = image:prepare{ shell = "make test" }
---
--- Raises: file (a local file of `files`)
---@param given contree.RunOptions|string
---@return contree.Prepared
function Image:prepare(given) end

--- Puts files into the image by a run of `true`; returns the new image.
---     local built = image:apply_files{ ["/app/main.lua"] = "main.lua" }
---
--- Raises: request, not_found (the image, an uploaded file), operation_failed, command_failed (the image has no program `true`), file (a local file)
---@async
---@param given contree.RunFiles|string as `files` of a run, or the path of one local file
---@return contree.Result
function Image:apply_files(given) end

--- A session: an image that moves with every run. With `store` and `id` it outlives the program, and an existing one continues where it was.
---     local session = image:session{ store = "sessions.db", id = "demo" }
---
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the session belongs to another server), file (the store), timeout (the store is locked)
---@async
---@param given? contree.SessionOptions
---@return contree.Session
function Image:session(given) end

--- A workspace: a session whose images have a folder of this machine. What is edited in the folder comes in before each run; what runs change comes home by `apply`. Which files come in is what git says: those that it ignores stay out. Without git it is all but what `.contreeignore` names, in the syntax of .dockerignore.
---     local workspace = image:workspace{ path = ".", at = "/work" }
---
--- Raises: request, not_found (no image has the tag), conflict (a file was changed on both sides; the session belongs to another server), file (the folder, its index, the store), timeout (the store is locked)
---@async
---@param given? contree.WorkspaceOptions
---@return contree.Workspace
function Image:workspace(given) end

--- The image and its ancestors, with the runs that made them, the newest first. The list ends where the server knows no more.
---     for _, entry in ipairs(image:lineage()) do print(entry.title) end
---
--- Raises: request, not_found (the image)
---@async
---@param limit? integer no more entries than this; default all
---@return contree.LineageEntry[]
function Image:lineage(limit) end

--- The run that last changed a path (or anything below it), and the change. Links are not followed.
---     local entry, change = image:blame("/etc/passwd")
---
--- Raises: request, not_found (the image; no image of the lineage had the path)
---@async
---@param path string absolute
---@return contree.LineageEntry entry
---@return contree.Change? change nil: the path came with the oldest image that is known
function Image:blame(path) end

--- Finds the run of the image's lineage that broke it, as session:bisect does in a history.
---     local entry = image:bisect("make check")
---
--- Raises: request, not_found (the image; no entry has the number), unprocessable (the ends are not good and bad, or all between them was skipped), operation_failed
---@async
---@param test contree.BisectBy
---@param given? contree.BisectOptions
---@return contree.LineageEntry entry the run that turned it bad
---@return contree.BisectTest[] tests that were made
function Image:bisect(test, given) end

--- The changes from another image to this one: parents before what they hold, at most 100,000 changes unless `limit` says otherwise. With `text = true` each changed file has its hunks, and tostring() of the list is a patch for patch(1) and git apply.
---     for _, change in ipairs(image:diff(base)) do print(change.change, change.path) end
---
--- Raises: request, not_found (one of the images), not_supported (the hosted service)
---@async
---@param other contree.Image|contree.Session|string the older image: a string is a uuid or a tag
---@param given? contree.DiffOptions
---@return contree.Changes changes
---@return boolean truncated whether there are more
function Image:diff(other, given) end

--- An image of this one and of another that came from the same: this one with what the other changed since. Files, directories, links, modes and owners are merged, texts line by line. Where both changed something, each in its own way, it is an error, whose `conflicts` lists the paths; or `prefer` says who wins, and the second result lists them. The new image descends from this one.
---     local both = image:merge(other)
---
--- Raises: request, conflict (both changed something), not_found (one of the images), unprocessable (both came from no image that is known: say `base`), timeout (it took longer than `timeout`), not_supported (the hosted service)
---@async
---@param other contree.Image|contree.Session|string the other image: a string is a uuid or a tag
---@param given? contree.MergeOptions
---@return contree.Image image
---@return contree.Conflict[] conflicts where both changed something, with `prefer`
function Image:merge(other, given) end

--- Writes the image to a registry, with one layer, through skopeo.
---     image:push("registry.example.net/me/app:v2", { username = "me", password = token })
---
--- Raises: request, invalid_argument (no reference that one can push to), server (the registry refuses it, or cannot be reached), not_found (the image), not_supported (no skopeo is there; the server is no engine of this machine)
---@async
---@param ref string "registry.example.net/me/app:v2"; "docker://" before it is understood
---@param given? contree.PushOptions
---@return string ref with "docker://"
function Image:push(ref, given) end

--- The entries of a directory.
---     for _, entry in ipairs(image:ls("/etc")) do print(entry.name, entry.size) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no directory)
---@async
---@param path? string absolute; default "/"
---@return contree.FileEntry[]
function Image:ls(path) end

--- The entry of one file or directory; a link is not followed.
---     print(image:stat("/bin/sh").target)
---
--- Raises: request, not_found (the image, the path), unprocessable (the parent is no directory)
---@async
---@param path string absolute
---@return contree.FileEntry
function Image:stat(path) end

--- Whether there is a file or directory at a path.
---     if image:exists("/app/done") then print("built") end
---
--- Raises: request
---@async
---@param path string absolute
---@return boolean
function Image:exists(path) end

--- The content of a file. One that is larger than `max_size` raises `server`.
---     local text = image:read("/etc/os-release")
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return string
function Image:read(path, given) end

--- Iterates over the lines of a file, which is read at once.
---     for line in image:lines("/etc/passwd") do print(line) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return fun(): string?
function Image:lines(path, given) end

--- Copies a file or directory out. It appears under its local name when it is complete, or not at all. A program stays executable. A directory keeps links, modes and times, and goes where nothing is, or an empty directory.
---     image:download("/app/server", "build/server")
---     image:download("/app/share", "share")
---
--- Raises: request, not_found (the image, the path), unprocessable (neither a file nor a directory), file (the local file)
---@async
---@param path string absolute, in the image
---@param to? string local path; default its own name, in the working directory
---@return string to
function Image:download(path, to) end

--- Writes the tree of the image, or of one of its directories, to a directory of this machine: with links, modes and times, all of it or nothing. Set-id bits, owners, devices and FIFOs stay behind, and nothing is written outside of `path`, whatever the image has in it. `download` is for single files, and for directories by their name; this is for an image as a whole, tells how far it is, and can replace an older tree.
---     image:export_to("rootfs", { at = "/srv/app", replace = true })
---
--- Raises: request, not_found (the image, the directory), unprocessable (it is no directory), file (something is there already; the local directory)
---@async
---@param path string the local directory, which is made
---@param given? contree.ExportOptions
---@return string path
function Image:export_to(path, given) end

--- Copies a file or directory out as a tar file.
---     image:archive("/app", "app.tar")
---
--- Raises: request, not_found (the image, the path), unprocessable (it does not fit into a tar file), file (the local file)
---@async
---@param path string absolute, in the image
---@param to string local path
---@return string to
function Image:archive(path, to) end

--- Searches files for lines. Links are not followed, and files with NUL bytes are skipped. A lone string is the pattern.
---     for _, match in ipairs(image:grep("root").matches) do print(match.path) end
---
--- Raises: request, not_found (the image, a path), invalid_argument (a malformed pattern or glob)
---@async
---@param given contree.GrepOptions|string
---@return contree.GrepResult
function Image:grep(given) end

--- Names the image; an image that had the name loses it.
---     image:tag_as("app:v1")
---
--- Raises: request, not_found (the image), invalid_argument (a malformed tag)
---@async
---@param name string the tag, such as "app:v1"
---@return contree.Image self
function Image:tag_as(name) end

--- Takes a name away from the image.
---     image:untag("app:v1")
---
--- Raises: request, not_found (the image has no such tag)
---@async
---@param name? string the tag; default the one that it has
---@return contree.Image self
function Image:untag(name) end

---@class contree.FileEntry
---@field name string the last part of its path
---@field path string absolute
---@field type "file"|"directory"|"link"|"socket"|"fifo"|"device" what it is
---@field is_dir boolean a directory
---@field is_file boolean a regular file
---@field is_symlink boolean a symbolic link
---@field size integer bytes
---@field mode integer permission bits
---@field mtime integer Unix time of the last change
---@field uid integer the owner's number
---@field gid integer the group's number
---@field owner string|integer the owner's name, or number where the image names none
---@field group string|integer the same of the group
---@field nlink integer how many names the file has
---@field target? string of a link; nil of others
---@field read fun(self, given: contree.ReadOptions?): string
---@field lines fun(self, given: contree.ReadOptions?): fun(): string?
---@field download fun(self, to: string?): string
local FileEntry = {}

--- The entries of this directory.
---     for _, inner in ipairs(file_entry:ls()) do print(inner.path) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no directory)
---@async
---@param sub? string a path below it; default the directory itself
---@return contree.FileEntry[]
function FileEntry:ls(sub) end

---@class contree.ReadOptions
---@field max_size? integer bytes; a larger file is an error; default 256 MiB

---@class contree.GrepOptions
---@field pattern string|string[] regular expressions (PCRE2)
---@field path? string|string[] where to search; default "/"
---@field glob? string|string[] only files whose names match: "*.c", "!*.bak"; default all files
---@field max_count? integer matching lines of one file; default all
---@field max_total? integer matching lines of all files; default 1000
---@field case? string "sensitive", "insensitive" or "smart"; default "sensitive"
---@field before? integer lines before each match; default 0
---@field after? integer lines after each match; default 0

---@class contree.GrepResult the lines that were found (http-api.md §5.14)
---@field matches contree.GrepMatch[] the lines, file by file
---@field truncated boolean there are more
---@field path string where it was searched
---@field patterns string[] what was searched for

---@class contree.GrepMatch a line; printed, it is "path:number:text"
---@field path string absolute
---@field line_number integer from 1
---@field line_text string with its end
---@field line_bytes? integer its length; nil: the server does not say
---@field absolute_offset? integer of the line in the file; nil: the server does not say
---@field type "match"|"context" whether it matches, or is near such a line
---@field submatches contree.GrepPart[] offsets in bytes

---@class contree.GrepPart
---@field text string what matches
---@field start integer offset in bytes, in the line
---@field end integer the same

---@class contree.DiffOptions
---@field path? string only this path and everything below it; default all
---@field limit? integer no more changes than this; default 100,000
---@field text? boolean compare text files line by line; default false
---@field context? integer lines around each change; default 3
---@field max_size? integer bytes; larger files are not compared; default 4 MiB

---@class contree.Changes a list; tostring() shows it, with text = true as a patch
---@field [integer] contree.Change by path

---@class contree.Change
---@field path string absolute
---@field change "added"|"changed"|"removed" since the other image
---@field type "file"|"directory"|"link"|"other" what it is now, or was when it was removed
---@field size integer bytes
---@field mode integer permission bits; of what is removed, what they were
---@field was? { type: string, size: integer, mode: integer } of what is changed; nil of others
---@field hunks? contree.Hunk[] with text = true; of a link, its target is the text; nil without
---@field binary? boolean it holds NUL bytes, so there are no hunks; nil otherwise
---@field too_large? boolean it is larger than max_size, so there are no hunks; nil otherwise

---@class contree.Hunk
---@field old_start integer the first line, from 1; without lines, the one before
---@field old_count integer how many lines there
---@field new_start integer its first line in the new file, from 1
---@field new_count integer how many lines there
---@field text string the lines, each behind " ", "-" or "+"

---@class contree.MergeOptions
---@field base? contree.Image|contree.Session|string what both came from; default: the nearest image that they did
---@field prefer? "ours"|"theirs" which side wins where both changed something: "ours" is the image that merges, "theirs" the other; default: neither, then it is an error
---@field tag? string given to the new image; default none
---@field timeout? integer seconds; default 300

---@class contree.Session
---@field image contree.Image where it is
---@field branch_name string the selected branch
---@field id? string its name in the store; nil without one
---@field client contree.Client whose server has its images
local Session = {}

--- Runs a command and moves to the image that it left. A run that fails leaves the session where it was.
---     session:run("make install")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had, streamed output that was cut off), operation_failed (the command could not be run), command_failed (with `check`), file (a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Result
function Session:run(given) end

--- Starts a command and returns at once. The session moves when somebody has waited for the end; in a store, any program may do that (session:pending, session:wait).
---     local operation = session:start("make test")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had), file (a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Operation
function Session:start(given) end

--- Starts a command that is talked to while it runs (image:popen). It runs beside the session and leaves no trace. With `disposable = false` it is a run of the session, which moves when the process has been waited for.
---     local process = session:popen({ "sh" }, { disposable = false })
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user that cannot be had), file (a local file, the store), conflict (with `disposable = false`: the session is running a command, or the branch was moved meanwhile), gone (likewise: the session or its branch was deleted)
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.PopenOptions
---@return contree.Process
function Session:popen(argv, given) end

--- Puts files into the image by a run of `true`, and moves to the new image.
---     session:apply_files{ ["/app/main.lua"] = "main.lua" }
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), operation_failed, command_failed (the image has no program `true`), file (a local file, the store)
---@async
---@param given table|string as `files` of a run, or the path of one local file
---@return contree.Result
function Session:apply_files(given) end

--- Puts files into the session's image without running a command, and moves to the new image. Until then nothing is executed: on a local engine the files become one layer. A server without layers runs `true`. In the history it is an entry of its own, which rollback() undoes.
---     session:stage{ ["/app/main.lua"] = "main.lua", ["/app/conf"] = { data = "x" } }
---
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a directory is in the way), operation_failed (the same on such a server), not_supported (there, the image has no program `true`), file (a local file, the store)
---@async
---@param given table|string as `files` of a run, or the path of one local file
---@return contree.Image image where the session is now
function Session:stage(given) end

--- The runs of this session, on all its branches, that were started and not waited for, the oldest first. Waiting for one moves its branch.
---     for _, operation in ipairs(session:pending()) do operation:wait() end
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@return contree.Operation[]
function Session:pending() end

--- Waits for the run that was started on this branch, by this program or by one that has ended, and moves to the image that it left.
---     local result = session:wait(60)
---
--- Raises: request, conflict (the branch was moved since the run was started), gone (the session was deleted), operation_failed (the command could not be run), command_failed (with `check`), unprocessable (streamed output was cut off), file (a local file, the store)
---@async
---@param seconds? number raises `timeout` after so long, and the run goes on; default no limit
---@return contree.Result? result nil: no run is pending on this branch
function Session:wait(seconds) end

--- Gives up a run that nobody wants to wait for: it is cancelled if it still runs, and is pending no longer.
---     session:abandon(session:pending()[1])
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param pending contree.Operation one of session:pending()
---@return contree.Session self
function Session:abandon(pending) end

--- Moves the session to an image that none of its runs made, or to the result of a run whose branch was moved meanwhile (`err.result`).
---     local ok, err = pcall(session.run, session, "make")
---     if not ok and err.result then session:commit(err.result, "mine") end
---
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the session is running a command, the branch was moved, or there is a branch of that name), gone (the session was deleted), file (the store)
---@async
---@param result contree.Image the image to go on with
---@param branch? string a new branch, from where the run was started; default the one that the run was started on
---@return contree.Session self
function Session:commit(result, branch) end

--- Brings in what another session, or image, has done since both came from one, and moves to the result (image:merge). With forks of one workspace, two fixes become one.
---     session:merge(fork)
---
--- Raises: request, not_found (an image), conflict (both sides changed something; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), operation_failed, not_supported (by the server), file (the store)
---@async
---@param other contree.Image|contree.Session|string an image, where a session is, a uuid or tag
---@param given? contree.MergeOptions
---@return contree.Image image where the session is now
---@return contree.Conflict[] conflicts that `prefer` has decided
function Session:merge(other, given) end

--- How the session came to where it is, or how a branch came to where it ends, the oldest entry first. The session does not move.
---     for _, entry in ipairs(session:history()) do print(entry.id, entry.title) end
---
--- Raises: not_found (there is no such branch), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param given? { branch: string? } branch: the one to list; default the entries that led to where the session is
---@return contree.HistoryEntry[]
function Session:history(given) end

--- All entries of the session, on all its branches. The session does not move.
---     print(session:tree())
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@return contree.Tree
function Session:tree() end

--- Goes back by some runs.
---     session:rollback()
---
--- Raises: conflict (the session is running a command, the branch was moved, or there are fewer runs), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param steps? integer how many runs; default 1
---@return contree.Session self
function Session:rollback(steps) end

--- Begins a branch where the session is, and selects it.
---     session:branch("experiment")
---
--- Raises: conflict (the session is running a command, or there is such a branch), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param name string the name of the new branch
---@return contree.Session self
function Session:branch(name) end

--- Selects a branch and moves to where it ends.
---     session:checkout("main")
---
--- Raises: not_found (there is no such branch), conflict (the session is running a command), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param name string the branch
---@return contree.Session self
function Session:checkout(name) end

--- The names of the branches, sorted.
---     print(table.concat(session:list_branches(), ", "))
---
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@return string[]
function Session:list_branches() end

--- Removes a branch that the session is not on.
---     session:delete_branch("experiment")
---
--- Raises: not_found (there is no such branch), conflict (the session is on it), gone (the session was deleted), file (the store), timeout (the store is locked)
---@async
---@param name string the branch
---@return contree.Session self
function Session:delete_branch(name) end

--- An independent session that begins where this one is, with its history. In a store it has a name of its own.
---     local copy = session:fork("demo-2")
---
--- Raises: conflict (there is a session of that name), gone (this session was deleted), file (the store), timeout (the store is locked)
---@async
---@param id? string the name in the store; default this session's and a number
---@return contree.Session
function Session:fork(id) end

--- The run that last changed a path, and the change (image:blame).
---     local entry, change = session:blame("/etc/passwd")
---
--- Raises: request, not_found (an image, or no image had the path), gone (the session was deleted), file (the store)
---@async
---@param path string absolute
---@return contree.HistoryEntry|contree.LineageEntry entry
---@return contree.Change? change nil: the path came with the oldest image that is known
function Session:blame(path) end

--- Finds the run that broke it, by disposable runs of a test in the images of the history: about as many as the logarithm of its length. A test that is a command ends with 0 for good, with 125 for "cannot tell" and with anything else for bad. A test that is a function returns true, nil or false.
---     local entry = session:bisect("make check")
---
--- Raises: request, not_found (an image; no entry has the number), unprocessable (the ends are not good and bad, or all between them was skipped), operation_failed, gone (the session was deleted), file (the store)
---@async
---@param test contree.BisectBy a command, or a function that gets the image and the entry
---@param given? contree.BisectOptions
---@return contree.HistoryEntry entry the run that turned it bad
---@return contree.BisectTest[] tests that were made, in the order in which they ended
function Session:bisect(test, given) end

--- Opens a box: one sandbox for many commands, for as long as it is wanted. It ends when no command ran for `idle_timeout` seconds, when it is closed, and with its program.
---     local box = image:open{ idle_timeout = 600, cwd = "/src" }
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit that cannot be had), not_supported (the hosted service), file (a local file)
---@async
---@param given? contree.BoxOptions
---@return contree.Box
function Session:open(given) end

--- A run that can be called any number of times.
---     local tests = image:prepare{ shell = "make test" }
---
--- Raises: file (a local file of `files`)
---@param given contree.RunOptions|string
---@return contree.Prepared
function Session:prepare(given) end

--- Names the image; an image that had the name loses it.
---     image:tag_as("app:v1")
---
--- Raises: request, not_found (the image), invalid_argument (a malformed tag)
---@async
---@param name string the tag, such as "app:v1"
---@return contree.Image self
function Session:tag_as(name) end

--- Takes a name away from the image.
---     image:untag("app:v1")
---
--- Raises: request, not_found (the image has no such tag)
---@async
---@param name? string the tag; default the one that it has
---@return contree.Image self
function Session:untag(name) end

--- A session: an image that moves with every run. With `store` and `id` it outlives the program, and an existing one continues where it was.
---     local session = image:session{ store = "sessions.db", id = "demo" }
---
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the session belongs to another server), file (the store), timeout (the store is locked)
---@async
---@param given? contree.SessionOptions
---@return contree.Session
function Session:session(given) end

--- A workspace: a session whose images have a folder of this machine. What is edited in the folder comes in before each run; what runs change comes home by `apply`. Which files come in is what git says: those that it ignores stay out. Without git it is all but what `.contreeignore` names, in the syntax of .dockerignore.
---     local workspace = image:workspace{ path = ".", at = "/work" }
---
--- Raises: request, not_found (no image has the tag), conflict (a file was changed on both sides; the session belongs to another server), file (the folder, its index, the store), timeout (the store is locked)
---@async
---@param given? contree.WorkspaceOptions
---@return contree.Workspace
function Session:workspace(given) end

--- The image and its ancestors, with the runs that made them, the newest first. The list ends where the server knows no more.
---     for _, entry in ipairs(image:lineage()) do print(entry.title) end
---
--- Raises: request, not_found (the image)
---@async
---@param limit? integer no more entries than this; default all
---@return contree.LineageEntry[]
function Session:lineage(limit) end

--- The entries of a directory.
---     for _, entry in ipairs(image:ls("/etc")) do print(entry.name, entry.size) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no directory)
---@async
---@param path? string absolute; default "/"
---@return contree.FileEntry[]
function Session:ls(path) end

--- The entry of one file or directory; a link is not followed.
---     print(image:stat("/bin/sh").target)
---
--- Raises: request, not_found (the image, the path), unprocessable (the parent is no directory)
---@async
---@param path string absolute
---@return contree.FileEntry
function Session:stat(path) end

--- Whether there is a file or directory at a path.
---     if image:exists("/app/done") then print("built") end
---
--- Raises: request
---@async
---@param path string absolute
---@return boolean
function Session:exists(path) end

--- The content of a file. One that is larger than `max_size` raises `server`.
---     local text = image:read("/etc/os-release")
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return string
function Session:read(path, given) end

--- Iterates over the lines of a file, which is read at once.
---     for line in image:lines("/etc/passwd") do print(line) end
---
--- Raises: request, not_found (the image, the path), unprocessable (no regular file)
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return fun(): string?
function Session:lines(path, given) end

--- Copies a file or directory out. It appears under its local name when it is complete, or not at all. A program stays executable. A directory keeps links, modes and times, and goes where nothing is, or an empty directory.
---     image:download("/app/server", "build/server")
---     image:download("/app/share", "share")
---
--- Raises: request, not_found (the image, the path), unprocessable (neither a file nor a directory), file (the local file)
---@async
---@param path string absolute, in the image
---@param to? string local path; default its own name, in the working directory
---@return string to
function Session:download(path, to) end

--- Copies a file or directory out as a tar file.
---     image:archive("/app", "app.tar")
---
--- Raises: request, not_found (the image, the path), unprocessable (it does not fit into a tar file), file (the local file)
---@async
---@param path string absolute, in the image
---@param to string local path
---@return string to
function Session:archive(path, to) end

--- Writes the tree of the image, or of one of its directories, to a directory of this machine: with links, modes and times, all of it or nothing. Set-id bits, owners, devices and FIFOs stay behind, and nothing is written outside of `path`, whatever the image has in it. `download` is for single files, and for directories by their name; this is for an image as a whole, tells how far it is, and can replace an older tree.
---     image:export_to("rootfs", { at = "/srv/app", replace = true })
---
--- Raises: request, not_found (the image, the directory), unprocessable (it is no directory), file (something is there already; the local directory)
---@async
---@param path string the local directory, which is made
---@param given? contree.ExportOptions
---@return string path
function Session:export_to(path, given) end

--- Writes the image to a registry, with one layer, through skopeo.
---     image:push("registry.example.net/me/app:v2", { username = "me", password = token })
---
--- Raises: request, invalid_argument (no reference that one can push to), server (the registry refuses it, or cannot be reached), not_found (the image), not_supported (no skopeo is there; the server is no engine of this machine)
---@async
---@param ref string "registry.example.net/me/app:v2"; "docker://" before it is understood
---@param given? contree.PushOptions
---@return string ref with "docker://"
function Session:push(ref, given) end

--- Searches files for lines. Links are not followed, and files with NUL bytes are skipped. A lone string is the pattern.
---     for _, match in ipairs(image:grep("root").matches) do print(match.path) end
---
--- Raises: request, not_found (the image, a path), invalid_argument (a malformed pattern or glob)
---@async
---@param given contree.GrepOptions|string
---@return contree.GrepResult
function Session:grep(given) end

--- The changes from another image to this one: parents before what they hold, at most 100,000 changes unless `limit` says otherwise. With `text = true` each changed file has its hunks, and tostring() of the list is a patch for patch(1) and git apply.
---     for _, change in ipairs(image:diff(base)) do print(change.change, change.path) end
---
--- Raises: request, not_found (one of the images), not_supported (the hosted service)
---@async
---@param other contree.Image|contree.Session|string the older image: a string is a uuid or a tag
---@param given? contree.DiffOptions
---@return contree.Changes changes
---@return boolean truncated whether there are more
function Session:diff(other, given) end

---@class contree.BoxOptions
---@field idle_timeout? number seconds without a command until it ends; default 300
---@field timeout? number seconds until it ends in any case; default none
---@field env? table<string, string> variables of its commands, beside the image's; default none
---@field cwd? string where its commands run; default the image's, or "/"
---@field user? string|true who runs them; default root
---@field uid? integer in place of user; default 0
---@field gid? integer the same; default the user's group
---@field files? contree.RunFiles as for runs; default none
---@field progress? fun(progress: contree.Progress) called while files are sent; default none
---@field volumes? table<string, string> as for runs; default none
---@field mounts? table<string, string|{ path: string, noexec: boolean? }> as for runs; default none
---@field hostname? string the sandbox's name; default "linuxkit"
---@field image_etc? boolean as for runs; default false
---@field networking? boolean|contree.Networking as for runs; default the client's, or false
---@field secrets? table<string, contree.Secret> as for runs; default the client's
---@field trace? boolean|"files" as for runs; default false
---@field resources_limits? contree.Limits of all its commands together; default the server's
---@field queue_timeout? number seconds to wait for a sandbox at most; default any time

---@alias contree.RunFiles contree.RunFile[]|table<string, contree.RunFile>

---@alias contree.RunFile string|contree.FileSource|contree.UploadedFile

---@class contree.FileSource what a run puts into its image: `source`, or `data`
---@field source? string|contree.UploadedFile a local file or directory, or an upload; no default: this or `data`
---@field data? string all of the file; no default: this or `source`
---@field path? string in a list: where it goes; default "/" and its own name
---@field mode? string|integer permission bits: octal digits in a string such as "0755", or a number; default that of the local file, "0644" for the others
---@field uid? integer the owner; default 0
---@field gid? integer the group; default 0
---@field ignore? string[]|false patterns of what stays out of a directory, as in .dockerignore; false: all comes in; default its .contreeignore

---@class contree.UploadedFile
---@field uuid string what runs name it by
---@field sha256 string of the content, in hexadecimal
---@field size integer bytes

---@class contree.Limits what one run may take of the machine (docs/engine/engine.md)
---@field cpus? number processors: 0.5, 2; default all, or the engine's --cpus
---@field memory_bytes? integer memory and swap; default none, or the engine's --memory
---@field pids? integer processes and threads; default 4096, or the engine's --pids
---@field max_layer_bytes? integer what the run may write; default 12 GiB
---@field shm_bytes? integer size of /dev/shm; default 256 MiB

---@class contree.Box one sandbox for many commands
---@field operation contree.Operation its sandbox: forward, usage, watch, pause
---@field client contree.Client whose server it is on
---@field uuid string the operation's
local Box = {}

--- Runs a command in the box and waits for its end. What it does to files is there for the commands after it. Other commands may run at the same time. A task that is cancelled while it waits kills the command.
---     local result = box:run{ shell = "make test", timeout = 60 }
---
--- Raises: request, gone (the box has ended, and the field `reason` says why), unprocessable (a user that the image does not have, streamed output that was cut off), command_failed (with `check`), file (a local file)
---@async
---@param given contree.CommandOptions|string a lone string is the shell command
---@return contree.SubprocessResult
function Box:run(given) end

--- Starts a command in the box and returns at once.
---     local server = box:spawn{ command = "httpd", args = { "-f" } }
---
--- Raises: request, gone (the box has ended), unprocessable (a user that the image does not have), file (a local file)
---@async
---@param given contree.CommandOptions|string a lone string is the shell command
---@return contree.Subprocess
function Box:spawn(given) end

--- Starts a command that is talked to while it runs (image:popen), also on a terminal.
---     local shell = box:popen({ "sh" }, { tty = true })
---
--- Raises: request, gone (the box has ended), unprocessable (a user that the image does not have), file (a local file)
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.BoxPopenOptions
---@return contree.Process
function Box:popen(argv, given) end

--- Makes an image of what the box holds now, while it goes on. All its commands stand still for a moment, so the image is of one point in time; it is durable when this returns. Volumes and directories of the host are not in it. A box that has changed nothing gives its image.
---     local built = box:snapshot()
---     built:run("make test")
---
--- Raises: request, gone (the box has ended), server (a command does not stop, or the disk is full; the box goes on)
---@async
---@param given? { tag: string? } tag: names the image; default none
---@return contree.Image
function Box:snapshot(given) end

--- Ends the box with all that runs in it. What its commands wrote is dropped or, with `keep`, becomes an image. A box that is garbage, or that goes out of scope as `local box <close>`, is closed, and so is one whose program has ended, however that was.
---     local built = box:close{ keep = true }
---
--- Raises: request, gone (with `keep`: the box has ended), operation_failed (with `keep`: it could not be kept)
---@async
---@param given? { keep: boolean?, tag: string? } keep: default false; tag: names the image that is kept; default none
---@return contree.Image|boolean kept the image; without `keep` whether the box was open
function Box:close(given) end

---@class contree.Operation
---@field uuid string its id
---@field client contree.Client whose server it is on
local Operation = {}

--- Starts another command in the same sandbox. It ends with the operation.
---     local sub = operation:spawn("ps")
---
--- Raises: request, not_found (the operation), conflict (the operation has ended), unprocessable (a user that the image does not have), file (a local file)
---@async
---@param given contree.SpawnOptions|string
---@return contree.Subprocess
function Operation:spawn(given) end

--- Stops all processes of the operation until `resume`; returns when they have stopped. Its timeout stands still meanwhile. It can be cancelled and killed all the same, and its details have `paused = true`.
---     operation:pause()
---
--- Raises: request, not_found (the operation), conflict (it has ended), server (a process did not stop, so all go on), not_supported (the hosted service)
---@async
---@return contree.Operation self
function Operation:pause() end

--- Lets the processes of a paused operation go on. Does nothing if it is not paused.
---     operation:resume()
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@return contree.Operation self
function Operation:resume() end

--- What the operation uses now, as far as the kernel tells.
---     local used = operation:usage()
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@return contree.Usage
function Operation:usage() end

--- Iterates over what changes in a directory of the sandbox, until the operation ends. It returns when all directories are watched, so nothing that happens afterwards is missed. "written" is a file that was closed after it was open for writing. "overflow" says that more happened than could be told: look at the files again.
---     for change in operation:watch("/work", { recursive = true }) do print(change.path) end
---
--- Raises: request, not_found (the operation), conflict (it has ended), unprocessable (there is no such directory), rate_limited (a limit of the kernel's), connection (it was cut off; the last two and not_found also while it iterates), not_supported (the hosted service)
---@async
---@param path string absolute, in the sandbox
---@param given? contree.WatchOptions
---@return fun(): contree.FileEvent?
function Operation:watch(path, given) end

--- Connects a port of this machine to one of the sandbox, until the operation ends; returns the address. The sandbox needs no network for that. What connects while nobody listens inside is refused.
---     local address = operation:forward(8000) -- "127.0.0.1:41234"
---
--- Raises: request, not_found (the operation), conflict (it has ended, or another program has the address), rate_limited (it has 64 ports), not_supported (the hosted service)
---@async
---@param target integer|string a TCP port on the sandbox's loopback interface, or the absolute path of a Unix socket in it
---@param given? contree.ForwardOptions
---@return string address
function Operation:forward(target, given) end

--- What `forward` has made.
---     for _, port in ipairs(operation:ports()) do print(port.address, port.connections) end
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@return contree.ForwardedPort[]
function Operation:ports() end

--- Takes back what `forward` has made, and ends the connections.
---     operation:close_port(address)
---
--- Raises: request, not_found (the operation), conflict (it has ended), not_supported (the hosted service)
---@async
---@param address string as `forward` has returned it
---@return boolean closed whether a port had that address
function Operation:close_port(address) end

--- The operation's status, and everything that the server knows of it.
---     local status = operation:status()
---
--- Raises: request, not_found (the operation)
---@async
---@return "PENDING"|"ASSIGNED"|"EXECUTING"|"SUCCESS"|"FAILED"|"CANCELLED" status
---@return contree.OperationDetails details
function Operation:status() end

--- Cancels the operation; its changes are dropped.
---     operation:cancel()
---
--- Raises: request, not_found (the operation)
---@async
---@return boolean accepted false when it had ended before
function Operation:cancel() end

--- Iterates over the events, from the first on, until the operation has ended: { id, ts, type, spid, data }; `bytes` holds what an output event carries.
---     for event in operation:events() do print(event.type) end
---
--- Raises: request, not_found (the operation; both while it iterates)
---@async
---@param choice? { since: integer?, spid: integer? } since: the id of the last event that was seen, default none: from the first on; spid: only of this process
---@return fun(): contree.Event?
function Operation:events(choice) end

--- Iterates over the command's output, from its beginning, as it comes: the bytes, and "stdout" or "stderr". wait() returns how the command ended.
---     for bytes, stream in operation:output() do io.write(stream, ": ", bytes) end
---
--- Raises: request, not_found (the operation), unprocessable (at the end of what was cut off, unless `truncate_output_at` was asked for; all while it iterates)
---@async
---@return fun(): string?, string?
function Operation:output() end

--- Waits for the end; returns the Result or raises what went wrong. A task that is cancelled while it waits cancels the operation.
---     local result = operation:wait(60)
---
--- Raises: request, not_found (the operation), operation_failed (the command could not be run), command_failed (with `check`), unprocessable (streamed output was cut off), file (a local file)
---@async
---@param seconds? number raises `timeout` after so long, and the operation goes on; default no limit
---@return contree.Result
function Operation:wait(seconds) end

--- Sends bytes to the command's input, which `stdin = contree.PIPE` has left open; returns when the server has them.
---     operation:write("a line\n")
---
--- Raises: request, not_found (the operation), conflict (the command has ended or has closed its input)
---@async
---@param data string any bytes
---@return contree.Operation self
function Operation:write(data) end

--- Ends the command's input.
---     operation:close_stdin()
---
--- Raises: request, not_found (the operation), conflict (the command has ended or its input is closed)
---@async
---@return contree.Operation self
function Operation:close_stdin() end

--- Gives the command's terminal (`tty`) another size; the programs in its foreground get SIGWINCH.
---     operation:resize(40, 120)
---
--- Raises: request, not_found (the operation), conflict (the command has ended, or has no terminal)
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.Operation self
function Operation:resize(rows, cols) end

--- Sends a signal to the command. One that ends it ends the operation as any other end does: what it wrote is kept, unless it is disposable.
---     operation:kill("TERM")
---
--- Raises: request, not_found (the operation)
---@async
---@param signal? string|integer "TERM", "SIGTERM", 15; default "KILL"
---@return boolean sent false when the command had ended before
function Operation:kill(signal) end

---@class contree.SpawnOptions
---@field shell? string run by the sandbox's shell; no default: this or `command`
---@field command? string a program, found in PATH; no default: this or `shell`
---@field args? string[] the program's arguments; default none
---@field stdin? any as for runs; contree.PIPE leaves it open for write(); default nothing
---@field stdout? any as for runs; default a string
---@field stderr? any as for runs; default a string
---@field env? table<string, string> variables, beside the image's; those of the run are not passed on; default none
---@field cwd? string absolute; default the main command's
---@field user? string|true as for runs; default root
---@field uid? integer as for runs; default 0
---@field gid? integer as for runs; default the user's group
---@field truncate_output_at? integer as for runs; default 1 MiB
---@field on_event? fun(event: contree.Event) called with each event; default none
---@field check? boolean an exit code other than 0 raises; default false
---@field tty? boolean|contree.Tty as for runs; its input is open; default false

---@class contree.Event what happened in an operation (http-api.md §5.17); printed, it is a line
---@field id integer from 0, rising
---@field ts? string when, as the server writes times; nil for some output
---@field type string "init", "spawn", "stdin", "stdout", "stderr", "exit", "shutdown", "completion", …
---@field spid? integer of which process: 1 is the main one; 0, or nil: the sandbox
---@field data? table what the type says (http-api.md §5.18); nil for some output
---@field bytes? string what was written; nil for other types

---@class contree.Tty a terminal for a command
---@field rows? integer 1 to 10000; default 24
---@field cols? integer the same; default 80
---@field term? string its kind, for TERM; default "xterm-256color"

---@class contree.Subprocess
---@field spid integer its number in the sandbox, from 2 on
---@field uuid string the operation's
---@field operation contree.Operation the run that it is in
---@field client contree.Client whose server it is on
---@field box? contree.Box that it runs in; nil: in none
local Subprocess = {}

--- Waits for the end; output goes to its sinks meanwhile. A task that is cancelled while it waits kills the subprocess.
---     local result = subprocess:wait()
---
--- Raises: request, not_found (the operation), operation_failed (the engine was killed), command_failed (with `check`), unprocessable (streamed output was cut off), file (a local file)
---@async
---@param seconds? number raises `timeout` after so long, and the subprocess goes on; default no limit
---@return contree.SubprocessResult
function Subprocess:wait(seconds) end

--- Sends bytes to its input, which `stdin = contree.PIPE` has left open.
---     subprocess:write("a line\n")
---
--- Raises: request, conflict (it has ended or has closed its input)
---@async
---@param data string any bytes
---@return contree.Subprocess self
function Subprocess:write(data) end

--- Ends its input.
---     subprocess:close_stdin()
---
--- Raises: request, conflict (it has ended or its input is closed)
---@async
---@return contree.Subprocess self
function Subprocess:close_stdin() end

--- Gives its terminal another size; the programs in the foreground get SIGWINCH.
---     subprocess:resize(40, 120)
---
--- Raises: request, conflict (it has ended, or has no terminal)
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.Subprocess self
function Subprocess:resize(rows, cols) end

--- Hangs up its terminal: it gets SIGHUP.
---     subprocess:close()
---
--- Raises: request
---@async
---@return boolean sent false when it had ended before, or has no terminal
function Subprocess:close() end

--- Sends it, and its process group, a signal.
---     subprocess:kill("TERM")
---
--- Raises: request
---@async
---@param signal? string|integer "TERM", "SIGTERM", 15; default "KILL"
---@param given? { family: boolean? } family: also to all processes that it has started, those that left it (daemons) and those that outlived it, too (local engine); default false
---@return boolean sent false when the sandbox had ended before
function Subprocess:kill(signal, given) end

---@class contree.SubprocessResult
---@field stdout any a string, or what `stdout =` asked for
---@field stderr any a string, or what `stderr =` asked for
---@field stdout_truncated boolean whether something was cut off
---@field stderr_truncated boolean whether something was cut off
---@field exit_code? integer 0 to 255; -1 when a signal ended it; nil: it never began
---@field signal? integer the signal that ended it; nil: none did
---@field timed_out boolean whether its `timeout` has ended it
---@field limit? string "timeout"; nil: it was not that
---@field limit_value? number its seconds; nil as well
---@field duration? number seconds; nil: it never began
---@field resources contree.Resources what it has used
---@field process contree.Subprocess the process that this is the result of

---@class contree.Resources what a process has used (http-api.md §5.8); printed, a line for each
---@field elapsed_time? number seconds; all are nil if the server does not say
---@field user_cpu_time? number seconds, or nil
---@field system_cpu_time? number seconds, or nil
---@field monotonic_time? number seconds, or nil
---@field max_rss? integer KiB of memory at most, or nil
---@field layer_bytes? integer what the run wrote into its image, or nil
---@field block_input? integer blocks that were read from disks, or nil
---@field block_output? integer blocks that were written to disks, or nil
---@field page_faults? integer page faults without a disk, or nil
---@field page_faults_io? integer page faults that read from a disk, or nil
---@field voluntary_switches? integer context switches while it waited, or nil
---@field involuntary_switches? integer context switches that were forced on it, or nil
---@field cost? number what the hosted service counts, or nil

---@class contree.Usage
---@field cpu_seconds number of all its processes, also of those that have ended
---@field memory_bytes integer now
---@field memory_peak_bytes? integer known with a limit on memory; nil without
---@field processes? integer and threads; nil where that is not known
---@field read_bytes? integer from disks; nil where that is not known
---@field written_bytes? integer to disks; nil where that is not known
---@field received_bytes? integer over the network; its loopback interface is not counted; nil where that is not known
---@field sent_bytes? integer the same; nil as well

---@class contree.WatchOptions
---@field recursive? boolean also the directories below; default false

---@class contree.FileEvent
---@field type "created"|"modified"|"written"|"attributes"|"deleted"|"moved"|"overflow" what happened; "overflow": some events are lost
---@field path string absolute, in the sandbox
---@field from? string of "moved": the path before; nil of others
---@field directory? boolean whether it is one; nil of overflow

---@class contree.ForwardOptions
---@field listen? string "ADDRESS:PORT" where the engine listens, with an IP address; default "127.0.0.1:0", any port that only this machine reaches

---@class contree.ForwardedPort
---@field id integer its number
---@field address string where the engine listens
---@field port? integer of the sandbox; nil of a Unix socket
---@field path? string of a Unix socket in it; nil of a port
---@field connections integer how many there are now

---@class contree.OperationDetails : contree.OperationSummary
---@field metadata table the request, and the process's result (http-api.md §5.11)
---@field result? { image: string?, tag: string? } what it left; nil: nothing yet

---@class contree.OperationSummary an operation in a list (http-api.md §5.9)
---@field uuid string its id
---@field kind "instance"|"image_import" a command, or an import
---@field status "PENDING"|"ASSIGNED"|"EXECUTING"|"SUCCESS"|"FAILED"|"CANCELLED" how far it is
---@field error? string why it failed; nil: it has not
---@field created_at string as the server writes times
---@field duration? number seconds; nil: it has not begun
---@field consumed_cpu? number seconds; nil: not known yet
---@field consumed_memory? integer KiB; nil: not known yet
---@field image_size? integer bytes; nil: not known
---@field image_uuid? string what it ran from; nil of an import
---@field result_image_uuid? string what it left; nil: nothing
---@field paused? boolean true: its processes are stopped; nil: they are not
---@field usage? contree.Usage of one that runs on a local engine; nil of others

---@class contree.Result : contree.Image
---@field stdout any a string, or what stdout= asked for
---@field stderr any the same of standard error
---@field stdout_truncated boolean whether something was cut off
---@field stderr_truncated boolean whether something was cut off
---@field exit_code? integer 0 to 255; -1 when a signal ended the command; nil: it never began
---@field signal? integer the signal that ended it; nil: none did
---@field timed_out boolean whether its time limit ended it
---@field limit? string which limit ended it: "timeout", "memory", "pids", "disk", ...; nil: none did
---@field limit_value? number how much it allowed: seconds, bytes, processes; nil: no limit did
---@field changed? boolean whether the file system differs; nil if disposable
---@field duration? number seconds; nil: it never began
---@field resources contree.Resources what it has used
---@field isolation? string[] the walls that were there; nil: the server does not say
---@field background_killed? integer how many processes it had left running, which were ended; nil: the server does not say
---@field denied? contree.DeniedList what was refused; nil: networking had no rules
---@field tried? contree.DeniedList what it tried; nil: nothing, or without trace
---@field operation contree.Operation what ran it

---@class contree.DeniedList a list; tostring() shows an entry a line
---@field [integer] contree.Denied in the order in which they came

---@class contree.Denied
---@field reason? string "rule", "private", "sni", … (docs/use/network.md); nil: connected
---@field protocol? string "dns", "tcp", "udp", "icmp", "tls" or "http"; nil: not known
---@field name? string the host that was asked for by name; nil: by its address
---@field address? string where it was, or was to be; nil: it came to no address
---@field port? integer the port that was asked for; nil: the entry names none
---@field method? string the method of the HTTP request; nil: the entry is of no request
---@field path? string the path of the HTTP request; nil: the entry is of no request
---@field call? string a system call that was refused, with trace; nil: the entry is of none
---@field program? string a program that was executed, with trace; nil: the entry is of none
---@field missing? string a file that was not there, with trace = "files"; nil: it is of none
---@field read? string a file that was read, with trace = "files"; nil: it is of none
---@field written? string a file that was written, with trace = "files"; nil: it is of none
---@field count integer how often
---@field error? any what the function of a secret that signs it has raised, in the process that has it; nil: the entry is of no such request

---@class contree.CommandOptions : contree.SpawnOptions
---@field timeout? number seconds until the engine kills it, with all processes that it has started; the box and its other commands go on; default none

---@class contree.BoxPopenOptions
---@field shell? boolean the command is a string for the sandbox's shell; default false
---@field stdin? any contree.PIPE (the default), or all of the input as for runs
---@field input? any the same as stdin; default none
---@field stdout? any default contree.PIPE, all that it may be
---@field stderr? any the same; default contree.PIPE
---@field env? table<string, string> variables, beside the box's; default none
---@field cwd? string absolute; default the box's
---@field user? string|true who runs it; default the box's
---@field uid? integer in place of user; default the box's
---@field gid? integer the same; default the user's group
---@field timeout? number seconds until the engine kills it, as of box:run; default none
---@field truncate_output_at? integer bytes kept of each stream; default all
---@field check? boolean wait() and communicate() raise for an exit code other than 0; default false
---@field tty? boolean|contree.Tty a terminal: all output is stdout, and it is hung up when its object, its task or the program is gone; default false
---@field text? boolean means nothing: Lua strings are bytes; default false

---@class contree.Process
---@field stdin? contree.ProcessInput nil when stdin= or input= said it all
---@field stdout contree.ProcessOutput what it writes; read(), lines()
---@field stderr contree.ProcessOutput the same of standard error
---@field args string[] the program and its arguments
---@field returncode? integer exit code; -9 when signal 9 ended it; nil while it runs
---@field result? contree.Result when wait() has returned; nil before
---@field operation contree.Operation the run that it is
---@field box? contree.Box that it runs in; nil: in none
local Process = {}

--- The exit code when the command has ended, else nil; does not wait for it.
---     if process:poll() then print("done") end
---
--- Raises: request, operation_failed (the command could not be run)
---@async
---@return integer? returncode negative: the signal that ended it
function Process:poll() end

--- Waits for the end. Output need not be read first: it waits with the server.
---     local code = process:wait()
---
--- Raises: request, operation_failed (the command could not be run), command_failed (with `check`)
---@async
---@param timeout? number raises `timeout` after so many seconds, and the command goes on; default no limit
---@return integer returncode negative: the signal that ended it
function Process:wait(timeout) end

--- Sends input, ends it, waits for the end; returns the output that was not read yet.
---     local out, err = process:communicate("1 2 3\n", 10)
---
--- Raises: request, operation_failed (the command could not be run), command_failed (with `check`), conflict (another task is reading), unprocessable (output was cut off)
---@async
---@param input? string all of the input; default none
---@param timeout? number raises `timeout` after so many seconds; call it again to go on waiting; default no limit
---@return string stdout
---@return string stderr
function Process:communicate(input, timeout) end

--- Sends a signal; does nothing when the command has ended.
---     process:send_signal("INT")
---
--- Raises: request
---@async
---@param signal string|integer "INT", "SIGINT" or 2
---@return boolean sent
function Process:send_signal(signal) end

--- Asks the command to end (SIGTERM).
---     process:terminate()
---
--- Raises: request
---@async
---@return boolean sent
function Process:terminate() end

--- Gives its terminal (`tty`) another size; the programs in the foreground get SIGWINCH.
---     process:resize(40, 120)
---
--- Raises: request, conflict (it has ended, or has no terminal)
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.Process self
function Process:resize(rows, cols) end

--- Hangs up its terminal: the command gets SIGHUP.
---     process:close()
---
--- Raises: request
---@async
---@return boolean sent false when it had ended before, or has no terminal
function Process:close() end

--- Ends the command (SIGKILL).
---     process:kill()
---
--- Raises: request
---@async
---@return boolean sent
function Process:kill() end

--- Iterates over the lines of its standard output as they come.
---     for line in process:lines() do print(line) end
---
--- Raises: request, conflict (another task is reading), unprocessable (as read)
---@async
---@return fun(): string?
function Process:lines() end

---@class contree.ProcessInput
local ProcessInput = {}

--- Sends bytes; returns when the server has them.
---     process.stdin:write("a line\n")
---
--- Raises: request, conflict (the command has ended or has closed its input)
---@async
---@param data string any bytes
---@return contree.ProcessInput self
function ProcessInput:write(data) end

--- Ends the input. Does nothing when it, or the command, has ended.
---     process.stdin:close()
---
--- Raises: request
---@async
function ProcessInput:close() end

---@class contree.ProcessOutput what the command writes, as it comes
---@field truncated? boolean something was cut off; nil while nothing was
local ProcessOutput = {}

--- Reads as io files do, waiting for output that is not there yet: "a" all of it to the end, "l" or "L" a line, a number what there is of up to so many bytes (and waits only when there is nothing); nil at the end.
---     local line = process.stdout:read("l")
---
--- Raises: request, conflict (another task is reading), unprocessable (once, at the end of what was cut off, unless `truncate_output_at` was asked for)
---@async
---@param format? "a"|"l"|"L"|"*a"|"*l"|"*L"|integer default "a"
---@return string?
function ProcessOutput:read(format) end

--- Iterates over the lines as they come.
---     for line in process.stderr:lines() do print(line) end
---
--- Raises: request, conflict (another task is reading), unprocessable (as read)
---@async
---@return fun(): string?
function ProcessOutput:lines() end

---@class contree.RunOptions
---@field shell? string run by the sandbox's shell; no default: this or `command`
---@field command? string a program, found in PATH; no default: this or `shell`
---@field args? string[] the program's arguments; default none
---@field stdin? any a string, file, function, { path = } or buffer; contree.PIPE leaves it open for write(); default empty
---@field stdout? any a function, file, { path = }, contree.PIPE or buffer; default a string in the result
---@field stderr? any the same; default a string
---@field env? table<string, string> variables, beside the image's; default none
---@field preserve_env? boolean keep env in the resulting image; default false
---@field cwd? string absolute; default the image's, or "/"
---@field files? contree.RunFiles list of local paths, or map of destinations to what is put there: a string is a local path; default none
---@field progress? fun(progress: contree.Progress) called while files are sent; default none
---@field volumes? table<string, string> names of volumes by where they are mounted: directories that outlive the run, in no image (local engine); default none
---@field mounts? table<string, string|{ path: string, noexec: boolean? }> directories of the engine's machine by where they are mounted, read-only (local engine); default none
---@field hostname? string the sandbox's name; default "linuxkit" on a local engine
---@field user? string|true "app", "app:staff", "1000:1000"; true: the image's USER; default root
---@field uid? integer in place of user; default 0
---@field gid? integer the same; default the user's group
---@field truncate_output_at? integer bytes kept of each stream; default 1 MiB, or all of a stream that is taken as it comes
---@field on_event? fun(event: contree.Event) called with each event; default none
---@field disposable? boolean false keeps what changed as a new image; default true for images without a tag, false for sessions
---@field tag? string names the image that is kept; default none
---@field timeout? number seconds; default 60
---@field queue_timeout? number seconds to wait for a sandbox at most (local engine); default any time
---@field check? boolean an exit code other than 0 raises; default false
---@field networking? boolean|contree.Networking whether there is a network, and what may be reached; default the client's, or the server's: a local engine gives none
---@field secrets? table<string, contree.Secret> what the run may use and never sees, by the variable that has a placeholder of it (local engine, with rules of networking); default the client's
---@field trace? boolean|"files" result.tried lists what it tried: programs, refused system calls and, with rules of networking, connections; "files" also files (local engine); default false
---@field image_etc? boolean /etc/hosts, hostname and resolv.conf are the image's, and kept; default false
---@field resources_limits? contree.Limits default the server's
---@field detach? boolean it goes on when its object, its task or the program is gone; default false
---@field tty? boolean|contree.Tty a terminal in place of the three streams: all output is stdout (local engine); default false
---@field idempotency_key? string a local engine runs it once, however often it is asked; default none

---@class contree.Prepared a run to be called as often as wanted: prepared()
---@operator call(): contree.Result
local Prepared = {}

--- Runs it and waits for its end; calling it does the same.
---     local result = prepared:run()
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (as image:run), operation_failed, command_failed (with `check`), file (a local file)
---@async
---@return contree.Result
function Prepared:run() end

--- Starts it and returns at once.
---     local operation = prepared:start()
---
--- Raises: request, not_found (the image, an uploaded file), unprocessable (as image:start), file (a local file)
---@async
---@return contree.Operation
function Prepared:start() end

---@class contree.SessionOptions
---@field store? string|contree.Sessions the file that keeps it (contree.sessions); default memory: the session ends with the program
---@field id? string its name there, needed with a store; default none
---@field keep? "all"|"success" success: a run that ends with another exit code than 0, or by a signal, leaves the session where it was; default all

---@class contree.Sessions
---@field path string the file
local Sessions = {}

--- The sessions of the store, the one that was used last first.
---     for _, one in ipairs(store:list()) do print(one.id, one.title) end
---
--- Raises: file (the store cannot be read), timeout (it is locked)
---@async
---@return contree.StoredSession[]
function Sessions:list() end

--- Deletes a session; its images stay on the server.
---     store:delete("demo")
---
--- Raises: file (the store cannot be written), timeout (it is locked)
---@async
---@param id string the session's name in the store
---@return boolean deleted false: there was none of that name
function Sessions:delete(id) end

--- Closes the file. The next use opens it again.
---     store:close()
---
--- Raises: nothing
function Sessions:close() end

---@class contree.StoredSession
---@field id string its name
---@field server string the server of its images
---@field branch string the selected branch
---@field uuid string the image where it is
---@field title string the last command
---@field created_at string ISO 8601
---@field updated_at string ISO 8601, of the last change

---@class contree.WorkspaceOptions
---@field path? string the folder; default "."
---@field at? string where it is in the sandbox, and the directory of runs that name none; default "/work"
---@field ignore? string[]|false patterns of files that stay out, as in .dockerignore, in place of what git says; false: all files come in; default what git says
---@field prefer? "host"|"sandbox" whose version it is where both sides have changed; default: a `conflict` is raised
---@field max_file? integer bytes; larger files stay out; default 4 GiB
---@field store? string|contree.Sessions as for sessions; default memory
---@field id? string as for sessions; default none
---@field keep? "all"|"success" as for sessions; default "all"
---@field progress? fun(progress: contree.Progress) called while the folder comes in and changes come home, by this workspace and its forks; default none

---@class contree.Workspace : contree.Session
---@field path string the folder: absolute, without links
---@field at string where it is in the sandbox
---@field rule? string what decided which files came in: "git", ".contreeignore", "all files" or "ignore ="; nil before the first look
---@field rule_reason? string why git did not; nil when it did
---@field skipped { path: string, why: string }[] what cannot come in: sockets, devices, files that cannot be read or are too large
local Workspace = {}

--- Runs a command on the folder as it is now, in it, and moves to the image that it left.
---     workspace:run("make test")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on both sides; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had, streamed output that was cut off), operation_failed (the command could not be run), command_failed (with `check`), file (the folder, its index, a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Result
function Workspace:run(given) end

--- Starts a command on the folder as it is now, in it, and returns at once (session:start).
---     local operation = workspace:start("make test")
---
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on both sides; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had), file (the folder, its index, a local file, the store)
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Operation
function Workspace:start(given) end

--- Starts a command that is talked to while it runs, on the folder as it is now, in it (session:popen).
---     local process = workspace:popen({ "python3", "-i" })
---
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on both sides; the session is running a command, or the branch was moved meanwhile), gone (the session or its branch was deleted), unprocessable (a limit or user that cannot be had), file (the folder, its index, a local file, the store)
---@async
---@param argv string|string[] the program and its arguments
---@param given? contree.PopenOptions
---@return contree.Process
function Workspace:popen(argv, given) end

--- Moves the workspace to another image (session:commit), which has to have the folder: else all its files would count as removed, and apply() would remove them.
---     workspace:commit(err.result, "mine")
---
--- Raises: request, not_found (no image has the tag), unprocessable (the image has no folder there), conflict (the session is running a command, the branch was moved, or there is a branch of that name), gone (the session was deleted), file (the store)
---@async
---@param result contree.Image the image to go on with
---@param branch? string a new branch, from where the run was started; default the one that the run was started on
---@return contree.Workspace self
function Workspace:commit(result, branch) end

--- An independent workspace that begins where this one is (session:fork): three of them try three things on the same folder.
---     local copy = workspace:fork()
---
--- Raises: conflict (there is a session of that name), gone (this session was deleted), file (the store), timeout (the store is locked)
---@async
---@param id? string the name in the store; default this session's and a number
---@return contree.Workspace
function Workspace:fork(id) end

--- Brings in what has changed in the folder, as each run does first.
---     local counts = workspace:sync{ prefer = "host" }
---
--- Raises: request, conflict (a file was changed on both sides and nothing is preferred; the session is running a command, or its branch was moved), file (the folder, its index)
---@async
---@param given? { prefer: "host"|"sandbox" } whose version it is where both have changed; default as the workspace was opened
---@return { added: integer, changed: integer, removed: integer } counts of files
function Workspace:sync(given) end

--- What the runs have done to the folder's files since they came in. Nothing on the host is touched. What git ignores (or what decides in its place) is left out. Printed, it is a patch.
---     print(workspace:changes())
---
--- Raises: request, file (the folder, its index)
---@async
---@param given? contree.ChangesOptions
---@return contree.Changes changes with paths below the folder, and `risky`, which says why apply() leaves a change alone
---@return boolean truncated there were more than `limit`
function Workspace:changes(given) end

--- Brings changes home. A path is written only if the folder's file is still what it was when it came in; else it is left alone, and `skipped` says so. Each file is the old or the new one at any time, also when the program is killed.
---     workspace:apply{ only = { "src/**" } }
---
--- Raises: request, conflict (another program brings changes home to this folder), file (the folder, the journal)
---@async
---@param given? contree.ApplyOptions
---@return contree.Applied
function Workspace:apply(given) end

--- Takes the last apply() back that was not taken back, of whichever program: files that have changed since are left alone. The sandbox keeps its version.
---     workspace:undo()
---
--- Raises: request, not_found (there is nothing to take back), conflict (another program brings changes home to this folder), file (the folder, the journal)
---@async
---@return contree.Applied
function Workspace:undo() end

--- The paths that were changed both in the folder and in the sandbox since it last came in, and cannot be merged. Nothing is brought in.
---     for _, each in ipairs(workspace:conflicts()) do print(each.path, each.host) end
---
--- Raises: request, file (the folder, its index)
---@async
---@return contree.workspace.Clash[]
function Workspace:conflicts() end

---@class contree.PopenOptions
---@field shell? boolean the command is a string for the sandbox's shell; default false
---@field stdin? any contree.PIPE (the default), or all of the input as for runs
---@field input? any the same as stdin; default none
---@field cwd? string absolute; default the image's, or "/"
---@field env? table<string, string> variables, beside the image's; default none
---@field timeout? number seconds until the server kills it; default 60
---@field queue_timeout? number seconds to wait for a sandbox at most; default any time
---@field check? boolean wait() and communicate() raise for an exit code other than 0; default false
---@field tty? boolean|contree.Tty a terminal (local engine): all output is stdout, a timeout is 3600 by default, and it is hung up when its object, its task or the program is gone
---@field detach? boolean it goes on when its object, its task or the program is gone; default false
---@field text? boolean means nothing: Lua strings are bytes; default false
---@field stdout? any default contree.PIPE, all that it may be
---@field stderr? any the same; default contree.PIPE
---@field preserve_env? boolean keep env in the resulting image; default false
---@field files? contree.RunFiles as for runs; default none
---@field progress? fun(progress: contree.Progress) called while files are sent; default none
---@field volumes? table<string, string> names of volumes by where they are mounted; default none
---@field mounts? table<string, string|{ path: string, noexec: boolean? }> directories of the engine's machine by where they are mounted, read-only; default none
---@field hostname? string the sandbox's name; default "linuxkit" on a local engine
---@field user? string|true as for runs; default root
---@field uid? integer in place of user; default 0
---@field gid? integer the same; default the user's group
---@field truncate_output_at? integer bytes kept of each stream; default all
---@field disposable? boolean false keeps what changed as a new image; default true
---@field tag? string names the image that is kept; default none
---@field secrets? table<string, contree.Secret> what it may use and never sees (local engine, with rules of networking); default the client's
---@field trace? boolean|"files" tell what it tried, too; default false
---@field networking? boolean|contree.Networking whether there is a network; default the server's
---@field image_etc? boolean /etc/hosts, hostname and resolv.conf are the image's, and kept; default false
---@field resources_limits? contree.Limits default the server's
---@field idempotency_key? string a local engine runs it once, however often it is asked; default none

---@class contree.ChangesOptions
---@field text? boolean finds the hunks of each changed file; default true
---@field context? integer lines around the changed ones; default 3
---@field max_size? integer bytes; larger files have no hunks; default 4 MiB
---@field limit? integer no more changes than that; default 100,000
---@field ignored? boolean what is ignored is there, too; default false

---@class contree.ApplyOptions
---@field only? string|string[] paths and patterns of what comes home; default all
---@field dry_run? boolean true says what would be done; default false
---@field risky? boolean true takes what changes() marks as risky, too; a path that `only` names comes home without it; default false
---@field hunks? table<string, integer[]> by path, the numbers of the hunks that come home, as in changes() with its usual `context`: the rest of the file stays as it is. Other paths come home only if `only` says so; default all of them
---@field max_size? integer bytes; larger files are left alone; default 1 GiB

---@class contree.Applied what apply() and undo() did; tostring() shows it
---@field written string[] paths of the folder that are what they should be
---@field skipped { path: string, why: string, kind: string }[] paths that were left alone; kind: "conflict" (the folder's file is another one than came in), "risky", "unsupported", "unchanged" (it was named, but there is no change), "failed"
---@field dry_run boolean nothing was done
---@field undone boolean they were taken back

---@class contree.workspace.Clash
---@field path string below the folder
---@field host "added"|"changed"|"removed" what you have done
---@field sandbox "added"|"changed"|"removed" what runs have done
---@field conflict? string what is in the way of a merge, as of image:merge; nil where the server does not merge

---@class contree.LineageEntry
---@field image contree.Image the image itself
---@field uuid string its uuid
---@field kind "run"|"import"|"start" start: the server does not say what made it
---@field title string the command, or what was imported
---@field exit_code? integer of the run; nil of others
---@field operation? contree.Operation what made it; nil: it is not known any more
---@field created_at? string ISO 8601; nil: it is not known

---@class contree.ExportOptions
---@field at? string the directory of the image that is written; default "/"
---@field replace? boolean what is at `path` goes when the new tree is complete; default false: then there must be nothing, or an empty directory
---@field progress? fun(progress: contree.Progress) called as the archive comes; default none

---@class contree.PushOptions
---@field username? string for the registry; default anonymous
---@field password? string for the registry; default none
---@field timeout? number seconds that it may take; default 600

---@class contree.Conflict a path at which both sides changed something
---@field path string absolute
---@field conflict "content"|"binary"|"target"|"type"|"removed"|"mode"|"owner"|"attributes" what cannot be merged
---@field base? contree.ConflictVersion nil: nothing was there
---@field ours? contree.ConflictVersion nil: it was removed here
---@field theirs? contree.ConflictVersion nil: it was removed there

---@class contree.ConflictVersion
---@field type "file"|"directory"|"link"|"other" what it is
---@field size integer bytes
---@field mode integer permission bits
---@field uid integer the owner's number
---@field gid integer the group's number

---@class contree.HistoryEntry
---@field id integer its number in the session
---@field parent? integer the entry it came from; nil of the first
---@field image contree.Image what the session was at
---@field uuid? string the image's; nil until a request has told it
---@field kind "start"|"run"|"files"|"stage"|"commit"|"merge" how it came to be
---@field title string the command, or how it began
---@field exit_code? integer of the run; nil of others
---@field operation? contree.Operation what made the image; nil: none did
---@field created_at string as the server writes times

---@class contree.Tree the entries of a session, the oldest first; tostring() draws them
---@field [integer] contree.TreeEntry in the order in which they came

---@class contree.TreeEntry : contree.HistoryEntry
---@field branches string[] the branches that end here, sorted
---@field children integer[] ids of the entries that came from it
---@field here boolean whether the session is here

---@alias contree.BisectBy string|contree.RunOptions|contree.BisectTester

---@alias contree.BisectTester fun(image: contree.Image, entry: contree.Entry): any

---@alias contree.Entry contree.HistoryEntry|contree.LineageEntry

---@class contree.BisectOptions
---@field good? integer|contree.Entry an entry that is good, or its number; default the oldest
---@field bad? integer|contree.Entry an entry that is bad, or its number; default the newest
---@field parallel? integer how many are tested at a time; default 1

---@class contree.BisectTest
---@field entry contree.Entry of the history or lineage
---@field verdict "good"|"bad"|"skip" what the test said
---@field result? contree.Result what the test printed, if it was a command; nil otherwise

---@class contree.ImageFilter
---@field tagged? boolean only images with a tag; default false
---@field tag? string whose tag begins so; default any
---@field uuid? string whose uuid begins so; default any
---@field since? string|number a time, an age such as "2h", seconds ago; default any time
---@field before? string|number the same; default any time
---@field limit? integer no more than so many; default all

---@class contree.ImageTree images and what they came from; tostring() draws it
---@field roots contree.ImageNode[] the oldest images that the server knows
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

---@class contree.ImageNode an image in a tree
---@field uuid string its uuid
---@field image contree.Image the image itself
---@field tag? string the name that it has; nil: none
---@field kind "run"|"import"|"start" how it came to be
---@field title string the command that made it, or what was imported
---@field children contree.ImageNode[] the images that came from it, the oldest first

---@class contree.BuildOptions
---@field dockerfile? string|{ data: string } its path or text; default: the context's Dockerfile
---@field context? string a directory; default: the Dockerfile's
---@field args? table<string, string> for ARG; default none
---@field target? string the stage that is wanted; default: the last
---@field tag? string names the image; default none
---@field no_cache? boolean runs every step; default false
---@field timeout? number seconds that one step may take; default 3600
---@field networking? boolean|contree.Networking of RUN; default the client's, or the server's: a local engine gives none
---@field resources_limits? contree.Limits of each step; default the server's
---@field cache_dir? string where earlier steps are remembered; default ~/.cache/contree
---@field username? string for images that are imported; default none
---@field password? string goes with username; default none
---@field on_event? fun(event: contree.BuildEvent) called for every event; default none
---@field on_step? fun(event: contree.BuildEvent) called for each step that is done; default none

---@class contree.BuildEvent
---@field type "step_started"|"stdout"|"stderr"|"cache_hit"|"step_completed"|"step_failed" what happened
---@field stage string its name, or its number from 0
---@field file string the Dockerfile
---@field line integer of the instruction, from 1
---@field name string of the instruction
---@field text string the instruction
---@field data? string output; nil of others
---@field uuid? string the image after the step; nil before its end
---@field duration? number seconds; nil before its end
---@field error? contree.Error why the step failed; nil of others

---@class contree.Error tostring() of one is one line that says what to do
---@field kind contree.ErrorKind what sort of failure it is, to be tested for
---@field message string what happened
---@field hint? string what to do about it
---@field status? integer the HTTP status, when a server said so
---@field request_id? string what the server calls this request
---@field retry_after? number seconds the server asked us to wait
---@field reason? string why a box has ended: docs/use/box.md
---@field operation? contree.Operation that was under way
---@field process? contree.Subprocess that was under way
---@field result? contree.Result what is known of the run
---@field conflicts? contree.Conflict[] of image:merge
---@field where? string the script's file:line that called
---@field traceback? string the script's functions that led there, the innermost first
---@field misuse? boolean the script's text is wrong, whatever the world is like

---@class contree.BuiltImage : contree.Image
---@field stages table<string|integer, contree.Image> the stages that were made, by name and number
---@field config contree.BuildConfig what the image is to be told with each run

---@class contree.BuildConfig the configuration, which the API cannot store in an image
---@field env table<string, string> of ENV
---@field cmd? string[] of CMD; nil: none
---@field entrypoint? string[] of ENTRYPOINT; nil: none
---@field workdir? string of WORKDIR; nil: none
---@field user? string of USER; nil: none
---@field labels table<string, string> of LABEL
---@field exposed string[] of EXPOSE: "80/tcp"
---@field volumes string[] of VOLUME: paths
---@field stopsignal? string of STOPSIGNAL; nil: none
---@field shell? string[] of SHELL; nil: none

---@class contree.Files
---@field client contree.Client whose uploads they are
local Files = {}

--- Uploads a local file, or { data = "bytes" }, unless the server has it.
---     local file = client.files:upload("big.tar")
---
--- Raises: request, file (the local file), unprocessable (larger than the server takes)
---@async
---@param what string|{ path: string?, data: string? } a local path, or { path = } or { data = }: no default
---@return contree.UploadedFile
function Files:upload(what) end

--- The uploaded file with that content, or nil.
---     local file = client.files:find(digest)
---
--- Raises: request
---@async
---@param sha256 string the digest of the content, 64 hexadecimal digits
---@return contree.UploadedFile?
function Files:find(sha256) end

---@class contree.Operations
---@field client contree.Client whose operations they are
local Operations = {}

--- An operation by its id; nothing is sent.
---     local result = client.operations:get(id):wait()
---
--- Raises: nothing
---@param uuid string its id
---@return contree.Operation
function Operations:get(uuid) end

--- Summaries of operations, newest first (http-api.md §5.9).
---     local running = client.operations:list{ status = "EXECUTING" }
---
--- Raises: request, invalid_argument (an unknown status or kind)
---@async
---@param given? contree.OperationFilter
---@return contree.OperationSummary[]
function Operations:list(given) end

---@class contree.OperationFilter
---@field status? string "EXECUTING", "SUCCESS", …; default any
---@field kind? string "instance" or "image_import"; default both
---@field limit? integer no more than so many, 1000 at most; default 100
---@field offset? integer passes over so many; default 0
---@field since? string|number a time, an age such as "2h", seconds ago; default any time
---@field before? string|number the same; default any time

---@class contree.Volumes
---@field client contree.Client whose volumes they are
---@operator call(): contree.Volume[]
local Volumes = {}

--- All volumes, by name. `client.volumes()` is short for it.
---     for _, volume in ipairs(client.volumes:list()) do print(volume.name, volume.size) end
---
--- Raises: request, not_supported (the hosted service)
---@async
---@return contree.Volume[]
function Volumes:list() end

--- One volume.
---     local volume = client.volumes:get("cargo")
---
--- Raises: request, not_found (no volume has the name), not_supported (the hosted service)
---@async
---@param name string of the volume
---@return contree.Volume
function Volumes:get(name) end

--- Makes a volume, or finds the one of that name. A quota that is given is set. Runs make the volumes that they lack, so only a quota needs this.
---     client.volumes:create("cargo", { quota = 10 * 2 ^ 30 })
---
--- Raises: request, invalid_argument (the name), not_supported (the hosted service)
---@async
---@param name string as tags are: a-z 0-9 _ - with single : / . between them
---@param given? contree.VolumeOptions
---@return contree.Volume
function Volumes:create(name, given) end

--- Deletes a volume and all in it, for good.
---     client.volumes:remove("cargo")
---
--- Raises: request, not_found (no volume has the name), conflict (a run uses it, or waits to), not_supported (the hosted service)
---@async
---@param name string of the volume
---@return true
function Volumes:remove(name) end

---@class contree.Volume
---@field name string as runs name it
---@field size? integer bytes; nil: runs change it all the time
---@field quota? integer bytes; nil: none
---@field created_at string as the server writes times
---@field used_at? string when the last run began to use it; nil: none has
---@field runs integer how many runs use it, or wait to
---@field in_use boolean whether there are any

---@class contree.VolumeOptions
---@field quota? integer bytes: a run that makes it larger is ended; 0: none; default the one that it has

---@class contree.OpenedSessionOptions : contree.SessionOptions
---@field image? contree.Image|string what a new one begins at; default none: there must be one of that name

---@class contree.Disk
---@field images { count: integer, tagged: integer } how many, and how many of them have a tag
---@field layers contree.DiskKind what images consist of; images share them
---@field files contree.DiskKind uploads that were not removed yet
---@field volumes contree.DiskKind directories that outlive runs
---@field operations contree.DiskKind those in the list of operations, with their output
---@field database_bytes integer of the tables themselves
---@field free_bytes integer of the file system
---@field total_bytes integer of the file system, too

---@class contree.DiskKind
---@field count integer how many
---@field bytes integer on the disk

---@class contree.WhoAmI
---@field token_uuid string the token's id
---@field token_expiration? integer Unix time; nil: never
---@field permissions table<string, boolean> "list", "spawn", "spawn_disposable", "import", ...
---@field limits table<string, integer> "instance_max_timeout", ...
---@field operations_stat table<string, integer> "running_instances", "running_imports"

---@class contree.Task
---@field status "waiting"|"running"|"done"|"failed"|"cancelled" how far it is
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

---@class contree.Buffer bytes that are written at one end and read at the other
local Buffer = {}

--- Adds bytes.
---     buffer:write("a line\n")
---
--- Raises: misuse (the buffer is closed)
---@param text string any bytes
---@return contree.Buffer self
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
---@return contree.Buffer self
function Buffer:flush() end

--- Drops what is unread, and refuses more.
---     buffer:close()
---
--- Raises: nothing
function Buffer:close() end

---@class contree.ProgressPrinter prints how far something is; it is called as `progress =`
---@operator call(contree.Progress): nil
local ProgressPrinter = {}

--- Ends the line. That is only needed when what it was for has failed: a phase that is over ends its line itself.
---     printer:finish()
---
--- Raises: nothing
function ProgressPrinter:finish() end

---@class contree
---@field version string The version of contree.
---@field _VERSION string Name and version, as other modules of Lua give theirs: "contree 0.1.0".
---@field PIPE table As `stdin`: the input is left open. As `stdout` or `stderr`: the result holds a buffer.
---@field null lightuserdata The value that is sent as null: `env = { HOME = contree.null }` unsets a variable.
---@field on_error? fun(err: any, traceback: string?, where: string?) is told of a task that failed and that nobody waited for
local contree = {}

--- Whether a value is an error of contree's, and of a kind.
---     if contree.is_error(err, "not_found") then print("no such image") end
---
--- Raises: nothing
---@param value any what was caught
---@param kind? contree.ErrorKind default any kind
---@return boolean
function contree.is_error(value, kind) end

--- A client. A lone string is the url. Nothing is sent yet.
---     local client = contree.new("unix:/run/contree.sock")
---
--- Raises: misuse (missing or contradictory credentials), invalid_argument (no such profile)
---@param given? string|contree.ClientOptions
---@return contree.Client
function contree.new(given) end

--- A store of sessions in a file, for session{ store = } and to list and delete what it holds.
---     local store = contree.sessions("sessions.db")
---
--- Raises: nothing
---@param path string the file; it is made at its first use
---@param given? { timeout: number? } seconds to wait for a locked file; default 5
---@return contree.Sessions
function contree.sessions(path, given) end

--- Starts a task, which runs while something waits.
---     local task = contree.spawn(function() return image:run("make") end)
---
--- Raises: not_supported (this host cannot start a task here)
---@param fn function what it does
---@param ... any arguments of the function
---@return contree.Task
function contree.spawn(fn, ...) end

--- Runs a function as the main task, for plain code; returns when it and all other tasks have ended. When it fails, the others are cancelled.
---     contree.async(function() print(image:run("date").stdout) end)
---
--- Raises: any (what the function raises)
---@param fn function what it does
---@param ... any arguments of the function
---@return any ... what the function returns
function contree.async(fn, ...) end

--- Calls functions at the same time, each in a task, and waits for all; tasks are waited for. The first error cancels the rest. With a list, results come as a list, too, and `{ concurrency = 4 }` may follow: so many at a time.
---     local results = contree.gather(list_of_functions, { concurrency = 8 })
---
--- Raises: any (the first error of the functions)
---@async
---@param ... any functions and tasks; or a list of them, then { concurrency = }
---@return any ... the first result of each, in order; or a list of them with `n`
function contree.gather(...) end

--- Waits; other tasks go on.
---     contree.sleep(0.5)
---
--- Raises: cancelled (the task was cancelled)
---@async
---@param seconds number how long
function contree.sleep(seconds) end

--- Calls a function in a task and raises `timeout` when it takes longer: the task is cancelled then, and has ended when this returns.
---     local result = contree.timeout(5, function() return image:run("make") end)
---
--- Raises: timeout, any (what the function raises)
---@async
---@param seconds number how long it may take
---@param fn function what it does
---@param ... any arguments of the function
---@return any ... what the function returns
function contree.timeout(seconds, fn, ...) end

--- One turn for a program that steps by itself, such as a game's update: runs what is ready, and waits for more.
---     contree.step(0.01)
---
--- Raises: misuse (the host does that itself)
---@param seconds? number how long to wait at most; default 0
---@return integer tasks that have not ended yet
function contree.step(seconds) end

--- For the end of a program: cancels all tasks and all that they have started, but what has `detach = true`, and waits for that.
---     contree.shutdown(5)
---
--- Raises: misuse (called in a task), not_supported (in nginx)
---@param seconds? number how long it may take; default 2
---@return boolean over false when the time ran out first
function contree.shutdown(seconds) end

--- For a program that steps from an event loop of its own: a descriptor to poll for reading, and the seconds after which to call step() all the same.
---     local fd, seconds = contree.pollfd()
---
--- Raises: nothing
---@return integer? fd nil where the system has none
---@return number? seconds nil: no need
function contree.pollfd() end

--- The name of the event loop that contree is driven by. It is recognised at the first use; an argument chooses it before: "plain", "nvim", "luv", "cqueues", "copas", "nginx", "love", or a driver of your own (docs/use/hosts/writing-a-driver.md).
---     contree.host("luv")
---
--- Raises: misuse (another host is in use already, or there is no such driver)
---@param driver? string|fun(loop: table, options: table): table default the one in use
---@param given? table the driver's options (docs/use/hosts); default none
---@return string name
function contree.host(driver, given) end

--- A buffer of bytes, for `stdin`, `stdout` and `stderr`.
---     local buffer = contree.buffer("first line\n")
---
--- Raises: nothing
---@param text? string what it holds; default nothing
---@return contree.Buffer
function contree.buffer(text) end

--- A ready-made printer for `progress =`: a line with a bar on standard error, if that is a terminal, and nothing else. In Neovim it is a message. Each phase has a line of its own.
---     client.images:oci("debian:12", { progress = contree.progress("debian") })
---
--- Raises: nothing
---@param title? string what it is that goes on; default nothing
---@return contree.ProgressPrinter
function contree.progress(title) end

--- Marks a table as a list, so that an empty one is sent as [].
---     local list = contree.array{}
---
--- Raises: nothing
---@param list? table default a new one
---@return table list
function contree.array(list) end

return contree
