-- Web servers of sandboxes, from outside: curl, ab and a text browser.
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local programs = require("spec.support.programs")
local wire = require("spec.support.wire")

describe("a web server in a sandbox", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = programs.image(client, directory)
  end)
  teardown(function() stop() end)

  local SERVERS = {
    ["python's"] = [[cd /site && exec python3 -m http.server --bind 127.0.0.1 8000]],
    ["nginx"] = [[echo 'daemon off; master_process off; user root; pid /tmp/pid;
      error_log stderr; events { worker_connections 1000; }
      http { access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b;
        fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
        server { listen 127.0.0.1:8000; root /site; } }' > /tmp/conf
      exec nginx -e stderr -c /tmp/conf]],
  }

  -- An operation that serves /site, and its address.
  local function serve(command)
    local op = image:start{ shell = "umask 022\n" .. command, timeout = 600, files = {
      ["/site/index.html"] = { data = "<h1>Built in a <a href=page>sandbox</a></h1>\n" },
      ["/site/page"] = { data = ("line\n"):rep(20000) } } }
    local address = op:forward(8000)
    wire.eventually("the server", function()
      return disk.capture("curl -s -m 20 http://" .. address .. "/") ~= ""
    end)
    return op, address
  end

  for name, command in pairs(SERVERS) do
    it("is " .. name .. ": answers many at once, each of them", function()
      local op, address = serve(command)
      local report = disk.capture(("ab -q -n 300 -c 100 http://%s/page 2>&1"):format(address))
      assert.matches("Complete requests: +300\n", report)
      assert.matches("Failed requests: +0\n", report)
      assert.matches("HTML transferred: +30000000 bytes", report)
      assert.matches("Built in a <a", disk.capture("curl -s -m 20 http://" .. address .. "/"), 1,
        true)
      op:cancel()
    end)
  end

  it("keeps connections open, and gets what is sent to it", function()
    local op, address = serve(SERVERS.nginx)
    local report = disk.capture(("ab -q -k -n 2000 -c 20 http://%s/ 2>&1"):format(address))
    assert.matches("Keep%-Alive requests: +%d%d%d%d\n", report)
    assert.matches("Failed requests: +0\n", report)
    local code = disk.capture(("head -c 3000000 /dev/zero | curl -s -m 60 -o /dev/null"
      .. " -w '%%{http_code} %%{size_upload}' --data-binary @- http://%s/"):format(address))
    assert.matches("^4%d%d %d+$", code) -- 413 or 405: not accepted, and said so
    op:cancel()
  end)

  it("sends a gigabyte", function()
    local op, address = serve("truncate -s 1G /site/big; " .. SERVERS.nginx)
    assert.are.equal("200 1073741824", disk.capture(("curl -s -m 300 -o /dev/null"
      .. " -w '%%{http_code} %%{size_download}' http://%s/big"):format(address)))
    op:cancel()
  end)

  it("is seen in a browser", function()
    local op, address = serve(SERVERS.nginx)
    assert.matches("Built in a sandbox", disk.capture("w3m -dump http://" .. address .. "/"), 1,
      true)
    op:cancel()
  end)
end)
