--- What to do about an error, in the words of who reads it.
--
-- An error's hint is for scripts: it names functions and options. At a shell, in an editor and
-- to an agent the same remedy has another name, so such hints stand in the table below, a row
-- each, and an error knows its row.

local remedy = {}

---@alias contree.Reader "script"|"shell"|"agent"|"editor"

-- A reader without words of its own is told those for scripts; false: nothing helps there.
local CHANGED = "what this run changed is the image %s"
local LIMIT = "resources_limits = { %s = } gives it more"
local ROWS = {
  import = { script = 'client.images:oci("%s") imports it', shell = "contree pull %s imports it",
    agent = 'import_image with registry_url = "%s" imports it',
    editor = "contree pull %s, at a shell, imports it" },
  login = { script = "username = and password = log in",
    shell = "skopeo login, or docker login, with the registry's name logs in",
    agent = "registry_auth logs in" },
  prefer = {
    script = 'sync{ prefer = "host" } or { prefer = "sandbox" } decides; conflicts() lists them',
    shell = "contree on --prefer host, or --prefer sandbox, decides whose version it is",
    agent = 'prefer = "host" or "sandbox" decides whose version it is: ask whose work it is',
    editor = "contree on --prefer host, or --prefer sandbox, at a shell, decides" },
  commit = { script = 'session:commit(err.result, "name") keeps it as a branch',
    shell = CHANGED, agent = CHANGED, editor = CHANGED },
  catch_up = { script = 'session:checkout("%s") goes to where it is now',
    shell = "contree checkout %s goes to where it is now",
    agent = "the next call goes on from where it is now",
    editor = ":Contree checkout %s goes to where it is now" },
  checkout = { script = "session:checkout goes to another one",
    shell = "contree checkout goes to another one", agent = "branch lists the others",
    editor = ":Contree checkout goes to another one" },
  checkout_that = { script = "session:checkout goes to it", shell = "contree checkout goes to it",
    agent = "another name makes another branch", editor = ":Contree checkout goes to it" },
  wait = { script = "session:wait() takes its result", shell = "contree stop %s cancels it",
    agent = "wait_operations waits for it", editor = ":Contree stop cancels it" },
  history = { script = "session:history() lists them", shell = "contree log lists them",
    agent = false, editor = ":Contree log lists them" },
  candidates = { script = "it is one of err.candidates", shell = "it is one of these",
    agent = "it is one of these", editor = "it is one of these" },
  bounds = { script = "what broke it is older; good = names an entry that is not",
    shell = "what broke it is older than the session", agent = "what broke it is older" },
  merge = { script = 'prefer = "ours" or "theirs" says which side wins; err.conflicts lists them',
    shell = false, agent = false, editor = false },
  network = { script = "a local engine gives RUN no network unless networking = true",
    shell = "--net lets RUN use the network" },
  ignore = { script = "mend that, or write a .contreeignore, or pass ignore =",
    shell = "mend that, or write a .contreeignore", agent = "mend that, or write a .contreeignore",
    editor = "mend that, or write a .contreeignore" },
  risky = { script = 'apply{ only = "PATH" } or { risky = true } brings what is risky home',
    shell = "contree apply PATH, or --risky, brings what is risky home",
    agent = 'only = ["PATH"], or risky = true, brings what is risky home',
    editor = ":Contree apply PATH, or :Contree! apply, brings what is risky home" },
  begin = { script = "image:session{…} or image = begins one",
    shell = "contree run -S %s IMAGE -- COMMAND begins one; contree sessions lists them",
    agent = false, editor = "contree sessions, at a shell, lists them" },
  store = { script = "try again, or let contree.sessions wait longer: { timeout = }",
    shell = "try again", agent = "try again", editor = "try again" },
  answer = { script = "timeout = of contree.new gives it longer", shell = false, agent = false,
    editor = false },
  timeout = { script = "timeout = gives it longer, 3600 s at most",
    shell = "--timeout gives it longer, an hour at most" },
  memory = { script = LIMIT:format("memory_bytes"), shell = "--memory gives it more",
    agent = false, editor = false },
  pids = { script = LIMIT:format("pids"), shell = "--pids gives it more", agent = false,
    editor = false },
  disk = { script = LIMIT:format("max_layer_bytes"), shell = false, agent = false,
    editor = false },
}

--- The words of a remedy.
---@param given { [1]: string, [2]: string? } the row's name, and what %s stands for
---@param reader contree.Reader
---@return string?
function remedy.words(given, reader)
  local row = ROWS[given[1]]
  local words = row[reader]
  if words == nil then words = row.script end
  return words and (words:gsub("%%s", function() return given[2] or "" end)) or nil
end

--- Gives an error a remedy, in place of its hint.
---@param err contree.Error|table an error, or its fields
function remedy.set(err, ...)
  err.remedy = { ... }
  err.hint = remedy.words(err.remedy, "script")
end

--- The table, for who checks it.
function remedy.rows() return ROWS end

--- What a reader is told to do about an error.
---@param err contree.Error
---@param reader contree.Reader
---@return string?
function remedy.hint(err, reader)
  if err.remedy then return remedy.words(err.remedy, reader) end
  return err.hint
end

return remedy
