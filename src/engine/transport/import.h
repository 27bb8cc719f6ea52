/* import.h: images from outside: the machine's busybox, a tar archive, an OCI
 * layout, a registry. All of it runs in a worker (or before the loop), and
 * leaves nothing behind when it fails. */
#ifndef CONTREE_TRANSPORT_IMPORT_H
#define CONTREE_TRANSPORT_IMPORT_H

#include "base/deadline.h"
#include "base/fault.h"
#include "base/ids.h"
#include "layer/layers.h"

/* What every import needs. */
struct importer {
    int dir_fd; /* the data directory */
    struct store *store;
    struct layers *layers;
    struct id_range ids;
};

/* How far an import is. */
struct import_progress {
    const char *phase;    /* a constant: "fetch", "unpack" */
    int layer, of;        /* done, and all */
    int64_t bytes, total; /* of the layers as they travel */
};

struct import_options {
    const char *tag;       /* moved to the image; NULL: none */
    const char *operation; /* uuid of the operation, NULL: none */
    const char *file;      /* where the archive is, as a path, or NULL */
    const char *name;      /* which image of an archive of several, or NULL */
    bool saved;            /* a root file system is not what was meant */
    int64_t max_bytes;     /* as in unpack_options */
    int64_t max_entries;
    struct deadline deadline;
    /* Told now and then, from the worker; may be NULL. */
    void (*progress)(void *arg, const struct import_progress *p);
    void *progress_arg;
};

/* The machine's static busybox, open for reading, and where it is. -1 and 503
 * with what to do when there is none. */
int busybox_open(const char **path, struct fault *f);

/* Makes busybox:latest of the machine's static busybox, unless some image has
 * that tag. 503 with what to do when there is no static busybox. */
int import_busybox(const struct importer *m, struct fault *f);

/* Makes an image of one layer of a root file system as tar (see
 * unpack/unpack.h), durably. What other programs saved is imported as what it
 * is, or refused with what to do. `out` may be NULL. Faults as in
 * unpack/unpack.h, and 400 for a malformed tag. */
int import_tar(const struct importer *m, int fd, const struct import_options *o,
               struct image *out, struct fault *f);

/* Makes an image of a container image: of an OCI layout in the directory `dir`
 * (`name`: which of its images, NULL if it has one for this machine). Every
 * blob must be what its digest says. Layers are shared between images: one that
 * was imported before, on top of the same others, is not unpacked again. The
 * image gets the environment and the working directory that its makers gave it.
 * All or nothing. The same image once more, unless it is to have another tag,
 * is the one that is here. 422 for what is not right; else as import_tar. */
int import_layout(const struct importer *m, int dir, const char *name,
                  const struct import_options *o, struct image *out,
                  struct fault *f);

/* The same from a registry (http-api.md §8.7), through skopeo. `url` is
 * docker://HOST/NAME[:TAG]; NULL or "" as username: anonymous. 400 for a url
 * that is none, 501 without skopeo, 502 with what skopeo says when it fails. */
int import_registry(const struct importer *m, const char *url,
                    const char *username, const char *password,
                    const struct import_options *o, struct image *out,
                    struct fault *f);

/* The same of what other programs saved: docker-archive:FILE[:NAME] ("docker
 * save"), oci-archive:FILE[:NAME]. One that is called the other is taken, too.
 *  Not for remote clients: it reads files of
 * this machine. */
int import_saved(const struct importer *m, const char *source,
                 const struct import_options *o, struct image *out,
                 struct fault *f);

#endif
