/* import.h: makes images of the busybox of this machine, a tar archive, an OCI
 * layout, or what a registry has. All of it runs in a worker (or before the
 * loop), and leaves nothing behind when it fails. */
#ifndef CONTREE_TRANSPORT_IMPORT_H
#define CONTREE_TRANSPORT_IMPORT_H

#include "base/deadline.h"
#include "base/fault.h"
#include "base/ids.h"
#include "layer/layers.h"

#define BUSYBOX_TAG "busybox:latest"

/* What every import needs. */
struct importer {
    int dir_fd; /* the data directory */
    struct store *store;
    struct layers *layers;
    struct id_range ids;
};

/* The progress of an import. */
struct import_progress {
    const char *phase;    /* constant: "fetch" or "unpack" */
    int layer, of;        /* layers done, of how many */
    int64_t bytes, total; /* of the layers, compressed */
};

struct import_options {
    const char *tag;       /* given to the image; NULL: none */
    const char *operation; /* uuid of the operation, NULL: none */
    const char *file;      /* path of the archive, or NULL */
    const char *name;      /* which image of the archive, or NULL */
    bool saved;            /* refuse the tar of a root file system */
    int64_t max_bytes;     /* as in unpack_options */
    int64_t max_entries;
    struct deadline deadline;
    /* Called by the worker now and then; may be NULL. */
    void (*progress)(void *arg, const struct import_progress *p);
    void *progress_arg;
};

/* Open the static busybox of this machine for reading; *path is where it is. -1
 * and 503 with the fix if there is none. */
int busybox_open(const char **path, struct fault *f);

/* Make busybox:latest of that busybox, unless some image has the tag. */
int import_busybox(const struct importer *m, struct fault *f);

/* Make an image of the tar of a root file system (see unpack/unpack.h), with
 * one layer, durably. An archive that docker or skopeo saved is imported as
 * what it is, or refused with what to do. `out` may be NULL. Faults as in
 * unpack/unpack.h, and 400 for a malformed tag. */
int import_tar(const struct importer *m, int fd, const struct import_options *o,
               struct image *out, struct fault *f);

/* Make an image of the OCI layout in the directory `dir`. `name` is one of its
 * images; NULL: its only one for this machine. Every blob must match its
 * digest. Images share layers: a layer that was imported before, on top of the
 * same others, is not unpacked again. The image keeps its environment, working
 * directory and user. The same image again, with no other tag, is the one that
 * is here. 422 for a bad layout; else as import_tar. */
int import_layout(const struct importer *m, int dir, const char *name,
                  const struct import_options *o, struct image *out,
                  struct fault *f);

/* Make an image of `parent` and one layer more: what `fd` gives, a tar as the
 * layers of container images are (unpack/unpack.h), unpacked in the directory
 * `at` of the image, durably. All of `fd` is read, which may be a pipe: cancel
 * the import before the pipe ends if the archive is not complete. It has the
 * settings of the parent. An archive
 * without entries makes an image of the same layer. Faults as in
 * unpack/unpack.h. */
int import_layer(const struct importer *m, const struct image *parent, int fd,
                 const char *at, const struct import_options *o,
                 struct image *out, struct fault *f);

/* The same as import_layout() from a registry (http-api.md §8.7), through
 * skopeo. `url` is docker://HOST/NAME[:TAG]; a username of NULL or "" means no
 * login. 400 for a malformed url, 501 without skopeo, 502 with the words of
 * skopeo when it fails. */
int import_registry(const struct importer *m, const char *url,
                    const char *username, const char *password,
                    const struct import_options *o, struct image *out,
                    struct fault *f);

/* The same from docker-archive:FILE[:NAME] (of "docker save") or
 * oci-archive:FILE[:NAME]; an archive under the wrong of the two names is
 * taken, too. Not for remote clients: it reads files of this machine. */
int import_saved(const struct importer *m, const char *source,
                 const struct import_options *o, struct image *out,
                 struct fault *f);

#endif
