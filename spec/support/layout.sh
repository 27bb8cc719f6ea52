# Source this to make container images by hand, as an OCI layout in ./oci.
#   tree DIR            a tar of DIR on standard output, reproducible unless
#                       $mtime is empty
#   layer FILE          adds a layer: a tar, plain or compressed
#   finish [ENV...]     writes config, manifest and index; $cwd, $user, $arch
# The single steps, for malformed images: blob, entry, config, manifest, index.
blobs=oci/blobs/sha256
rm -rf oci
mkdir -p $blobs
layers='' ids='' cwd='' user='' mtime=@1
case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac

tree() {
  tar --sort=name ${mtime:+--mtime=$mtime} --sparse --format=pax --xattrs --xattrs-include='*' \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --numeric-owner -C "$1" -c .
}

digest() { sha256sum "$@" | cut -c1-64; }

# Copies FILE into the layout, and sets $hash and $size.
blob() {
  hash=$(digest "$1")
  size=$(stat -c %s "$1")
  cp "$1" "$blobs/$hash"
}

# Prints a descriptor of the last blob; TYPE is the end of its media type.
entry() {
  printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s%s}' \
    "$1" "$hash" "$size" "$2"
}

layer() {
  case $1 in
    *gz) id=$(gzip -dc "$1" | digest) type=layer.v1.tar+gzip ;;
    *zst) id=$(zstd -dcq "$1" | digest) type=layer.v1.tar+zstd ;;
    *) id=$(digest "$1") type=layer.v1.tar ;;
  esac
  ids="$ids${ids:+,}\"sha256:$id\""
  blob "$1"
  layers="$layers${layers:+,}$(entry $type)"
}

config() {
  env=''
  for v in "$@"; do env="$env${env:+,}\"$v\""; done
  printf '{"architecture":"%s","os":"linux","config":{"Env":[%s],"WorkingDir":"%s","User":"%s"},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$arch" "$env" "$cwd" "$user" "$ids" > config.json
  blob config.json
}

manifest() {
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
    "$(entry config.v1+json)" "$layers" > manifest.json
  blob manifest.json
}

index() {
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' \
    "$1" > oci/index.json
  printf '{"imageLayoutVersion":"1.0.0"}' > oci/oci-layout
}

finish() {
  config "$@"
  manifest
  index "$(entry manifest.v1+json)"
}
