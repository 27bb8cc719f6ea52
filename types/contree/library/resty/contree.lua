---@meta resty.contree
-- Written by scripts/library --write from the annotations of lua/contree.
-- luacheck: ignore

---@class resty.contree : contree.safe for handlers of OpenResty
---@field silence number seconds without output after which a stream sends a comment, so that no proxy gives it up; 15 unless it is changed
local contree = {}

--- Answers the request for an error: 429 with `Retry-After` for rate_limited, 409 for conflict, 503, 504 or 502 when the engine or the service cannot be reached, 500 for everything else. The body is JSON with the `kind`; the message goes to nginx's log only. If part of an answer has been sent, the connection is cut, so that nobody takes the part for the whole. Does not return.
---     if not result then return contree.fail(err) end
---
--- Raises: nothing
---@param err contree.Error
function contree.fail(err) end

--- Runs a command and sends its output to the client while it is written, as server-sent events (`text/event-stream`, for a browser's EventSource): `stdout` and `stderr` with a JSON string each, at the end `exit` with `exit_code`, `signal`, `timed_out`, `limit`, `duration`, or `failed` with `kind`. Bytes that are no UTF-8 arrive as U+FFFD. Comments keep a silent stream open. When the client leaves, the run is cancelled. An EventSource that connects again is answered 204, so that nothing is run twice. An error before the command has begun (`rate_limited`, `not_found`) is returned, and nothing has been sent: `contree.fail` answers it.
---     local result, err = contree.stream(image, { shell = "make", queue_timeout = 2 })
---     if err then return contree.fail(err) end
---
--- Raises: misuse (as a string, which nginx logs)
---@param target contree.Image|contree.Session what runs it
---@param options contree.RunOptions|string as of run, without stdout and stderr; a string is the shell command
---@return contree.Result? result
---@return contree.Error? err
function contree.stream(target, options) end

return contree
