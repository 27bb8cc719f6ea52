-- What `make install` installs, and that all of it can be removed again. Packages and clean
-- machines: scripts/clean-room.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

describe("an installation", function()
  local place, prefix
  local build = disk.capture("realpath --relative-to=. $(dirname $(command -v contree-engine))/..")
    :gsub("\n", "")

  local function sh(command)
    local said = disk.capture(("{ %s\n} 2>&1; printf =$?"):format(command))
    local text, code = said:match("^(.*)=(%d+)$")
    return text, tonumber(code)
  end

  local function install(arguments)
    local text, code = sh(("B=%s DESTDIR= PREFIX=%s scripts/install %s"):format(build, prefix,
      arguments or ""))
    assert.are.equal(0, code, text)
    return text
  end

  -- The installed programs and modules, where nothing points to them.
  local function bare(command)
    return sh(([[cd / && env -u LUA_PATH -u LUA_CPATH -u CONTREE_ENGINE \
      PATH="$(echo "$PATH" | tr : '\n' | grep -v "%s/bin$" | paste -sd:)" \
      XDG_RUNTIME_DIR=%s CONTREE_DATA_DIR=%s/data %s]]):format(build, place, place, command))
  end

  local function files()
    return (sh(("find %s ! -type d | LC_ALL=C sort"):format(prefix)))
  end

  setup(function()
    place = disk.directory()
    os.execute("chmod 700 " .. place)
    prefix = place .. "/prefix"
    install()
  end)
  teardown(function()
    home.stop_engine(place .. "/data")
    disk.remove(place)
  end)

  it("has what it lists, and no more", function()
    assert.are.equal(files(), (sh(("{ %s; echo %s/share/contree/installed; } | LC_ALL=C sort")
      :format(("B=%s PREFIX=%s scripts/install --list"):format(build, prefix), prefix))))
    for name in disk.capture("cd lua && find * -name '*.lua'"):gmatch("[^\n]+") do
      for _, version in ipairs{ "5.1", name:find("^contree/") and "5.4" or nil } do
        assert.is_truthy(disk.peek(("%s/share/lua/%s/%s"):format(prefix, version, name)), name)
      end
    end
  end)

  it("is a command, a module and an engine that find one another, wherever it is", function()
    local version = require("contree").version
    assert.are.equal("contree " .. version .. "\n", (bare(prefix .. "/bin/contree --version")))
    assert.are.equal("hello\n", (bare(prefix .. "/bin/contree run busybox:latest -- echo hello")))
    local engine = sh(("readlink /proc/%d/exe"):format(home.pid(place .. "/data")))
    assert.are.equal(prefix .. "/bin/contree-engine\n", engine)
  end)

  it("tells programs in C where the module is", function()
    local kind = lua == "luajit" and "luajit" or "lua5_4"
    local text = sh(([[
      about() { PKG_CONFIG_PATH=%s/lib/pkgconfig pkg-config "$@" contree; }
      about --modversion
      LUA_PATH=$(about --variable=%s_path) LUA_CPATH="$(about --variable=%s_cpath);;" \
        %s -e 'package.path = package.path .. ";;"
          print(package.searchpath("contree", package.path))
          print(package.searchpath("contree.core", package.cpath))']])
      :format(prefix, kind, kind, lua))
    local abi = lua == "luajit" and "5.1" or "5.4"
    assert.are.equal(("%s\n%s/share/lua/%s/contree/init.lua\n%s/lib/lua/%s/contree/core.so\n")
      :format(require("contree").version, prefix, abi, prefix, abi), text)
  end)

  it("has units that systemd reads, and pages that man reads", function()
    assert.are.equal("", (sh(([[command -v systemd-analyze >/dev/null || exit 0
      sed /^User=\|^Group=/d %s/lib/systemd/system/contree-engine.service \
        > %s/contree-engine.service
      SYSTEMD_LOG_LEVEL=warning systemd-analyze --man=no verify %s/contree-engine.service 2>&1 |
        grep contree-engine]]):format(prefix, place, place))))
    for _, name in ipairs{ "contree", "contree-engine" } do
      assert.are.equal("", (sh(([[command -v man >/dev/null || exit 0
        LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z \
        %s/share/man/man1/%s.1 >/dev/null]]):format(prefix, name))))
    end
  end)

  -- The last, because it removes it.
  it("is removed to the last file, with those of an older version", function()
    local old = prefix .. "/share/lua/5.4/contree/gone/old.lua"
    sh(("mkdir -p %s/share/lua/5.4/contree/gone %s/lib/other; echo > %s; echo > %s/lib/other/x")
      :format(prefix, prefix, old, prefix))
    sh(("echo %s >> %s/share/contree/installed"):format(old, prefix))
    install()
    assert.is_nil(disk.peek(old))
    install("--remove")
    assert.are.equal(prefix .. "/lib/other/x\n", files())
    assert.are.equal("bin lib lib/other share share/man", (sh(
      ("find %s -mindepth 1 -type d -printf '%%P\n' | LC_ALL=C sort | paste -sd' '"):format(prefix))
      :gsub("\n", "")))
    local text, code = sh(("DESTDIR= PREFIX=%s scripts/install --remove"):format(prefix))
    assert.are.same({ 1, "uninstall: nothing is installed in " .. prefix .. "\n" }, { code, text })
  end)
end)
