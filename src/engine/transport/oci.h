/* oci.h: what manifests and configs of container images say (OCI image
 * specification 1.1, and Docker's schema 2, which is the same in other words).
 * Nothing in them is believed before it was compared with its digest. */
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
    char diff_id[DIGEST_SIZE];  /* the digest of what is compressed in it */
    char chain_id[DIGEST_SIZE]; /* names this layer and all below it */
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

/* The words that images have for this machine: "amd64". */
const char *oci_architecture(void);

/* Reads a manifest into `out`: 0; or finds the manifest for this machine in an
 * index: 1, and `chosen` is filled. `name` (may be NULL): the one of that
 * name (org.opencontainers.image.ref.name). 422 for what is neither, or not a
 * container image; for a manifest that is a trap: other digests than SHA-256,
 * more than OCI_LAYERS_MAX layers, layers that are to be had elsewhere. */
int oci_read_manifest(const char *text, size_t length, const char *name,
                      struct oci_image *out, struct oci_blob *chosen,
                      struct fault *f);
/* Reads the config, which must be the one that the manifest names, and for
 * Linux on this machine: fills what is missing in `out`. */
int oci_read_config(const char *text, size_t length, struct oci_image *out,
                    struct fault *f);

/* Opens a blob of a layout (`blobs`: its directory blobs/sha256) that is what
 * its descriptor says. 422 when it is not there or something else. */
int oci_open_blob(int blobs, const struct oci_blob *b, const struct deadline *p,
                  struct fault *f);
/* The same, read into memory; the caller frees. */
char *oci_load_blob(int blobs, const struct oci_blob *b,
                    const struct deadline *p, struct fault *f);
/* The 64 digits. */
const char *oci_hex(const struct oci_blob *b);

#endif
