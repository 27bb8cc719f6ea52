--- An image with a few programs of this machine, for specs that need more than busybox has.
local disk = require("spec.support.disk")

local programs = {}

-- The programs, and what they read besides their libraries.
local SCRIPT = [=[
set -eu
root=$(mktemp -d)
mkdir -p "$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/etc" "$root/root" "$root/bin"
chmod 1777 "$root/tmp"
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
add() {
  for file; do
    [ -e "$root$file" ] && continue
    mkdir -p "$root${file%/*}"
    cp -aL "$file" "$root$file"
  done
}
for name in bash sh less top tmux vim python3 nginx \
  seq stty tty sleep cat env truncate; do
  program=$(PATH=/usr/bin:/bin:/usr/sbin command -v "$name") || {
    echo "no $name here" >&2
    exit 1
  }
  add "$(readlink -f "$program")" $(ldd "$(readlink -f "$program")" | grep -o '/[^ ]*')
  cp -aL "$program" "$root/bin/$name"
done
add /usr/lib/locale/C.utf8 /usr/share/terminfo /lib/terminfo
version=$(/usr/bin/python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
mkdir -p "$root/usr/lib/$version"
tar -C "/usr/lib/$version" --exclude=./test --exclude=./dist-packages --exclude=__pycache__ \
  --exclude='./config-*' -cf - . | tar -C "$root/usr/lib/$version" -xf -
add $(ldd /usr/lib/$version/lib-dynload/readline* | grep -o '/[^ ]*')
tar -C "$root" -cf "$1" .
rm -rf "$root"
]=]

--- bash, less, top, tmux, vim, python3 and nginx of this machine, as an image.
---@return contree.Image
function programs.image(client, directory)
  local script = disk.write(directory .. "/programs.sh", SCRIPT)
  local tar = directory .. "/programs.tar"
  local said = disk.capture(("sh %s %s 2>&1"):format(disk.quote(script), disk.quote(tar)))
  client:whoami() -- starts the engine
  local import = "contree-engine import %s --tag programs:here --data-dir %s/data 2>&1"
  said = said .. disk.capture(import:format(disk.quote(tar), directory))
  local ok, image = pcall(client.images.use, client.images, "programs:here", { strict = true })
  assert(ok, said)
  return image
end

return programs
