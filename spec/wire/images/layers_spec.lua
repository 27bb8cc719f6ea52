-- Random layers are put over one another. A sandbox must see the same tree as
-- containerd's archive.Apply makes, and as umoci does where the two agree
-- (spec/support/layers.py says where they do not). CONTREE_LAYER_PAIRS is how many pairs
-- there are (200); CONTREE_SEED repeats the same ones.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

local PAIRS = tonumber(os.getenv("CONTREE_LAYER_PAIRS")) or 200
local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()
local AT_A_TIME = 100

describe(("B5: %d pairs of layers, seed %d,"):format(PAIRS, SEED), function()
  local engine, directory, list
  local root = wire.run("id -u") == "0"

  setup(function()
    engine = wire.start()
    directory = wire.run("mktemp -d")
    list = wire.run("python3 spec/support/layers.py list")
  end)
  teardown(function()
    engine:stop()
    wire.remove(directory)
  end)

  local function run(command, ...)
    return wire.run(("( %s ) 2>&1 || echo failed"):format(command:format(...)))
  end

  local function import(layout)
    local said = run("contree-engine import oci:%s --data-dir %s --socket %s",
      layout, engine.data, engine.path)
    return assert(said:match("^%x+%-%x+%-%x+%-%x+%-%x+$"), said)
  end

  local function check(who, place, text)
    disk.write(place .. "/list", text)
    return run("python3 spec/support/layers.py check %s %s %s < %s/list",
      place, who, root and "" or "0", place)
  end

  -- Returns how some pairs differ from what they should be.
  local function differences(first, count)
    local place = directory .. "/" .. first
    assert.are.equal("", run("python3 spec/support/layers.py make %d %d %d %s",
      SEED, first, count, place))
    -- In every other batch the lowest layer was imported before.
    if first / AT_A_TIME % 2 == 1 then import(place .. "/lower") end
    local operation = engine:run(wire.shell(list, { image = import(place .. "/oci"),
      truncate_output_at = 2 ^ 26 }))
    assert.are.equal("SUCCESS", operation.status, operation.error)
    local result = operation.metadata.result
    assert.are.equal("", wire.bytes(result.stderr))
    local problems = check("contree", place, wire.bytes(result.stdout))
    run("cd %s && umoci unpack %s --image oci:latest bundle", place, root and "" or "--rootless")
    problems = problems .. check("umoci", place, run("cd %s/bundle/rootfs && %s", place, list))
    wire.remove(place)
    return problems
  end

  for first = 0, PAIRS - 1, AT_A_TIME do
    local count = math.min(AT_A_TIME, PAIRS - first)
    it(("%d to %d, show what they should"):format(first, first + count - 1), function()
      local problems = differences(first, count)
      assert(problems == "", ("CONTREE_SEED=%d: %s"):format(SEED, problems))
    end)
  end
end)
