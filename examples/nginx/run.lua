-- The handlers of nginx.conf. The body of a POST is a script. It runs in its own
-- sandbox, which sees nothing but its image and has no network.
--
-- resty.contree returns nil, err instead of raising, because nginx logs a raised
-- error object as "unknown reason".
local cjson = require("cjson")
local contree = require("resty.contree")

local IMAGE = "busybox:latest"
local LANGUAGES = { sh = { "sh", "/code" }, awk = { "awk", "-f", "/code" } }
local SECONDS = 5
local PATIENCE = 2              -- seconds to wait for a sandbox; then 429
local OUTPUT = 65536            -- bytes that are kept of each stream

local run = {}

-- One client serves all requests of a worker. It connects when it is first used.
local client, problem = contree.new()

local function answer(status, value)
  ngx.status = status
  ngx.header.content_type = "application/json"
  ngx.say(cjson.encode(value))
end

-- The options for image:run, or nil when the request was refused.
local function wanted()
  if ngx.req.get_method() ~= "POST" then
    ngx.header.allow = "POST"
    return answer(405, { error = "POST the code" })
  end
  ngx.req.read_body()
  local code = ngx.req.get_body_data()
  if not code then return answer(400, { error = "the body is the code, and it is empty" }) end
  local argv = LANGUAGES[ngx.var.arg_lang or "sh"]
  if not argv then return answer(400, { error = "lang is sh or awk" }) end
  return {
    command = argv[1], args = { unpack(argv, 2) },
    files = { ["/code"] = { data = code } },
    timeout = SECONDS, queue_timeout = PATIENCE, truncate_output_at = OUTPUT, networking = false,
  }
end

function run.to_the_end()
  if not client then return contree.fail(problem) end
  local options = wanted()
  if not options then return end
  local result, err = client.images:use(IMAGE):run(options)
  if not result then return contree.fail(err) end
  answer(200, {
    stdout = result.stdout, stderr = result.stderr, exit_code = result.exit_code,
    timed_out = result.timed_out, truncated = result.stdout_truncated or result.stderr_truncated,
  })
end

function run.live()
  if not client then return contree.fail(problem) end
  local options = wanted()
  if not options then return end
  ngx.header.content_type = "text/plain"
  local function send(chunk)
    ngx.print(chunk)
    ngx.flush(true)
  end
  options.stdout, options.stderr = send, send
  local result, err = client.images:use(IMAGE):run(options)
  if not result then contree.fail(err) end -- cuts the output that is not the whole output
end

-- Server-sent events, for a page in a browser.
function run.events()
  if not client then return contree.fail(problem) end
  local options = wanted()
  if not options then return end
  local _, err = contree.stream(client.images:use(IMAGE), options)
  if err then contree.fail(err) end
end

return run
