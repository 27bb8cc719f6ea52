-- Where COPY and ADD put something: links in the destination's own path are followed, also
-- the last one (for links below it see build_copy_spec). And who owns the directories that
-- are made on the way.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

-- Without subordinate ids there is only one id in a sandbox (scripts/as-user).
local SINGLE = os.getenv("CONTREE_TEST_IDS") == "single"
local ONE, OTHER = SINGLE and "0:0" or "3:4", SINGLE and "0:0" or "5:5"

-- Shell commands that make the destination t before the copy, and a, which t may lead to.
local TARGETS = {
  nothing = ":",
  file = "echo old > t",
  directory = "mkdir -m 750 t; echo kept > t/was",
  file_link = "echo old > a; ln -s a t",
  dir_link = "mkdir -m 750 a; echo kept > a/was; ln -s ./a t",
  dangling = "ln -s ../$c/a t",
  deep = "ln -s a/b/c t",
  absolute = "echo old > a; ln -s $PWD/a t",
  escaping = "echo old > a; ln -s ../../../../..$PWD/a t",
  fifo = "mkfifo t",
  hard = "echo old > a; ln a t",
}

-- The paths after a file was copied. $F is the shape of the file, $N its name.
local FILES = {
  nothing = "t $F",
  file = "t $F",
  directory = "t drwxr-x---; t/$N $F; t/was -rw-r--r-- kept",
  file_link = "a $F; t -> a",
  dir_link = "a drwxr-x---; a/$N $F; a/was -rw-r--r-- kept; t -> ./a",
  dangling = "a $F; t -> ../dangling/a",
  deep = "a drwxr-xr-x; a/b drwxr-xr-x; a/b/c $F; t -> a/b/c",
  absolute = "a $F; t -> $P/a",
  escaping = "a $F; t -> ../../../../..$P/a",
  fifo = "t $F",
  hard = "a -rw-r--r-- old; t $F",
}

-- The same after a directory with the file $N was copied. Without an entry it is refused.
local DIRECTORIES = {
  nothing = "t drwxr-xr-x; t/$N $F",
  directory = "t drwxr-x---; t/$N $F; t/was -rw-r--r-- kept",
  dir_link = "a drwxr-x---; a/$N $F; a/was -rw-r--r-- kept; t -> ./a",
  dangling = "a drwxr-xr-x; a/$N $F; t -> ../dangling/a",
  deep = "a drwxr-xr-x; a/b drwxr-xr-x; a/b/c drwxr-xr-x; a/b/c/$N $F; t -> a/b/c",
}

local F, FIFO = "-rwxr-x--x new", "prw--w----"

-- Each way: an instruction with $t as destination, the outcomes, the file's shape and name.
local WAYS = {
  ["COPY f"] = { "COPY f $t", FILES, F, "f" },
  ["COPY a link"] = { "COPY link $t", FILES, F, "link" },
  ["COPY a pipe"] = { "COPY pipe $t", FILES, FIFO, "pipe" },
  ["ADD f"] = { "ADD f $t", FILES, F, "f" },
  ["COPY --from f"] = { "COPY --from=other /f $t", FILES, F, "f" },
  ["COPY --from a pipe"] = { "COPY --from=other /pipe $t", FILES, FIFO, "pipe" },
  ["COPY a directory"] = { "COPY d $t", DIRECTORIES, F, "f" },
  ["COPY --from a directory"] = { "COPY --from=other /d $t", DIRECTORIES, F, "f" },
  ["ADD an archive"] = { "ADD d.tgz $t", DIRECTORIES, F, "f" },
}

local function sorted(map)
  local list = {}
  for name in pairs(map) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local COLUMNS, ROWS = sorted(TARGETS), sorted(WAYS)

local SHOW = [=[
for d in /n/*/*; do cd $d && find . ! -name . | sort | while read -r f; do
  if [ -L "$f" ]; then say="-> $(readlink "$f")"
  elif [ -f "$f" ]; then say="$(stat -c %A "$f") $(cat "$f")"
  else say=$(stat -c %A "$f"); fi
  echo "$d ${f#./} $say"
done; done
]=]

describe("B2: a destination that is", function()
  local client, directory, stop, seen

  local function build(text)
    return client.images:build{ context = directory, cache_dir = directory .. "/cache",
      dockerfile = { data = "FROM busybox:latest AS other\nCOPY f pipe /\nCOPY d /d\n"
        .. "FROM busybox:latest\nCOPY targets.sh /\nRUN sh /targets.sh\n" .. text } }
  end

  local function path_of(way, column)
    for i, each in ipairs(ROWS) do
      if each == way then return ("/n/%d/%s"):format(i, column) end
    end
  end

  local function line_of(way, column)
    return (WAYS[way][1]:gsub("%$t", path_of(way, column) .. "/t")) .. "\n"
  end

  setup(function()
    client, directory, stop = home.client()
    disk.capture(([[cd %s && umask 022 && echo new > f && chmod 751 f && ln -s f link &&
      mkfifo pipe && chmod 620 pipe && mkdir d && cp -p f d && tar -czf d.tgz -C d f]])
      :format(directory))
    local lines = { "umask 022" }
    for _, way in ipairs(ROWS) do
      for _, column in ipairs(COLUMNS) do
        lines[#lines + 1] = ("mkdir -p %s; cd %s; c=%s; %s"):format(path_of(way, column),
          path_of(way, column), column, TARGETS[column])
      end
    end
    disk.write(directory .. "/targets.sh", table.concat(lines, "\n"))
    local text = {}
    for _, way in ipairs(ROWS) do
      for _, column in ipairs(COLUMNS) do
        if WAYS[way][2][column] then text[#text + 1] = line_of(way, column) end
      end
    end
    seen = {}
    for line in build(table.concat(text)):run{ shell = SHOW }.stdout:gmatch("[^\n]+") do
      local path, rest = line:match("^(%S+) (.*)$")
      seen[path] = (seen[path] and seen[path] .. "; " or "") .. rest
    end
  end)
  teardown(function() stop() end)

  for _, way in ipairs(ROWS) do
    for _, column in ipairs(COLUMNS) do
      local _, outcomes, shape, name = (unpack or table.unpack)(WAYS[way])
      local path = path_of(way, column)
      if outcomes[column] then
        it(("%s: %s"):format(column, way), function()
          local expected = outcomes[column]:gsub("%$F", shape):gsub("%$N", name):gsub("%$P", path)
          assert.equal(expected, seen[path])
        end)
      else
        it(("%s: %s is refused"):format(column, way), function()
          local ok, err = pcall(build, line_of(way, column))
          assert.is_false(ok)
          assert.equal(7, err.line)
          assert.matches("is no directory", tostring(err), 1, true)
        end)
      end
    end
  end
end)

describe("B3: what is made on the way", function()
  local client, directory, stop

  setup(function()
    client, directory, stop = home.client()
    disk.capture(("cd %s && umask 022 && mkdir d && echo 1 > d/f && chmod 600 d/f")
      :format(directory))
  end)
  teardown(function() stop() end)

  -- Returns "mode owner path" of each path.
  local function made(text, paths)
    local image = client.images:build{ context = directory, cache_dir = directory .. "/cache",
      dockerfile = { data = "FROM busybox:latest\n" .. text } }
    return image:run{ shell = "stat -c '%a %u:%g %n' " .. paths }.stdout
  end

  it("by COPY belongs to whom --chown says, and has the mode of --chmod", function()
    assert.equal(("755 $ /x\n755 $ /x/y\n600 $ /x/y/f\n"):gsub("%$", ONE),
      made("COPY --chown=" .. ONE .. " d/f /x/y/f\n", "/x /x/y /x/y/f"))
    assert.equal(("700 $ /x\n700 $ /x/y\n700 $ /x/y/f\n"):gsub("%$", ONE),
      made("COPY --chmod=700 --chown=" .. ONE .. " d/ /x/y\n", "/x /x/y /x/y/f"))
    assert.equal("755 0:0 /x\n600 0:0 /x/f\n", made("COPY d /x/\n", "/x /x/f"))
  end)

  it("is what is there, as it is", function()
    assert.equal(("700 $ /h\n600 0:0 /h/f\n"):gsub("%$", ONE),
      made("RUN mkdir -m 700 /h && chown " .. ONE .. " /h\nCOPY d /h\n", "/h /h/f"))
    assert.equal("1777 0:0 /tmp\n", made("RUN chmod 1777 /tmp\nCOPY d/f /tmp/\n", "/tmp"))
  end)

  it("by a number is of the group of that number, whatever /etc/passwd says", function()
    local five = SINGLE and "0" or "5"
    assert.equal(("600 $ /f\n"):gsub("%$", OTHER), made(
      "RUN echo a:x:5:6::/:/bin/sh >> /etc/passwd\nCOPY --chown=" .. five .. " d/f /f\n", "/f"))
  end)

  it("by WORKDIR belongs to the USER", function()
    local user = SINGLE and "root" or "app"
    local text = "RUN echo app:x:3:4::/:/bin/sh >> /etc/passwd && mkdir -m 711 /w\nUSER " .. user
      .. "\nWORKDIR /w/a\nWORKDIR b\n"
    local owner = SINGLE and "0:0" or "3:4"
    local expected = ("711 0:0 /w\n755 $ /w/a\n755 $ /w/a/b\n"):gsub("%$", owner)
    assert.equal(expected, made(text, "/w /w/a /w/a/b"))
    assert.equal(expected, made(text .. "RUN touch x\nWORKDIR ..\n", "/w /w/a /w/a/b"))
    assert.equal("755 0:0 /w\n", made("WORKDIR /w\nUSER nobody\n", "/w"))
    assert.equal("755 0:0 /q\n", made("USER nosuch\nWORKDIR /q\n", "/q"))
    assert.equal(("755 $ /p\n"):gsub("%$", OTHER), made("USER " .. OTHER .. "\nWORKDIR /p\n", "/p"))
    assert.equal("755 0:0 /real/x\n",
      made("RUN mkdir /real && ln -s real /link\nWORKDIR /link/x\n", "/real/x"))
  end)
end)
