-- COPY and ADD of every type of entry over every type of target, with the same outcome as
-- in BuildKit. Each way to copy has a grid; each cell is a spec.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

-- Without subordinate ids there is only one id in a sandbox (scripts/as-user).
local SINGLE = os.getenv("CONTREE_TEST_IDS") == "single"
local OWNER = SINGLE and "0:0" or "3:4"

-- Shell commands that make the target $t before the copy. If $t is a link, it leads to $a.
local TARGETS = {
  nothing = ":",
  file = 'echo old > "$t"; chmod 640 "$t"',
  directory = 'mkdir -m 750 "$t"; echo kept > "$t/kept"',
  empty = 'mkdir -m 750 "$t"',
  file_link = 'echo aux > "$a"; ln -s "../..$a" "$t"',
  dir_link = 'mkdir -m 750 "$a"; ln -s "../..$a" "$t"',
  dangling = 'ln -s "../..$a" "$t"',
  absolute = 'echo aux > "$a"; ln -s "$a" "$t"',
  fifo = 'mkfifo -m 640 "$t"',
  hard = 'echo aux > "$a"; ln "$a" "$t"',
}

-- Shell commands that make the entry to be copied, $e.
local ENTRIES = {
  file = 'echo new > "$e"; chmod 751 "$e"',
  set_id = 'echo new > "$e"; chmod 4755 "$e"',
  directory = 'mkdir "$e"; echo new > "$e/f"; chmod 640 "$e/f"; chmod 711 "$e"',
  empty = 'mkdir -m 1777 "$e"; chmod 1777 "$e"',
  file_link = 'ln -s ../nothing/file "$e"',
  dir_link = 'ln -s ../nothing/directory "$e"',
  dangling = 'ln -s no/where "$e"',
  absolute = 'ln -s /no/where "$e"',
  fifo = 'mkfifo "$e"; chmod 620 "$e"',
  hard = 'echo new > "$e"; chmod 640 "$e"; ln "$e" "$e.too"',
  sparse = 'truncate -s 3000000 "$e"; echo new >> "$e"; chmod 640 "$e"',
}

-- The copied entry: each line is a name below its path, type and mode, owner as $O, the link
-- count and content of a file or the target of a link.
local SHAPES = {
  file = { " -rwxr-x--x $O 1 new" },
  set_id = { " -rwsr-xr-x $O 1 new" },
  directory = { " drwx--x--x $O", "/f -rw-r----- $O 1 new" },
  empty = { " drwxrwxrwt $O" },
  file_link = { " lrwxrwxrwx $O ../nothing/file" },
  dir_link = { " lrwxrwxrwx $O ../nothing/directory" },
  dangling = { " lrwxrwxrwx $O no/where" },
  absolute = { " lrwxrwxrwx $O /no/where" },
  fifo = { " prw--w---- $O" },
  hard = { " -rw-r----- $O 2 new", ".too -rw-r----- $O 2 new" },
  sparse = { " -rw-r----- $O 1 new" },
}

local OLD = {
  nothing = {},
  file = { " -rw-r----- 0:0 1 old" },
  directory = { " drwxr-x--- 0:0", "/kept -rw-r--r-- 0:0 1 kept" },
  empty = { " drwxr-x--- 0:0" },
  file_link = { " lrwxrwxrwx 0:0 ../../aux/$C" },
  dir_link = { " lrwxrwxrwx 0:0 ../../aux/$C" },
  dangling = { " lrwxrwxrwx 0:0 ../../aux/$C" },
  absolute = { " lrwxrwxrwx 0:0 /aux/$C" },
  fifo = { " prw-r----- 0:0" },
  hard = { " -rw-r--r-- 0:0 2 aux" },
}

local COLUMNS = { "nothing", "file", "directory", "empty", "file_link", "dir_link", "dangling",
  "absolute", "fifo", "hard" }

-- new: the entry replaces the target. merged: the directory gets the entry's mode and owner,
-- and keeps its contents. kept: the target does not change. over: refused, because only a
-- directory can be copied over a directory. under: refused, because a directory can be
-- copied over nothing else.
local function grid(text)
  local cells = {}
  for row, rest in text:gmatch("([%l_]+)([^\n]+)\n") do
    cells[row] = {}
    local i = 0
    for word in rest:gmatch("%S+") do
      i = i + 1
      cells[row][COLUMNS[i]] = word
    end
    assert(i == #COLUMNS)
  end
  return cells
end

-- A tree is copied over a tree. No link of the target is followed.
local COPY = grid[[
file       new new   over   over   new   new   new   new   new   new
set_id     new new   over   over   new   new   new   new   new   new
directory  new under merged merged under under under under under under
empty      new under merged merged under under under under under under
file_link  new new   over   over   new   new   new   new   new   new
dir_link   new new   over   over   new   new   new   new   new   new
dangling   new new   over   over   new   new   new   new   new   new
absolute   new new   over   over   new   new   new   new   new   new
fifo       new new   over   over   new   new   new   new   new   new
hard       new new   over   over   new   new   new   new   new   new
sparse     new new   over   over   new   new   new   new   new   new
]]

-- An archive is unpacked over a tree. Everything replaces everything, but pipes are skipped.
local ARCHIVE = grid[[
file       new new  new    new    new  new  new  new  new  new
set_id     new new  new    new    new  new  new  new  new  new
directory  new new  merged merged new  new  new  new  new  new
empty      new new  merged merged new  new  new  new  new  new
file_link  new new  new    new    new  new  new  new  new  new
dir_link   new new  new    new    new  new  new  new  new  new
dangling   new new  new    new    new  new  new  new  new  new
absolute   new new  new    new    new  new  new  new  new  new
fifo       kept kept kept  kept   kept kept kept kept kept kept
hard       new new  new    new    new  new  new  new  new  new
sparse     new new  new    new    new  new  new  new  new  new
]]

local function sorted(map)
  local list = {}
  for name in pairs(map) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local ROWS = sorted(COPY)
local OUTCOMES = {
  new = function(row) return SHAPES[row] end,
  kept = function(_, column) return OLD[column] end,
  merged = function(row, column)
    local lines = {}
    for _, line in ipairs(SHAPES[row]) do lines[#lines + 1] = line end
    lines[#lines + 1] = OLD[column][2]
    return lines
  end,
}

-- What the targets' links lead to. No copy changes it.
local AUX = { file_link = "-rw-r--r-- aux", absolute = "-rw-r--r-- aux",
  dir_link = "drwxr-x--- 0", hard = "-rw-r--r-- aux" }

local SHOW = [=[
cd /t && for d in *; do cd /t/$d && find . ! -name . | sort | while read -r f; do
  if [ -L "$f" ]; then say=" $(readlink "$f")"
  elif [ -f "$f" ]; then say=" $(stat -c %h "$f") $(tail -c 5 "$f" | tr -d '\0' | tr -d '\n')"
  else say=; fi
  echo "$d/${f#./} $(stat -c '%A %u:%g' "$f")$say"
done; done
cd /aux && for f in *; do [ "$f" = '*' ] && continue
  if [ -d "$f" ]; then say=$(ls "$f" | wc -l); else say=$(cat "$f"); fi
  echo "aux $f $(stat -c %A "$f") $say"
done
]=]

-- Returns a shell line: the command after its variables.
local function making(command, variables)
  local parts = {}
  for name, value in pairs(variables) do parts[#parts + 1] = ("%s=%s; "):format(name, value) end
  return table.concat(parts) .. command
end

-- Makes the entries in a directory of this machine: copy/COLUMN/ROW and archive/COLUMN/ROW
-- unless they are refused, and rows/ROW/ROW for all.
local function make_sources(directory)
  local lines = { "umask 022; cd " .. directory }
  local function add(path, row)
    lines[#lines + 1] = making('mkdir -p "${e%/*}"; ' .. ENTRIES[row], { e = path })
  end
  for _, row in ipairs(ROWS) do
    add(("rows/%s/%s"):format(row, row), row)
    for _, column in ipairs(COLUMNS) do
      local path = ("%s/%s"):format(column, row)
      if OUTCOMES[COPY[row][column]] then add("copy/" .. path, row) end
      add("archive/" .. path, row)
    end
  end
  disk.capture("sh " .. disk.write(directory .. "/sources.sh", table.concat(lines, "\n")))
end

-- Returns the script that makes the targets in an image.
local function targets()
  local lines = { "umask 022; mkdir /t /aux" }
  for _, column in ipairs(COLUMNS) do
    lines[#lines + 1] = "mkdir /t/" .. column
    for _, row in ipairs(ROWS) do
      lines[#lines + 1] = making(TARGETS[column], { t = ("/t/%s/%s"):format(column, row),
        a = ("/aux/%s.%s"):format(column, row) })
    end
  end
  return table.concat(lines, "\n")
end

local BASE = "FROM busybox:latest AS base\nCOPY targets.sh /\n"
  .. "RUN sh /targets.sh && rm /targets.sh\n"

-- Each way to copy: its grid, the owner of new entries, and the Dockerfile.
local WAYS = {
  COPY = { COPY, "0:0", "COPY copy /t\n" },
  ["COPY for the second time"] = { COPY, "0:0", "COPY copy /t\nCOPY copy /t/\n" },
  ["COPY --chown"] = { COPY, OWNER, "COPY --chown=" .. OWNER .. " copy/ /t/.\n" },
  ["COPY --from"] = { COPY, OWNER, "COPY --from=other /s /t\n" },
  ["ADD an archive"] = { ARCHIVE, OWNER, "ADD plain.tar /t\n" },
  ["ADD an archive for the second time"] = { ARCHIVE, OWNER,
    "ADD posix.tar.xz /t/\nADD plain.tar.gz /t/\n" },
}

describe("B2:", function()
  local client, directory, stop, seen

  local function build(text)
    return client.images:build{ context = directory, dockerfile = { data = BASE .. text },
      cache_dir = directory .. "/cache" }
  end

  -- Returns the lines of each cell, and of what the links lead to.
  local function look(way)
    if seen[way] then return seen[way] end
    local text = WAYS[way][3]
    if text:find("--from", 1, true) then
      text = "FROM busybox:latest AS other\nCOPY --chown=" .. OWNER .. " copy /s\n"
        .. "FROM base\n" .. text
    end
    local cells = {}
    for line in build(text):run{ shell = SHOW }.stdout:gmatch("[^\n]+") do
      local column, row, rest = line:match("^([%l_]+)/([%l_]+)(.*)$")
      if not column then column, row, rest = line:match("^aux ([%l_]+)%.([%l_]+)( .*)$") end
      local key = (line:find("^aux") and "aux " or "") .. column .. " " .. row
      cells[key] = cells[key] or {}
      table.insert(cells[key], rest)
    end
    seen[way] = cells
    return cells
  end

  setup(function()
    client, directory, stop = home.client()
    seen = {}
    make_sources(directory)
    disk.write(directory .. "/targets.sh", targets())
    local owner = OWNER:gsub(":", " --group=")
    disk.capture(([[cd %s && tar="tar -C archive --owner=%s --sort=name" &&
      $tar --format=gnu -S -cf plain.tar . && gzip -k plain.tar &&
      $tar --format=posix -S -cJf posix.tar.xz .]]):format(directory, owner))
  end)
  teardown(function() stop() end)

  for _, way in ipairs(sorted(WAYS)) do
    local cells, owner = WAYS[way][1], WAYS[way][2]
    for _, row in ipairs(ROWS) do
      for _, column in ipairs(COLUMNS) do
        local outcome = OUTCOMES[cells[row][column]]
        if outcome then
          it(("%s: %s over %s"):format(way, row, column), function()
            local expected = {}
            for i, line in ipairs(outcome(row, column)) do
              expected[i] = line:gsub("%$O", owner):gsub("%$C", column .. "." .. row)
            end
            local found = look(way)
            assert.same(expected, found[column .. " " .. row] or {})
            local left = AUX[column]
            assert.same(left and { " " .. left }, found["aux " .. column .. " " .. row])
          end)
        elseif way == "COPY" then
          it(("COPY: %s over %s is refused"):format(row, column), function()
            local ok, err = pcall(build, ("COPY rows/%s /t/%s\n"):format(row, column))
            assert.is_false(ok)
            assert.equal(4, err.line)
            assert.matches(cells[row][column] == "over" and "cannot replace the directory /t/"
              or "cannot copy a directory over /t/", tostring(err), 1, true)
          end)
        end
      end
    end
  end
end)
