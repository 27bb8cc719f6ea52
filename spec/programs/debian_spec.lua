-- Real programs in a Debian image work as they do in containers, as root and as a user.
-- Making the image (scripts/debian-image) takes long, so this is part of `make soak`, not of
-- the gate.
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("real programs in a Debian image", function()
  local client, directory, stop, debian

  setup(function()
    local tar = disk.capture("scripts/debian-image"):gsub("%s+$", "")
    assert(tar:find("^/"), "there is no image")
    client, directory, stop = home.client()
    client:whoami() -- starts the engine
    local said = disk.capture(("contree-engine import %s --tag debian:programs "
      .. "--data-dir %s/data 2>&1"):format(disk.quote(tar), directory))
    assert(client.images:use("debian:programs", { strict = true }), said)
    debian = client.images:use("debian:programs")
  end)
  teardown(function() if stop then stop() end end)

  -- Runs a script that must succeed; returns its output and the result.
  local function run(image, user, script, options)
    local given = { shell = "set -eu\n" .. script, user = user, timeout = 300, cwd = "/tmp" }
    for name, value in pairs(options or {}) do given[name] = value end
    local result = image:run(given)
    assert.are.equal(0, result.exit_code, result.stdout .. result.stderr)
    return result.stdout, result
  end

  -- Declares a test as root and as an ordinary user.
  local function both(title, test)
    for _, user in ipairs{ "root", "app" } do
      it(title .. ", as " .. user, function() test(user) end)
    end
  end

  both("id: A4: a user is who /etc/passwd says", function(user)
    local text = run(debian, user, "id; echo $HOME $USER; cd; pwd; id -Gn; whoami")
    if user == "root" then
      assert.are.equal("uid=0(root) gid=0(root) groups=0(root)\n/root root\n/root\n"
        .. "root\nroot\n", text)
    else
      assert.are.equal("uid=1000(app) gid=1000(app) groups=1000(app)\n/home/app app\n/home/app\n"
        .. "app\napp\n", text)
    end
    -- The package adds postgres to the group that may read certificates.
    assert.are.equal("postgres ssl-cert\n", (run(debian, "postgres", "id -Gn")))
    assert.are.equal("www-data\n", (run(debian, "www-data", "id -Gn")))
  end)

  both("names: A2: localhost and the host are found", function(user)
    local text = run(debian, user, [[for name in localhost db.example.org db; do
        getent ahosts $name | cut -d ' ' -f 1 | sort -u | tr '\n' ' '; done
      hostname -f; hostname -s; getent hosts 127.0.0.1 | tr -s ' '
      python3 -c 'from socket import *; print(getfqdn(), gethostbyname(gethostname()))'
      ]], { hostname = "db.example.org" })
    assert.are.equal(("127.0.0.1 ::1 "):rep(3) .. "db.example.org\ndb\n127.0.0.1 localhost\n"
      .. "db.example.org 127.0.0.1\n", text)
  end)

  it("apt: installs and purges, in one run and over several", function()
    local script = [[export DEBIAN_FRONTEND=noninteractive
      apt-get -qq update
      apt-get -qq -y install hello cron rsync >/dev/null
      test "$(hello)" = "Hello, world!"
      test "$(stat -c '%G %a' /usr/bin/crontab)" = "crontab 2755"
      dpkg --audit; dpkg --verify]]
    local purge = [[export DEBIAN_FRONTEND=noninteractive
      apt-get -qq -y purge hello cron >/dev/null
      apt-get -qq -y autoremove >/dev/null
      ! command -v hello; test ! -e /usr/sbin/cron; command -v rsync
      dpkg --audit; dpkg --verify; echo purged]]
    assert.matches("purged\n$", run(debian, "root", script .. "\n" .. purge))
    local _, installed = run(debian, "root", script, { disposable = false })
    local text, purged = run(installed, "root", purge, { disposable = false })
    assert.matches("purged\n$", text)
    assert.matches("purged\n$", run(purged, "root", script .. "\n" .. purge))
  end)

  it("apt: a user may not", function()
    local result = debian:run{ shell = "apt-get -y install hello", user = "app" }
    assert.are.equal(100, result.exit_code)
    assert.matches("are you root?", result.stderr, 1, true)
  end)

  both("git: commits, branches, merges, moves, clones, packs", function(user)
    local text = run(debian, user, [[export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b
      export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
      git init -q -b main r; cd r; mkdir -p d/e; echo 1 > d/e/f; git add .; git commit -qm one
      git mv d x; git commit -qm move
      git switch -qc side; seq 1000 > n; git add .; git commit -qm two
      git switch -q main; echo 3 > m; git add .; git commit -qm three
      git merge -q -m merged side; git gc -q --aggressive; git fsck --strict 2>&1
      cd ..; git clone -q r c; cd c; git log --format=%s | tr '\n' ' '
      git worktree add -q ../w side; cat ../w/x/e/f; git stash list; git status --short | wc -l]])
    assert.matches("merged three two move one 1\n0\n$", text)
  end)

  both("python: processes, threads, sockets, a virtual environment", function(user)
    local text = run(debian, user, [[cat > p.py <<'END'
import asyncio, getpass, multiprocessing, os, pwd, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
def square(n): return n * n
if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool: print(sum(pool.map(square, range(100))))
    with ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))
    m = shared_memory.SharedMemory(create=True, size=100 << 20)
    m.buf[-1] = 7; print(m.buf[-1]); m.close(); m.unlink()
    print(subprocess.check_output(["sh", "-c", "echo $0", "x"], text=True).strip())
    print(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_dir == os.path.expanduser("~"))
    async def main():
        async def answer(r, w):
            w.write((await r.readline()).upper()); await w.drain(); w.close()
        server = await asyncio.start_server(answer, "localhost", 8000)
        r, w = await asyncio.open_connection("localhost", 8000)
        w.write(b"hello\n"); print((await r.read()).decode().strip())
    asyncio.run(main())
    with open("/dev/stdout", "w") as out: out.write("opened\n")
    print("error", file=open("/dev/stderr", "w"))
END
      python3 -u p.py; python3 -m venv v
      v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'
      v/bin/pip --version | cut -d ' ' -f 1]])
    assert.are.equal(("328350\n328350\n7\nx\n%s True\nHELLO\nopened\nTrue\npip\n")
      :format(user), text)
  end)

  both("node: serves, watches, works in threads", function(user)
    local text = run(debian, user, [[cat > s.js <<'END'
const http = require("http"), os = require("os"), fs = require("fs")
const { Worker } = require("worker_threads")
const server = http.createServer((q, a) => a.end("served " + q.url)).listen(8080, "localhost", () =>
  http.get("http://localhost:8080/x", a => a.on("data", d => {
    console.log(String(d)); server.close(); watch() })))
function watch() {
  fs.writeFileSync("f", "")
  const w = fs.watch("f", () => { console.log("changed"); w.close(); work() })
  setTimeout(() => fs.appendFileSync("f", "x"), 50)
}
function work() {
  new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true })
    .on("message", n => { console.log(n, os.userInfo().username, os.hostname())
      require("child_process").execFile("sh", ["-c", "echo child"],
        (e, out) => { console.log(out.trim()); fs.writeFileSync("/dev/stdout", "opened\n") }) })
}
END
      node s.js]])
    assert.are.equal(("served /x\nchanged\n42 %s linuxkit\nchild\nopened\n"):format(user), text)
  end)

  local BROKEN = [[cat > b.c <<'END'
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
int crash(char *p) { return p[10]; }
int main(int argc, char **argv) {
    char *p = malloc(10);
    if (!strcmp(argv[1], "free")) { free(p); return p[1]; }
    if (!strcmp(argv[1], "leak")) { p = NULL; printf("%p\n", p); return 0; }
    if (!strcmp(argv[1], "crash")) return crash(NULL);
    free(p);
    return 0;
}
END
]]

  both("gcc: A7: AddressSanitizer finds what is wrong, leaks too", function(user)
    run(debian, user, BROKEN .. [[gcc -g -fsanitize=address,undefined b.c -o b
      ./b fine
      ! ./b free 2> e; grep -q heap-use-after-free e
      ! ./b leak 2> e; grep -q 'LeakSanitizer: detected memory leaks' e; grep -q b.c:6 e]])
  end)

  both("gdb and strace: A7: look into processes", function(user)
    local text = run(debian, user, BROKEN .. [[gcc -g b.c -o b
      gdb -batch -ex 'run crash' -ex bt ./b 2>&1 | grep -o 'SIGSEGV\|crash (p=0x0) at b.c:4' |
        sort -ru
      sleep 100 & gdb -batch -p $! -ex 'info registers rip' 2>&1 | grep -c '^rip'; kill $!
      strace -f -o t sh -c 'true; (exit 3)' || test $? = 3; grep -c 'exit_group(3)' t
      sleep 100 & slept=$!; strace -p $slept -o u & traced=$!
      until grep -q . u 2>/dev/null; do sleep 0.1; done
      kill $slept; wait $traced || :; grep -c 'killed by SIGTERM' u]])
    assert.matches("crash %(p=0x0%) at b.c:4\nSIGSEGV\n1\n[12]\n1\n$", text)
  end)

  it("postgres: starts, works in parallel, as its own user and by root", function()
    local script = [[export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin) LC_ALL=C
      initdb -D d >/dev/null; pg_ctl -D d -w -l log -o '-k /tmp' start >/dev/null
      psql -h /tmp -d postgres -qAt <<'END'
create table t as select i, md5(i::text) m from generate_series(1, 300000) i;
analyze t; set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
select count(*) from t where m like '%a%' or i > 0;
select count(*) > 0 from pg_stat_activity;
END
      psql -h localhost -d postgres -qAt -c 'select 6 * 7'
      pg_ctl -D d -m fast stop >/dev/null; grep -c 'database system is shut down' log]]
    assert.are.equal("300000\nt\n42\n1\n", (run(debian, "postgres", script)))
    assert.are.equal("300000\nt\n42\n1\n", (run(debian, "app", script)))
    local text = run(debian, "root", [[v=$(ls /usr/lib/postgresql); pg_ctlcluster $v main start
      su postgres -c "psql -Atc 'select current_user'"; pg_ctlcluster $v main stop]])
    assert.are.equal("postgres\n", text)
  end)

  both("sqlite: several writers at once, and what they wrote is kept", function(user)
    local _, kept = run(debian, user, [[cd
      sqlite3 x.db 'pragma journal_mode = wal' 'create table t (n)'
      for i in 1 2 3 4; do (for n in $(seq 50); do
        sqlite3 -cmd '.timeout 60000' x.db "insert into t values ($n)"; done) & done; wait]],
      { disposable = false })
    assert.are.equal("200|5100\nok\n", (run(kept, user,
      "cd; sqlite3 x.db 'select count(*), sum(n) from t' 'pragma integrity_check'")))
  end)

  both("nginx: A1: serves, and logs to /dev/stdout and /dev/stderr", function(user)
    local text, result = run(debian, user, [[mkdir -p n; cat > n/conf <<END
daemon off; pid /tmp/n/pid; error_log /dev/stderr info; worker_processes 2;
events { }
http {
  access_log /dev/stdout;
  client_body_temp_path n/a; proxy_temp_path n/b; fastcgi_temp_path n/c;
  uwsgi_temp_path n/d; scgi_temp_path n/e;
  server { listen 8080; listen [::]:8080; location / { return 200 "it works\n"; } }
}
END
      nginx -p /tmp/ -c n/conf &
      get() { python3 -c "from sys import *; from urllib.request import urlopen
stdout.buffer.write(urlopen(argv[1]).read())" $1; }
      for i in $(seq 100); do [ -s n/pid ] && break; sleep 0.1; done
      get http://localhost:8080/one; get http://$(hostname):8080/two
      kill -USR1 $(cat n/pid); sleep 1; get http://127.0.0.1:8080/three
      kill -QUIT $(cat n/pid); wait]])
    assert.are.equal(3, select(2, text:gsub("it works\n", "")))
    for _, path in ipairs{ "one", "two", "three" } do
      assert.matches('"GET /' .. path .. " HTTP/1.1\" 200", text)
    end
    assert.matches("reopening logs", result.stderr, 1, true)
    assert.is_nil(result.stderr:find("denied", 1, true), result.stderr)
  end)

  it("sudo and su: root gives rights away", function()
    local text = run(debian, "root", [[sudo -u app id -un; sudo -u app -i sh -c 'echo $HOME'
      su - app -c 'id -un; id -G'; sudo id -un; runuser -u app -- id -un
      useradd -m -G sudo eve; su eve -c 'id -Gn; cd; pwd']])
    assert.are.equal("app\n/home/app\napp\n1000\nroot\napp\neve sudo\n/home/eve\n", text)
  end)

  it("sudo and su: nobody gains rights, whatever the image says", function()
    local result = debian:run{ shell = "sudo -n id; echo $?", user = "app" }
    assert.are.equal("1\n", result.stdout)
    assert.matches("no new privileges", result.stderr, 1, true)
    for _, command in ipairs{ "su -c id", "su -c id postgres", "newgrp root -c id",
      "cp /bin/dash d && chmod u+s d && ./d -p -c 'test $(id -u) = 0'" } do
      result = debian:run{ shell = command, user = "app", cwd = "/tmp" }
      assert.is_true(result.exit_code ~= 0, command .. ": " .. result.stdout)
      assert.is_nil(result.stdout:find("uid=0", 1, true))
    end
  end)

  it("A8: a browser's shared memory, where asked for", function()
    local text = run(debian, "app", "df --output=size -k /dev/shm | tail -n 1; "
      .. "head -c 1500M /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x",
      { resources_limits = { shm_bytes = 2 * 2 ^ 30 } })
    assert.are.equal("2097152 1572864000", (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")))
  end)

  it("goes on in a session, and in processes that join", function()
    local session = debian:session()
    session:run{ shell = "useradd -m -s /bin/bash zoe && mkdir /srv/www && chown zoe /srv/www" }
    assert.are.equal("zoe /home/zoe\n", session:run{ user = "zoe",
      shell = "echo hi > /srv/www/f; echo $USER $HOME" }.stdout)
    assert.are.equal("zoe zoe\n", session:run("stat -c '%U %G' /srv/www/f").stdout)
    local process = debian:popen({ "sh", "-c", "useradd -m yan; echo made; sleep 60" },
      { stdout = contree.PIPE })
    assert.are.equal("made", process.stdout:lines()())
    local joined = process.operation:spawn{ shell = "id -un", user = "yan" }
    assert.are.equal("yan\n", joined:wait().stdout)
    process.operation:cancel()
  end)
end)
