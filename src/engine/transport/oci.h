/* oci.h: reads manifests and configs of container images (OCI image
 * specification 1.1, and Docker's schema 2, which differs in media types only).
 * Nothing is used before its digest was checked. */
#ifndef CONTREE_TRANSPORT_OCI_H
#define CONTREE_TRANSPORT_OCI_H

#include "base/deadline.h"
#include "base/digest.h"
#include "base/fault.h"
#include <stdbool.h>
#include <stdint.h>

/* Linux takes 500 lower directories, and a run may add layers. */
enum { OCI_LAYERS_MAX = 450, OCI_JSON_MAX = 4 << 20 };

struct oci_blob {
    char digest[DIGEST_SIZE]; /* "sha256:" and 64 hexadecimal digits */
    int64_t size;
};

struct oci_layer {
    struct oci_blob blob;
    char diff_id[DIGEST_SIZE]; /* digest of the uncompressed tar */
    char key[DIGEST_SIZE];     /* identifies this layer and all below it */
};

struct oci_image {
    struct oci_blob config;
    struct oci_layer *layers; /* the lowest first */
    size_t layer_count;
    char *env;  /* JSON object, or NULL */
    char *cwd;  /* or NULL */
    char *user; /* or NULL */
};
void oci_image_clear(struct oci_image *i);

/* The architecture of this machine as images name it: "amd64". */
const char *oci_architecture(void);

/* Read a manifest into `out` and return 0; or find the manifest for this
 * machine in an index, fill `chosen` and return 1. `name` (may be NULL) picks
 * the entry of that name (org.opencontainers.image.ref.name). 422 for anything
 * else, and for a manifest with other digests than SHA-256, with more than
 * OCI_LAYERS_MAX layers, or with layers at other places. */
int oci_read_manifest(const char *text, size_t length, const char *name,
                      struct oci_image *out, struct oci_blob *chosen,
                      struct fault *f);
/* Read the config into `out`. It must match the digest in the manifest, and be
 * for Linux on this machine. */
int oci_read_config(const char *text, size_t length, struct oci_image *out,
                    struct fault *f);

/* Open a blob of a layout (`blobs`: its directory blobs/sha256). 422 if it is
 * missing or does not match its size and digest. */
int oci_open_blob(int blobs, const struct oci_blob *b, const struct deadline *p,
                  struct fault *f);
/* Read it into memory; the caller frees. */
char *oci_load_blob(int blobs, const struct oci_blob *b,
                    const struct deadline *p, struct fault *f);
/* The 64 hexadecimal digits. */
const char *oci_hex(const struct oci_blob *b);

#endif
