-- Package managers and HTTP clients obey rules of the network with no variable set. They are
-- those of this machine; what is not installed is said (make soak).
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local outside = require("spec.support.outside")

local function has(program)
  return disk.capture("PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v " .. program) ~= ""
end

describe("with rules of the network", function()
  local world, client, image, mounts, stop

  setup(function()
    world = outside.start()
    local directory
    client, directory, stop = home.client()
    image, mounts = world:image(client, directory)
  end)
  teardown(function()
    if stop then stop() end
    if world then world:stop() end
  end)

  local function run(line, files)
    local result = image:run{ shell = "exec 2>&1; export PATH=/usr/sbin:/usr/bin:/sbin:/bin; "
      .. line, mounts = mounts, files = files, timeout = 120, cwd = "/tmp",
      env = { HOME = "/root" },
      networking = { allow = { "plain.example", "tls.example" }, resolve = world:resolve() } }
    return result.stdout, result
  end

  local function names(result)
    local found = {}
    for _, entry in ipairs(result.denied) do found[entry.name or entry.address] = true end
    return found
  end

  -- Declares a test of a program, or says that it is not there.
  local function with(program, title, test)
    if has(program) then
      it(program .. " " .. title, test)
    else
      pending(program .. " is not here")
    end
  end

  with("node", "fetches, and not from elsewhere", function()
    local said, result = run([[node --use-openssl-ca -e '(async () => {
      for (const url of ["http://plain.example/who", "https://tls.example/who",
        "https://other.example/who", "http://192.0.2.9/"])
        try { process.stdout.write(await (await fetch(url)).text()) }
        catch (e) { console.log("refused", e.cause.code) }
      })()']])
    assert.matches("^%- plain.example GET /who\ntls.example tls.example GET /who\n"
      .. "refused ENOTFOUND\nrefused ECONN%u+\n$", said)
    assert.is_true(names(result)["other.example"])
  end)

  with("npm", "installs from a registry that is allowed", function()
    disk.capture(([[cd %s/www && mkdir -p package npm && cd package &&
      printf '{"name":"left","version":"1.0.0"}' > package.json && cd .. &&
      tar -czf npm/left-1.0.0.tgz package && rm -rf package &&
      printf '{"name":"left","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"left",
        "version":"1.0.0","dist":{"tarball":"https://tls.example/npm/left-1.0.0.tgz"}}}}' > left]])
      :format(world.directory))
    local said = run("npm --registry https://tls.example/ install --no-audit --no-fund left && "
      .. "cat node_modules/left/package.json")
    assert.matches('"name":"left"', said)
    local refused, result = run("npm --registry https://registry.example/ --fetch-retries 0 "
      .. "install --no-audit --no-fund left")
    assert.matches("ENOTFOUND", refused)
    assert.is_true(names(result)["registry.example"])
  end)

  with("java", "fetches, and not from elsewhere", function()
    local said, result = run("java /Get.java http://plain.example/who http://other.example/who",
      { ["/Get.java"] = { data = [[
import java.net.*; import java.net.http.*;
public class Get { public static void main(String[] urls) throws Exception {
  for (String url : urls) try {
    var request = HttpRequest.newBuilder(URI.create(url)).build();
    System.out.print(HttpClient.newHttpClient().send(request,
      HttpResponse.BodyHandlers.ofString()).body());
  } catch (Exception e) { System.out.println("refused " + e); } } }]] } })
    assert.matches("^%- plain.example GET /who\nrefused [^\n]*\n$", said)
    assert.is_true(names(result)["other.example"])
  end)

  with("apt-get", "updates from a repository that is allowed", function()
    disk.capture("mkdir -p " .. world.directory .. "/www/deb")
    disk.write(world.directory .. "/www/deb/Packages", "Package: left\nVersion: 1.0\n"
      .. "Architecture: all\nMaintainer: x\nFilename: ./left.deb\nSize: 1\nSHA256: "
      .. ("0"):rep(64) .. "\nDescription: x\n")
    local said = run("echo 'deb [trusted=yes] http://plain.example/deb ./' "
      .. "> /etc/apt/sources.list; "
      .. "apt-get -o APT::Sandbox::User=root -o Dir::Etc::sourceparts=- update; "
      .. "apt-cache -o Dir::Etc::sourceparts=- show left")
    assert.matches("Package: left", said)
  end)
end)
