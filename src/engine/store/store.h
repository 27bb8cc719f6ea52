/* store.h: the SQLite database of one data directory: images, tags, layers,
 * files, operations. Every function is thread-safe (one connection,
 * serialized). All writes are transactions in WAL mode that survive a kill -9
 * once the function returned, and a power cut once store_sync() returned. */
#ifndef CONTREE_STORE_STORE_H
#define CONTREE_STORE_STORE_H

#include "base/fault.h"
#include "base/uuid.h"
#include <stddef.h>
#include <stdint.h>

struct store;

/* Open or make DIR/contree.db below dir_fd: take the directory's lock, migrate
 * the schema, and mark operations that were running as FAILED ("the engine
 * stopped while this operation ran"). 409 "another contree-engine (pid N) uses
 * DIR" when the lock is taken. It is a flock on DIR/lock, which processes
 * forked after this call keep until they call exec, so start helpers before. */
struct store *store_open(int dir_fd, const char *dir, struct fault *f);
/* Whether the data directory and our lock in it still exist. Thread-safe. */
bool store_is_there(const struct store *s);
void store_close(struct store *s);
/* Free what is cached. Thread-safe. */
void store_trim(struct store *s);
/* Take the lock alone. Returns a descriptor, which holds it, or -1. */
int store_lock(int dir_fd, const char *dir, struct fault *f);
/* Write into the lock on which socket we serve. */
int store_announce(struct store *s, const char *socket, struct fault *f);
/* Read the path of the socket on which an engine serves DIR. False when it is
 * unknown. */
bool store_served_on(const char *dir, char *socket, size_t size);
/* Make all earlier writes survive a power cut. It may take milliseconds, so
 * call it in a worker; other callers of the store do not wait for it. */
int store_sync(struct store *s, struct fault *f);
/* Whether the write-ahead log has grown so much that a worker must call
 * store_checkpoint(). Only that copies the log to the database and shortens it;
 * other calls go on meanwhile. Cheap, any thread. */
bool store_checkpoint_due(struct store *s);
int store_checkpoint(struct store *s, struct fault *f);

#define TAG_SIZE 257

struct image {
    char uuid[UUID_SIZE];
    char tag[TAG_SIZE];        /* "" if untagged */
    char operation[UUID_SIZE]; /* the operation that made it, or "" */
    int64_t created;           /* microseconds since 1970 */
    int64_t size;              /* bytes of its own top layer */
    int64_t layer;             /* id of its top layer; 0: an empty image */
    char *env;                 /* JSON object of preserved variables, or NULL */
    char *cwd;                 /* where its commands run, or NULL: "/" */
    char *user;                /* the user who runs them, or NULL */
};
void image_clear(struct image *i); /* frees the strings */

/* A page of a list. `since`/`until` bound created (inclusive), 0: open. */
struct page {
    int64_t limit, offset, since, until;
};
struct image_filter {
    struct page page;
    bool tagged;
    const char *tag_prefix, *uuid_prefix; /* in lower case; NULL: any */
};

/* 404 when there is no such image. */
int store_image_by_uuid(struct store *s, const char *uuid, struct image *out,
                        struct fault *f);
int store_image_by_tag(struct store *s, const char *tag, struct image *out,
                       struct fault *f);
/* uuid or "tag:NAME", as spawn takes it (http-api.md §5.7). */
int store_image_resolve(struct store *s, const char *reference,
                        struct image *out, struct fault *f);
/* Newest first; an exact match of tag_prefix comes before all others. `env` is
 * left out (NULL). The visitor of this and the other lists returns false to
 * stop, and must not call the store: its lock is held. */
int store_image_list(struct store *s, const struct image_filter *filter,
                     bool (*visit)(void *arg, const struct image *i), void *arg,
                     struct fault *f);
/* Insert an image in one transaction. Its tag, unless "", is moved to it. The
 * tag of an image without an operation is public, see below. */
int store_image_add(struct store *s, const struct image *i, struct fault *f);
/* Move `tag` to the image. 400 malformed tag, 404 no image.
 *
 * An image that no operation made keeps the tag with which it came, its public
 * tag. Giving the image another tag, or the tag to another image, only hides
 * the public tag. The image can be found by it as long as no other image has
 * it. */
int store_tag_set(struct store *s, const char *uuid, const char *tag,
                  struct fault *f);
/* Remove `tag`, or the image's tag when NULL; 404 when it has none. A public
 * tag that was hidden by it shows again. A public tag itself is removed for
 * good. */
int store_tag_remove(struct store *s, const char *uuid, const char *tag,
                     struct fault *f);
/* 400 unless it is at most 256 of a-z 0-9 _ - and, between them and never two
 * in a row, the separators : / . (http-api.md §8.9). */
int tag_check(const char *tag, struct fault *f);

/* Layers. `parent` is 0 for a base layer. An id is never given out twice in a
 * data directory. The directory of layer N is layer_path(N), see
 * layer/layers.h. */
int store_layer_reserve(struct store *s, int64_t *id, struct fault *f);
/* Add the layer `id`, and the image `i` of it, in one transaction. */
int store_snapshot_add(struct store *s, int64_t id, int64_t parent,
                       int64_t size, const struct image *i, struct fault *f);
/* Every layer id, ascending. */
int store_layer_each(struct store *s, bool (*visit)(void *arg, int64_t id),
                     void *arg, struct fault *f);
/* Read the chain from `layer` down to its base, the top first. It has a
 * squashed layer in place of those that were squashed. The caller frees *ids.
 */
int store_layer_chain(struct store *s, int64_t layer, int64_t **ids,
                      size_t *count, struct fault *f);

/* A layer of a chain. The layer above it, or an image, refers to it as `name`.
 * Its files are in the directory of `id`. The two differ for a squashed layer:
 * `id` holds the files of `name` and of some layers below it. */
struct chain_layer {
    int64_t name, id;
    int64_t parent; /* the name of the next */
    int64_t size;   /* bytes */
    int level;      /* how often it was squashed, or LEVEL_LARGE */
};
enum { LEVEL_LARGE = 100 }; /* a layer of more than LARGE_BYTES */
#define LARGE_BYTES (INT64_C(64) << 20)
/* Like store_layer_chain(), with all about each layer. */
int store_layer_list(struct store *s, int64_t layer, struct chain_layer **list,
                     size_t *count, struct fault *f);
/* Add the squashed layer `id`. In the chains of all images it replaces the
 * first `count` layers of this chain. One transaction; 404 when they are gone.
 */
int store_layer_squash(struct store *s, int64_t id, int64_t size,
                       const struct chain_layer *chain, size_t count,
                       struct fault *f);

/* Find the layer of an earlier import, so that images share it. The key names
 * its content and that of all layers below (transport/oci.h). 0 found, 1
 * unknown, -1 failed. */
int store_imported_layer(struct store *s, const char *key, int64_t *layer,
                         struct fault *f);
/* Forget it, because its directory is lost. */
int store_imported_layer_forget(struct store *s, const char *key,
                                struct fault *f);

struct imported_layer {
    char key[72];
    int64_t id;   /* its reserved id; 0: it is empty, so its parent is used */
    int64_t size; /* bytes */
    bool base;    /* hides all that is below */
    bool known;   /* out: another import was first, and its layer is used */
};
/* Add layers, the lowest first, on top of `parent`, and an image of them, in
 * one transaction. `config` is the digest of the image's config. An existing
 * image with the same config and layers is used instead if it has the wanted
 * tag or none. *i becomes the image in the store. */
int store_import_add(struct store *s, int64_t parent,
                     struct imported_layer *layers, size_t count,
                     const char *config, struct image *i, struct fault *f);
/* Find an image with that config, whatever its tag. 404 when there is none. */
int store_image_by_config(struct store *s, const char *config,
                          struct image *out, struct fault *f);

struct stored_file {
    char uuid[UUID_SIZE];
    char sha256[65];
    int64_t size, created, updated;
};
int store_file_by_sha256(struct store *s, const char *sha256,
                         struct stored_file *out, struct fault *f);
int store_file_by_uuid(struct store *s, const char *uuid,
                       struct stored_file *out, struct fault *f);
/* Add a file, or find the one with the same content and touch its `updated`.
 * Lists have the newest first. */
int store_file_add(struct store *s, const char *sha256, int64_t size,
                   struct stored_file *out, struct fault *f);
int store_file_list(struct store *s, const struct page *page,
                    bool (*visit)(void *arg, const struct stored_file *x),
                    void *arg, struct fault *f);

/* A volume (layer/volumes.h). */
#define VOLUME_UNMEASURED INT64_C(-1)
struct stored_volume {
    char name[TAG_SIZE], directory[UUID_SIZE];
    int64_t created, used; /* microseconds; 0: no run has used it */
    int64_t quota;         /* bytes; 0: none */
    int64_t size;          /* bytes, or VOLUME_UNMEASURED since it was used */
};
/* 404 when there is no such volume. */
int store_volume_get(struct store *s, const char *name,
                     struct stored_volume *out, struct fault *f);
/* 1: added; 0: there is one of that name. */
int store_volume_add(struct store *s, const struct stored_volume *v,
                     struct fault *f);
/* A run begins to use it: its size is not known any more. */
int store_volume_use(struct store *s, const struct stored_volume *v,
                     int64_t now, struct fault *f);
/* Note its size, unless another run has begun to use it since *v was read. */
int store_volume_measured(struct store *s, const struct stored_volume *v,
                          int64_t size, struct fault *f);
int store_volume_limit(struct store *s, const struct stored_volume *v,
                       int64_t quota, struct fault *f);
int store_volume_remove(struct store *s, const struct stored_volume *v,
                        struct fault *f);
/* Ordered by name. */
int store_volume_list(struct store *s,
                      bool (*visit)(void *arg, const struct stored_volume *v),
                      void *arg, struct fault *f);

/* An operation as stored (http-api.md §5.9 to §5.11). Strings may be NULL. From
 * the store `kind` and `status` are constants; operation_row_clear frees the
 * other strings. */
struct operation_row {
    char uuid[UUID_SIZE];
    const char *kind, *status; /* wire spelling */
    char *error;
    int64_t created, finished; /* microseconds; finished 0 while active */
    double consumed_cpu;       /* seconds */
    int64_t consumed_memory;   /* KiB */
    int64_t image_size;        /* bytes; -1 unknown */
    char image[UUID_SIZE], result_image[UUID_SIZE]; /* "" none */
    char *tag;                                      /* asked for by an import */
    char *metadata; /* JSON object: the request, without `result` */
    bool paused;    /* of an active operation; not stored */
};
void operation_row_clear(struct operation_row *o);
struct operation_filter {
    struct page page;
    const char *status, *kind; /* NULL: any */
};
int store_operation_add(struct store *s, const struct operation_row *o,
                        struct fault *f);
/* Write the final state and the event log in one transaction; 404 unknown
 * operation. uuid, kind, image and created do not change, metadata only when
 * not NULL. `log` has one JSON event per line, or is NULL when the log is in a
 * file (operation/events.h). */
int store_operation_finish(struct store *s, const struct operation_row *o,
                           const char *log, size_t log_length, struct fault *f);
/* Add an operation that has ended already, with its log, in one transaction.
 * For runs whose id was not reported before their end. */
int store_operation_record(struct store *s, const struct operation_row *o,
                           const char *log, size_t log_length, struct fault *f);
/* The same for one that may be lost in a power cut, at a fraction of the time:
 * it goes to a journal, and to the database before anybody looks for it. */
int store_operation_note(struct store *s, const struct operation_row *o,
                         const char *log, size_t log_length, struct fault *f);
/* How many were noted and are not in the database yet. Cheap, any thread. */
size_t store_unfolded(struct store *s);
/* Write them to it. It may take milliseconds, so call it in a worker. */
int store_fold(struct store *s, struct fault *f);
int store_operation_get(struct store *s, const char *uuid,
                        struct operation_row *out, struct fault *f);
/* Read the log. 404 unknown operation. *log is NULL when the log is in a file.
 * The caller frees *log. */
int store_operation_log(struct store *s, const char *uuid, char **log,
                        size_t *length, struct fault *f);
/* Newest first; `metadata` is left out (NULL). */
int store_operation_list(struct store *s, const struct operation_filter *filter,
                         bool (*visit)(void *arg,
                                       const struct operation_row *o),
                         void *arg, struct fault *f);

/* What the store knows of. Bytes of layers and volumes are of their contents,
 * those of logs are of logs in the database. */
struct store_totals {
    int64_t images, tagged, layers, layer_bytes, files, file_bytes, volumes,
        volume_bytes, operations, log_bytes;
};
/* Sums over all rows: call it in a worker. */
int store_totals(struct store *s, struct store_totals *out, struct fault *f);

#endif
