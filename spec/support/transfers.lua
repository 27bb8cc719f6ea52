-- Transfers to a peer, for the specs of contree.core.
local core = require("contree.core")
local disk = require("spec.support.disk")
local luassert = require("luassert")
local support = require("spec.support.core_peer")

local transfers = {}

--- All byte values, in a sequence that does not repeat soon.
function transfers.sample(size)
  local block = {}
  for i = 0, 255 do block[#block + 1] = string.char(i, 255 - i, (i * 7) % 256) end
  local text = table.concat(block)
  return text:rep(math.ceil(size / #text)):sub(1, size)
end

--- The error of a failed transfer, which must be of this kind.
function transfers.failure(kind, result)
  luassert.is_table(result.error, "no error")
  luassert.equal(kind, result.error.kind, result.error.message)
  luassert.is_string(result.error.message)
  luassert.is_true(#result.error.message > 0)
  return result.error
end

--- A peer, to be started and stopped by a describe(), and for each test a loop and an empty
--- directory, with functions that make requests.
function transfers.new()
  local at, peer, loop, directory = {}, nil, nil, nil

  function at.start()
    peer = support.start{tls = true}
    return peer
  end

  function at.stop() peer.stop() end

  function at.open()
    loop, directory = core.loop(), disk.directory()
    return loop, directory
  end

  function at.close()
    loop:close()
    os.execute("rm -rf '" .. directory .. "'")
  end

  function at.add(path, fields)
    return loop:add(peer.request(path, fields))
  end

  function at.run(path, fields, seconds)
    return support.finish(loop, at.add(path, fields), seconds)
  end

  function at.run_tcp(path, fields)
    local request = {url = peer.url .. path, proxy = ""}
    for key, value in pairs(fields or {}) do request[key] = value end
    return support.finish(loop, loop:add(request))
  end

  return at
end

return transfers
