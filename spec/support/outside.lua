--- The outside of sandboxes, for specs of what they may reach: servers on this machine under
--- made-up names, with certificates of a made-up authority, and an image with this machine's
--- programs.
local disk = require("spec.support.disk")
local mime = require("mime")
local socket = require("socket")
local wire = require("spec.support.wire")

local outside = {}

--- What nginx says "yes" to: in X-Token, as a bearer's, or as the password of "me" (/token says
--- it, and each line of Outside:asked() ends with it).
outside.TOKEN = "t0ken-Value-of-32-bytes-987654321"

-- What each server answers. The first of each is the one of its address.
local NGINX = [[
daemon off;
user root;
worker_processes 1;
pid %(dir)/nginx.pid;
error_log %(dir)/error.log notice;
events { worker_connections 2048; }
http {
  client_body_temp_path %(dir)/body;
  proxy_temp_path %(dir)/proxy;
  fastcgi_temp_path %(dir)/fastcgi;
  uwsgi_temp_path %(dir)/uwsgi;
  scgi_temp_path %(dir)/scgi;
  types { }
  default_type application/octet-stream;
  ssl_certificate %(dir)/server.pem;
  ssl_certificate_key %(dir)/server.key;
  map_hash_bucket_size 256;
  map $ssl_server_name $sni { default $ssl_server_name; "" "-"; }
  map "$http_x_token$http_authorization" $known {
    default no;
    "%(token)" yes;
    "Bearer %(token)" yes;
    "Basic %(login)" yes;
  }
  log_format outside '$host $status "$request" $known';
  access_log %(dir)/access.log outside;
  server {
    listen 127.0.0.1:%(http);
    listen 127.0.0.1:%(https) ssl http2;
    client_max_body_size 0;
    root %(dir)/www;
    location = /who { return 200 "$sni $host $request_method $request_uri\n"; }
    location = /token { return 200 "$known\n"; }
    location /echo/ { return 200 "$request_method $request_uri\n"; }
    location = /to-metadata { return 302 http://169.254.169.254/latest/; }
    location = /to-private { return 302 http://127.0.0.1:%(http)/who; }
    location = /to-other { return 302 http://other.example/who; }
    location /simple/ { default_type text/html; }
    location / { autoindex on; }
  }
}
]]

local CERTIFICATES = [[
set -eu
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
  -subj /CN=outside -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \
  -keyout server.key -out server.csr
printf 'subjectAltName=DNS:plain.example,DNS:tls.example,DNS:other.example,DNS:*.sub.example\n' \
  > server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
  -extfile server.ext -out server.pem
]]

-- A root in which this machine's programs work once its /usr is mounted.
local IMAGE = [[
set -eu
root=$(mktemp -d)
cd "$root"
mkdir -p usr proc sys dev etc/ssl/certs etc/apt root tmp run home opt var/tmp \
  var/cache/apt/archives/partial var/lib/apt/lists/partial var/lib/dpkg
chmod 1777 tmp var/tmp
for each in bin sbin lib lib32 lib64 libx32; do
  [ ! -L /$each ] || ln -s usr/$each $each
done
cp /etc/passwd /etc/group /etc/ld.so.cache etc/
cp -a /etc/alternatives etc/
for each in /etc/java-*; do [ ! -d "$each" ] || cp -aL "$each" etc/; done
printf 'hosts: files dns\n' > etc/nsswitch.conf
: > var/lib/dpkg/status
cp "$1/ca.pem" etc/ssl/certs/ca-certificates.crt
cp "$1/ca.pem" "etc/ssl/certs/$(openssl x509 -hash -noout -in "$1/ca.pem").0"
cp /etc/ssl/openssl.cnf etc/ssl/ 2>/dev/null || true
if command -v keytool >/dev/null; then
  mkdir -p etc/ssl/certs/java
  keytool -importcert -noprompt -trustcacerts -alias outside -file "$1/ca.pem" \
    -keystore etc/ssl/certs/java/cacerts -storetype jks -storepass changeit
fi
tar -cf "$1/image.tar" .
rm -rf "$root"
]]

local Outside = {}
Outside.__index = Outside

local function sh(script, argument)
  local path = disk.write(os.tmpname(), script)
  local said = disk.capture(("sh %s %s 2>&1; echo :$?"):format(path, argument))
  os.remove(path)
  assert(said:match(":0%s*$"), said)
end

-- A port of 127.0.0.1 that is free now.
local function free_port()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  server:close()
  return tonumber(port)
end
outside.free_port = free_port

--- The reasons of what a run was refused, in order.
---@param result contree.Result
function outside.reasons(result)
  local list = {}
  for i, each in ipairs(result.denied) do list[i] = each.reason end
  return table.concat(list, " ")
end

--- Starts the servers.
---@return table self http and https (ports), directory
function outside.start()
  local self = setmetatable({ directory = disk.directory(), pids = {} }, Outside)
  self.http, self.https = free_port(), free_port()
  sh(CERTIFICATES, self.directory)
  disk.capture("mkdir -p " .. self.directory .. "/www")
  disk.write(self.directory .. "/www/hello", "hello\n")
  local values = { dir = self.directory, http = self.http, https = self.https,
    token = outside.TOKEN, login = mime.b64("me:" .. outside.TOKEN) }
  disk.write(self.directory .. "/nginx.conf", (NGINX:gsub("%%%((%w+)%)", values)))
  -- It is where users' shells do not look.
  self:spawn(('env PATH="$PATH:/usr/sbin" nginx -p %s -c %s/nginx.conf'):format(self.directory,
    self.directory))
  wire.eventually("nginx", function()
    local connection = socket.connect("127.0.0.1", self.https)
    if connection then connection:close() end
    return connection
  end)
  return self
end

--- Starts a program that ends with the servers; returns its process id.
function Outside:spawn(command)
  local pid = tonumber(disk.capture(("exec setsid %s >>%s/log 2>&1 & echo $!"):format(command,
    self.directory)))
  self.pids[#self.pids + 1] = pid
  return pid
end

local SERVE_TLS = [[
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/server.pem", sys.argv[1] + "/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
]]

--- Starts a server with TLS, and with a certificate for all names; returns its port.
---@param code string Python that imports http.server, ssl and sys, and has the class Handler
---@param ... string its arguments from sys.argv[2] on
function Outside:tls_server(code, ...)
  return self:python(code .. SERVE_TLS, self.directory, ...)
end

--- Starts a Python program that prints its port first; returns the port.
function Outside:python(code, ...)
  local name = ("%s/server%d"):format(self.directory, #self.pids)
  disk.write(name .. ".py", code)
  self:spawn(("sh -c 'exec python3 -u %s.py %s > %s.port'"):format(name,
    table.concat({ ... }, " "), name))
  return wire.eventually("a server", function()
    local file = io.open(name .. ".port")
    local port = file and file:read("*n")
    if file then file:close() end
    return port
  end)
end

--- Where names are dialled: `host` at the port with TLS, "plain." .. host at the one without.
function Outside:resolve(more)
  local names = { ["plain.example"] = "127.0.0.1:" .. self.http,
    ["tls.example"] = "127.0.0.1:" .. self.https, ["other.example"] = "127.0.0.1:" .. self.http }
  for name, address in pairs(more or {}) do names[name] = address end
  return names
end

--- What nginx was asked so far, a line a request.
function Outside:asked() return disk.read(self.directory .. "/access.log") end

--- An engine that trusts the servers, for home.client{ engine = { path = } }.
---@param before string? shell that runs before it
---@return string path
function Outside:engine(before)
  local path = disk.write(("%s/engine%d"):format(self.directory, #self.pids),
    ("#!/bin/sh\nexport SSL_CERT_FILE=%s/ca.pem\n%s\nexec contree-engine \"$@\"\n"):format(
      self.directory, before or ""))
  assert(os.execute("chmod +x " .. path))
  return path
end

--- An image in which this machine's programs run, with `mounts` of the result.
---@return contree.Image image, table mounts
function Outside:image(client, directory)
  sh(IMAGE, self.directory)
  client:whoami() -- starts the engine
  local said = disk.capture(("contree-engine import %s/image.tar --tag outside:here "
    .. "--data-dir %s/data 2>&1"):format(self.directory, directory))
  local ok, image = pcall(client.images.use, client.images, "outside:here", { strict = true })
  assert(ok, said)
  return image, { ["/usr"] = "/usr" }
end

function Outside:stop()
  for _, pid in ipairs(self.pids) do
    os.execute(("kill -TERM -- -%d 2>/dev/null || kill -TERM %d 2>/dev/null; %s"):format(pid, pid,
      disk.wait_for_end(pid)))
  end
  disk.remove(self.directory)
end

return outside
