-- Package managers and HTTP clients obey rules of the network with no variable set, also where
-- the airlock reads TLS, and use a secret that they never see. They are those of this machine;
-- what is not installed is said (make soak).
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local outside = require("spec.support.outside")

local PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

local function has(program)
  return disk.capture(("PATH=%s command -v %s"):format(PATH, program)) ~= ""
end

-- Each prints the answers of URLs, or "refused". The token goes with the request.
local NODE = [[node %s -e '(async () => {
  for (const url of process.argv.slice(1))
    try { process.stdout.write(await (await fetch(url,
      { headers: { "X-Token": process.env.TOKEN } })).text()) }
    catch (e) { console.log("refused") }
  })()']]

local JAVA = [[
import java.net.*; import java.net.http.*;
public class Get { public static void main(String[] urls) throws Exception {
  for (String url : urls) try {
    var request = HttpRequest.newBuilder(URI.create(url))
      .header("X-Token", System.getenv("TOKEN")).build();
    System.out.print(HttpClient.newHttpClient().send(request,
      HttpResponse.BodyHandlers.ofString()).body());
  } catch (Exception e) { System.out.println("refused"); } } }]]

local GO = [[
package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
  for _, url := range os.Args[1:] {
    request, _ := http.NewRequest("GET", url, nil)
    request.Header.Set("X-Token", os.Getenv("TOKEN"))
    answer, err := http.DefaultClient.Do(request)
    if err != nil { fmt.Println("refused"); continue }
    body, _ := io.ReadAll(answer.Body)
    fmt.Print(string(body))
  }
}]]

local URLLIB = [[/usr/bin/python3 -c 'import os, sys
from urllib.request import Request, urlopen
for url in sys.argv[1:]:
    request = Request(url, headers={"X-Token": os.environ["TOKEN"]})
    try: print(urlopen(request).read().decode(), end="")
    except OSError: print("refused")']]

local REQUESTS = [[/usr/bin/python3 -c 'import os, sys, requests
for url in sys.argv[1:]:
    try: print(requests.get(url, headers={"X-Token": os.environ["TOKEN"]}).text, end="")
    except requests.ConnectionError: print("refused")']]

local function each(line) return "for url; do " .. line .. " || echo refused; done" end

-- Of this machine's Javas the one that `java` is, and the newest.
local newest = disk.capture("ls -d /usr/lib/jvm/*/bin/java 2>/dev/null | sort -V | tail -n 1")
  :gsub("%s+$", "")

local CLIENTS = {
  { "curl", each[[curl -sf -H "X-Token: $TOKEN" $url]] },
  { "wget", each[[wget -qO- --tries 1 --header "X-Token: $TOKEN" $url]] },
  { "/usr/bin/python3", URLLIB, title = "Python's urllib" },
  { "/usr/bin/python3", REQUESTS, title = "Python's requests",
    needs = "python3 -c 'import requests'" },
  { "node", NODE:format("--use-openssl-ca"), NODE:format(""), title = "node's fetch" },
  { "java", "java /Get.java", title = "Java's HttpClient" },
  { newest, newest .. " /Get.java", title = "the newest Java's HttpClient" },
  { "go", "/get", title = "Go's net/http" },
}

describe("with rules of the network", function()
  local world, client, image, mounts, stop, files

  setup(function()
    world = outside.start()
    local directory
    client, directory, stop = home.client{ engine = { path = world:engine() } }
    image, mounts = world:image(client, directory)
    files = { ["/Get.java"] = { data = JAVA } }
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  local function build_go()
    disk.write(world.directory .. "/get.go", GO)
    local said = disk.capture(("cd %s && PATH=%s HOME=$PWD CGO_ENABLED=0 go build get.go 2>&1")
      :format(world.directory, PATH))
    assert.equal("", said)
    files["/get"] = world.directory .. "/get"
  end

  -- Declares a test of a program, or says that it is not there.
  local function with(program, title, test)
    if program ~= "" and has(program) then
      it(title, test)
    else
      pending(title .. ": " .. program .. " is not here")
    end
  end

  -- The second time TLS is read, and the token is a secret.
  for _, way in ipairs{
    { title = "alone", token = "no" },
    { title = "and a secret", token = "yes", reads = true },
  } do
    local function run(line, more)
      local given = { shell = "exec 2>&1; " .. line, mounts = mounts, timeout = 120, cwd = "/tmp",
        env = { HOME = "/root", PATH = PATH }, files = files,
        networking = { allow = { "plain.example", "tls.example" }, resolve = world:resolve() } }
      for name, value in pairs(more or {}) do given[name] = value end
      if way.reads then
        given.secrets = { TOKEN = { value = outside.TOKEN, hosts = { "tls.example" } } }
      else
        given.env.TOKEN = "none"
      end
      local result = image:run(given)
      assert.is_nil(result.stdout:find(outside.TOKEN, 1, true), result.stdout)
      return result.stdout, result
    end

    local function names(result)
      local found = {}
      for _, entry in ipairs(result.denied) do found[entry.name or entry.address] = true end
      return found
    end

    -- Whether nginx was sent the token with the requests whose lines have `words`.
    local function asked(words)
      local found
      for line in world:asked():gmatch("[^\n]+") do
        if line:find(words, 1, true) then found = line end
      end
      assert.is_not_nil(found, words)
      assert.equal(way.token, found:match("%a+$"), found)
    end

    describe(way.title, function()
      for _, program in ipairs(CLIENTS) do
        local name, line = program[1], way.reads and program[3] or program[2]
        with(name, (program.title or name) .. " gets what is allowed, and nothing else", function()
          if program.needs then
            assert.equal("", disk.capture(("PATH=%s %s 2>&1"):format(PATH, program.needs)))
          end
          if name == "go" and not files["/get"] then build_go() end
          line = line:find("for url;", 1, true) and line or line .. ' "$@"'
          local said, result = run("set -- https://tls.example/who https://tls.example/token "
            .. "https://other.example/who http://192.0.2.9/; " .. line)
          said = said:gsub("%f[^\n%z]Picked up JAVA[^\n]*\n", "")
          assert.equal("tls.example tls.example GET /who\n" .. way.token .. "\nrefused\nrefused\n",
            said)
          said = run("TOKEN=none; set -- http://plain.example/who; " .. line)
          said = said:gsub("%f[^\n%z]Picked up JAVA[^\n]*\n", "")
          assert.equal("- plain.example GET /who\n", said)
          assert.is_true(names(result)["other.example"])
          assert.is_true(names(result)["192.0.2.9"])
        end)
      end

      with("git", "git clones over https", function()
        disk.capture(([[cd %s/www && rm -rf repo.git && git init -q --bare repo.git &&
          d=$(mktemp -d) && cd $d && git init -q . && echo content > file && git add file &&
          git -c user.name=a -c user.email=a@example commit -qm one &&
          git push -q %s/www/repo.git HEAD:refs/heads/main && cd %s/www/repo.git &&
          git symbolic-ref HEAD refs/heads/main && git update-server-info; rm -rf $d]]):format(
          world.directory, world.directory, world.directory))
        local said, result = run([[git -c http.extraHeader="X-Token: $TOKEN" clone -q \
          https://tls.example/repo.git r && cat r/file
          git clone -q https://other.example/repo.git s && echo cloned]])
        assert.matches("^content\n", said)
        assert.is_nil(said:find("cloned", 1, true))
        assert.is_true(names(result)["other.example"])
        asked("GET /repo.git/info/refs")
      end)

      with("npm", "npm installs from a registry", function()
        local said = disk.capture(([[cd %s/www && mkdir -p npm && cd npm &&
          PATH=%s npm pack --silent left-pad 2>&1 && mv left-pad-*.tgz left-pad.tgz]]):format(
          world.directory, PATH))
        assert.matches("^left%-pad", said)
        disk.write(world.directory .. "/www/left-pad", [[{"name":"left-pad","dist-tags":
          {"latest":"1.3.0"},"versions":{"1.3.0":{"name":"left-pad","version":"1.3.0",
          "dist":{"tarball":"https://tls.example/npm/left-pad.tgz"}}}}]])
        local installed = run([[printf '//tls.example/:_authToken=%s\n' "$TOKEN" > /root/.npmrc
          npm --registry https://tls.example/ install --no-audit --no-fund left-pad ]]
          -- This machine's settings may have a file of authorities, which are then all.
          .. (way.reads and "--cafile=$NODE_EXTRA_CA_CERTS " or "") .. [[&&
          node -p 'require("left-pad")("x", 3)']])
        assert.matches("\n  x\n$", installed)
        asked("GET /npm/left-pad.tgz")
        local refused, result = run("npm --registry https://registry.example/ --fetch-retries 0 "
          .. "install --no-audit --no-fund left-pad")
        assert.matches("ENOTFOUND", refused)
        assert.is_true(names(result)["registry.example"])
      end)

      with("/usr/bin/pip3", "pip installs from an index", function()
        local wheel = disk.capture("ls /usr/share/python-wheels/setuptools-*.whl 2>/dev/null")
          :match("[^/\n]+%.whl")
        assert.is_not_nil(wheel, "python3-pip-whl is not here")
        disk.capture(([[cd %s/www && mkdir -p simple/setuptools &&
          cp /usr/share/python-wheels/%s simple/setuptools/ &&
          echo '<a href="%s">%s</a>' > simple/setuptools/index.html]]):format(world.directory,
          wheel, wheel, wheel))
        local said = run([[/usr/bin/pip3 install -q --root-user-action ignore --target /tmp/p \
          --disable-pip-version-check --index-url "https://me:$TOKEN@tls.example/simple/" \
          setuptools && ls -d p/setuptools]])
        assert.matches("p/setuptools\n$", said)
        asked("GET /simple/setuptools/" .. wheel)
        local refused, result = run("/usr/bin/pip3 install -q --retries 0 --target /tmp/p "
          .. "--disable-pip-version-check --index-url https://index.example/simple/ setuptools")
        assert.matches("No matching distribution", refused)
        assert.is_true(names(result)["index.example"])
      end)

      for scheme, host in pairs{ http = "plain", https = "tls" } do
        with("apt-get", "apt gets packages of a repository over " .. scheme, function()
          local said = disk.capture(([[mkdir -p %s/www/deb && cd %s/www/deb &&
            { ls hello_*.deb >/dev/null 2>&1 || apt-get -qq download hello 2>&1; } &&
            for each in hello_*.deb; do
              { dpkg-deb -f $each; echo "Filename: ./$each"; echo "Size: $(stat -c %%s $each)"
                echo "SHA256: $(sha256sum < $each | cut -d' ' -f1)"; echo; } > Packages; done]])
            :format(world.directory, world.directory))
          assert.is_not_nil(disk.peek(world.directory .. "/www/deb/Packages"), said)
          said = run(([[mkdir -p /etc/apt/auth.conf.d
            echo 'deb [trusted=yes] %s://%s.example/deb ./' > /etc/apt/sources.list
            echo "machine https://tls.example login me password $TOKEN" > /etc/apt/auth.conf
            apt="-o APT::Sandbox::User=root -o Dir::Etc::sourceparts=-"
            apt-get $apt update && apt-get $apt download hello &&
            dpkg-deb -x hello_*.deb x && x/usr/bin/hello]]):format(scheme, host))
          assert.matches("\nHello, world!\n$", said)
          if scheme == "https" then asked("GET /deb/./hello") end
        end)
      end
    end)
  end
end)
