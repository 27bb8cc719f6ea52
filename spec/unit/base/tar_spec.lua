-- Archives as tar of this machine reads them.
local disk = require("spec.support.disk")
local tar = require("contree.base.tar")

describe("a tar", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function listed(...)
    local text = {}
    for i, entry in ipairs{ ... } do
      entry.mode, entry.size = entry.mode or 420, entry.size or 0
      entry.uid, entry.gid = entry.uid or 0, entry.gid or 0
      text[i] = tar.header(entry) .. ("x"):rep(entry.size) .. tar.padding(entry.size)
    end
    disk.write(path, table.concat(text) .. tar.FINISH)
    return disk.capture("TZ=UTC tar --numeric-owner --full-time -tvf " .. path .. " 2>&1")
  end

  it("has members of every type", function()
    local text = listed({ name = "d", type = "directory", mode = 493 },
      { name = "f", type = "file", size = 513, mtime = 86400 },
      { name = "l", type = "link", target = "f", mode = 511 },
      { name = "h", type = "hardlink", target = "f" }, { name = "p", type = "fifo" })
    assert.are.equal("drwxr-xr-x 0/0 0 1970-01-01 00:00:00 d\n"
      .. "-rw-r--r-- 0/0 513 1970-01-02 00:00:00 f\n"
      .. "lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 l -> f\n"
      .. "hrw-r--r-- 0/0 0 1970-01-01 00:00:00 h link to f\n"
      .. "prw-r--r-- 0/0 0 1970-01-01 00:00:00 p\n", (text:gsub(" +", " ")))
  end)

  it("has names and targets of any length", function()
    for _, length in ipairs{ 99, 100, 101, 511, 512, 1000 } do
      local name, target = ("n"):rep(length), ("t"):rep(length)
      local text = listed({ name = name, type = "link", target = target, mode = 511 },
        { name = "after", type = "file" })
      assert.matches(" " .. name .. " %-> " .. target .. "\n.* after\n$", text)
    end
  end)

  it("has numbers that octal digits have no room for", function()
    for _, id in ipairs{ 0, 2097151, 2097152, 4294967294 } do
      local text = listed{ name = "f", type = "file", uid = id, gid = id + 1 }
      assert.matches((" %d/%d "):format(id, id + 1), text)
    end
    -- 8 GiB are more than eleven digits.
    for _, size in ipairs{ 8 ^ 11 - 1, 8 ^ 11, 8 ^ 11 * 5 + 3 } do
      disk.write(path, tar.header{ name = "f", type = "file", mode = 420, uid = 0, gid = 0,
        size = size })
      assert.matches((" %.0f "):format(size),
        disk.capture("tar --numeric-owner -tvf " .. path .. " 2>&1"))
    end
  end)
end)
