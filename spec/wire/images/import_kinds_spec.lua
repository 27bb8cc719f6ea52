-- Files that other tools save as images, and files that are mistaken for images. The
-- import makes the right image, or says what the file is and what to do.
local registry = require("spec.support.registry")
local wire = require("spec.support.wire")

local IMAGE = [[
rm -rf root; mkdir -p root/bin root/etc root/usr; cp /bin/busybox root/bin/busybox
ln -s busybox root/bin/cat; echo %s > root/name
tree root > %s.tar; layers= ids=; layer %s.tar; finish
]]
local NAMED = [[
ref=org.opencontainers.image.ref.name
named() { entry manifest.v1+json ",\"annotations\":{\"$ref\":\"$1\"}$2"; }
platform() { printf ',"platform":{"os":"%s","architecture":"%s","variant":"%s"}' "$1" "$2" "$3"; }
]]

describe("contree-engine import", function()
  local engine, directory

  setup(function()
    engine = wire.start()
    directory = wire.run("mktemp -d")
    registry.make(directory, IMAGE:gsub("%%s", "one") .. [[
      tar -C oci -cf layout.tar .; gzip -k layout.tar
      for kind in oci docker; do
        skopeo --insecure-policy copy -q oci:oci $kind-archive:$kind.tar:a/b:1
      done
      skopeo --insecure-policy copy -q oci:oci dir:kept
      mkdir lxd; mv root lxd/rootfs; echo x > lxd/metadata.yaml; tar -C lxd -cf lxd.tar .
      mkdir evil; cp -r oci/index.json oci/oci-layout evil; ln -s "$PWD/oci/blobs" evil/blobs
      tar -C evil -cf evil.tar .]])
  end)
  teardown(function()
    engine:stop()
    wire.remove(directory)
  end)

  local function import(source, before)
    return wire.run(("cd %s && { %scontree-engine import %s --data-dir %s --socket %s 2>&1; }")
      :format(directory, before or "", source, engine.data, engine.path))
  end

  local function becomes(name, source, before)
    local said = import(source, before)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", said)
    local operation = engine:run{ image = said, command = "cat", args = { "/name" } }
    assert.are.equal("SUCCESS", operation.status, operation.error)
    assert.are.equal(name .. "\n", wire.bytes(operation.metadata.result.stdout))
    return said
  end

  local function refused(words, source, before)
    local said = import(source, before)
    assert(said:find(words, 1, true), said)
    assert.matches("^contree%-engine: ", said)
  end

  local function layout(commands) registry.make(directory, NAMED .. commands) end

  it("B7: knows an OCI layout in a tar, whatever it is called", function()
    for _, source in ipairs{ "layout.tar", "layout.tar.gz", "oci.tar", "oci-archive:oci.tar",
      "oci-archive:oci.tar:a/b:1", "docker-archive:oci.tar", "docker-archive:layout.tar" } do
      becomes("one", source)
    end
    becomes("one", "-", "gzip -dc layout.tar.gz | ")
  end)

  it("B7: knows what docker save writes, whatever it is called", function()
    for _, source in ipairs{ "docker.tar", "docker-archive:docker.tar", "oci-archive:docker.tar",
      "docker-archive:docker.tar:a/b:1" } do
      becomes("one", source)
    end
    refused("docker save NAME -o FILE", "-", "cat docker.tar | ")
  end)

  it("B7: says what is no saved image", function()
    becomes("one", "one.tar")
    refused("the tar of a root file system: contree-engine import", "docker-archive:one.tar")
    refused("is in the directory 'rootfs'", "lxd.tar")
    refused("skopeo copy dir:", "kept")
    refused("skopeo copy dir:", "oci:kept")
    refused("is no OCI layout. If it is a root file system: tar -C ", "oci:lxd/rootfs")
    refused("is no OCI layout. If it is a root file system: tar -C ", "lxd/rootfs")
    refused("blobs/sha256", "evil.tar") -- links in an archive are not followed
  end)

  it("B7: says what is no archive of an image", function()
    for bytes, words in pairs{ ["PK\\003\\004"] = "a zip archive", ["hsqs"] = "a squashfs",
      ["QFI\\373"] = "a disk of a virtual machine (qcow2)", ["!<arch>\\n"] = "a Debian package",
      ["<!DOCTYPE html>"] = "a web page", ["\\177ELF"] = "a program", ["#!/bin/sh"] = "a script",
      ['{"errors":[]}'] = "JSON", ["\\004\\042\\115\\030"] = "lz4" } do
      wire.run(("cd %s && { printf '%s'; head -c 3000 /dev/zero; } > odd"):format(directory, bytes))
      refused(words, "odd")
      refused(words, "-", "cat odd | ")
      refused(words, "docker-archive:odd")
    end
    -- These begin with zeros, as an empty tar does.
    for at, kind in pairs{ ["32769:CD001"] = "an ISO image", ["1080:S\\357"] = "an ext file system",
      ["512:EFI PART"] = "a disk with partitions" } do
      local offset, bytes = at:match("^(%d+):(.*)$")
      wire.run(("cd %s && rm odd && truncate -s 100K odd && printf '%s' | dd of=odd bs=1 seek=%s "
        .. "conv=notrunc status=none"):format(directory, bytes, offset))
      refused(kind, "odd")
    end
    wire.run(("cd %s && rm odd && truncate -s 100K odd"):format(directory))
    refused("it holds nothing", "odd")
  end)

  it("B7: knows several names of one image", function()
    layout(IMAGE:gsub("%%s", "names") .. 'index "$(named latest),$(named v1),$(named v1.2)"')
    local image = becomes("names", "oci:oci")
    assert.are.equal(image, import("oci:oci:v1.2"))
    refused("no image of the name 'v2' (it has: latest, v1, v1.2)", "oci:oci:v2")
  end)

  it("B7: wants to know which of several images", function()
    layout(IMAGE:gsub("%%s", "first") .. 'a=$(named x:1 "$(platform linux $arch)"); '
      .. IMAGE:gsub("%%s", "second") .. 'b=$(named x:2 "$(platform linux $arch)"); index "$a,$b"')
    refused("no telling which is meant. Say DIR:NAME, with one of: x:1, x:2", "oci:oci")
    becomes("first", "oci:oci:x:1")
    becomes("second", "oci:oci:x:2")
  end)

  it("B7: finds this machine's image among variants and attestations", function()
    layout(IMAGE:gsub("%%s", "other") .. 'old="$(platform linux vax)"; '
      .. 'o=$(entry manifest.v1+json "$old"); n=$(entry manifest.v1+json '
      .. '"$(platform linux $arch v99)"); '
      .. 'u=$(entry manifest.v1+json "$(platform unknown unknown)"); '
      .. 's=$(entry manifest.v1+json ",\\"artifactType\\":\\"application/vnd.x\\""); '
      .. IMAGE:gsub("%%s", "mine") .. 'm=$(entry manifest.v1+json "$(platform linux $arch)"); '
      .. 'index "$u,$n,$s,$o,$m,$m"')
    becomes("mine", "oci:oci")
    layout(IMAGE:gsub("%%s", "other") .. 'index "$(entry manifest.v1+json "$(platform linux vax)"),'
      .. '$(entry manifest.v1+json "$(platform linux $arch v99)")"')
    refused("(it has: linux/vax, linux/", "oci:oci")
  end)
end)
