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

/* Opens or makes DIR/contree.db below dir_fd, takes the directory's lock (one
 * engine at a time: 409 "another contree-engine (pid N) uses DIR"), migrates
 * the schema, and marks operations that were running as FAILED ("the engine
 * stopped while this operation ran"). The lock is a flock on DIR/lock: a
 * process forked after this call and not replaced by exec keeps it, so start
 * helpers before. */
struct store *store_open(int dir_fd, const char *dir, struct fault *f);
/* Whether the data directory and our lock in it still exist. Thread-safe. */
bool store_is_there(const struct store *s);
void store_close(struct store *s);
/* Take the lock alone. Returns a descriptor, which holds it, or -1. */
int store_lock(int dir_fd, const char *dir, struct fault *f);
/* Write into the lock on which socket we serve. */
int store_announce(struct store *s, const char *socket, struct fault *f);
/* Read the socket's path of the engine that serves DIR. False: it is
 * unknown. */
bool store_served_on(const char *dir, char *socket, size_t size);
/* Makes all that was written so far survive a power cut. May take milliseconds:
 * call it in a worker; other callers of the store do not wait for it. */
int store_sync(struct store *s, struct fault *f);
/* Whether the log of changes has grown so much that a worker must call
 * store_checkpoint(). That folds it into the database while others go on;
 * nothing else shortens the log. Cheap, any thread. */
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
void image_clear(struct image *i); /* frees what it owns */

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
/* Inserts an image (i->uuid, layer, size, env, operation, created given; tag
 * moved to it when not "", and public if there is no operation) in one
 * transaction. */
int store_image_add(struct store *s, const struct image *i, struct fault *f);
/* Moves `tag` to the image. 400 malformed tag, 404 no image.
 *
 * Images that no operation made are public: the tag that they came with stays
 * theirs underneath. Another tag of theirs, or another image that gets the tag,
 * hides it only; an image is found by it as long as no other has it. */
int store_tag_set(struct store *s, const char *uuid, const char *tag,
                  struct fault *f);
/* Removes `tag`, or the image's tag when NULL; 404 when it has none. What the
 * tag hid is there again. A public tag that is nobody else's is removed for
 * good. */
int store_tag_remove(struct store *s, const char *uuid, const char *tag,
                     struct fault *f);
/* 400 unless it is at most 256 of a-z 0-9 _ - and, between them and never two
 * in a row, the separators : / . (http-api.md §8.9). */
int tag_check(const char *tag, struct fault *f);

/* Layers. `parent` is 0 for a base layer. An id is given out once in the life
 * of a data directory. The directory of layer N is layer_path(N), see
 * layer/layers.h.
 */
int store_layer_reserve(struct store *s, int64_t *id, struct fault *f);
/* Add the layer `id`, and the image `i` of it, in one transaction. */
int store_snapshot_add(struct store *s, int64_t id, int64_t parent,
                       int64_t size, const struct image *i, struct fault *f);
/* Every layer id, ascending. */
int store_layer_each(struct store *s, bool (*visit)(void *arg, int64_t id),
                     void *arg, struct fault *f);
/* The chain from `layer` down to its base, top first; caller frees *ids. A
 * squashed layer is there instead of those it stands for. */
int store_layer_chain(struct store *s, int64_t layer, int64_t **ids,
                      size_t *count, struct fault *f);

/* A layer of a chain. What is above it, or an image, knows it as `name`; what
 * it shows is in the directory of `id`. The two differ when `id` was squashed:
 * it shows what `name` and some layers below it show. */
struct chain_layer {
    int64_t name, id;
    int64_t parent; /* the name of the next */
    int64_t size;   /* bytes */
    int level;      /* squashed so many times, or LEVEL_LARGE */
};
enum { LEVEL_LARGE = 100 }; /* a layer of more than LARGE_BYTES */
#define LARGE_BYTES (INT64_C(64) << 20)
/* As store_layer_chain(), and all about each layer. */
int store_layer_list(struct store *s, int64_t layer, struct chain_layer **list,
                     size_t *count, struct fault *f);
/* Adds layer `id` that stands from now on for the first `count` of a chain, in
 * the chains of all images that have them. One transaction; 404 when they are
 * not there any more. */
int store_layer_squash(struct store *s, int64_t id, int64_t size,
                       const struct chain_layer *chain, size_t count,
                       struct fault *f);

/* Which layer an imported layer became, so that images share it. The key names
 * its content and that of all below (transport/oci.h). 0 found, 1 unknown, -1.
 */
int store_imported_layer(struct store *s, const char *key, int64_t *layer,
                         struct fault *f);
/* Its directory is lost. */
int store_imported_layer_forget(struct store *s, const char *key,
                                struct fault *f);

struct imported_layer {
    char key[72];
    int64_t id; /* its reserved id; 0: it is empty, a name for what is below */
    int64_t size; /* bytes */
    bool base;    /* hides all that is below */
    bool known;   /* out: another import was first, its layer is taken */
};
/* Adds layers, the lowest first, on top of `parent`, and the image of them, in
 * one transaction. `config` is the digest of its config: when there is an image
 * of the same config and layers already, and it has the tag that is asked for,
 * or none, that is the image; *i becomes what the store has. */
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

/* An operation as stored (http-api.md §5.9 to §5.11). Strings may be NULL. The
 * store hands out `kind` and `status` as constants that live for ever;
 * operation_row_clear frees the others. */
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
};
void operation_row_clear(struct operation_row *o);
struct operation_filter {
    struct page page;
    const char *status, *kind; /* NULL: any */
};
int store_operation_add(struct store *s, const struct operation_row *o,
                        struct fault *f);
/* Final state (all but uuid, kind, image and created; metadata only when not
 * NULL) and event log in one transaction; 404 unknown operation. `log` is the
 * whole event log, one JSON event per line, or NULL when it is in a file
 * (operation/events.h). */
int store_operation_finish(struct store *s, const struct operation_row *o,
                           const char *log, size_t log_length, struct fault *f);
/* Adds an operation that has ended already, with its log: both of the above in
 * one transaction, for runs that nobody could have asked about before. */
int store_operation_record(struct store *s, const struct operation_row *o,
                           const char *log, size_t log_length, struct fault *f);
int store_operation_get(struct store *s, const char *uuid,
                        struct operation_row *out, struct fault *f);
/* 404 unknown operation; *log NULL with 0 when the log is in a file. Caller
 * frees *log. */
int store_operation_log(struct store *s, const char *uuid, char **log,
                        size_t *length, struct fault *f);
/* Newest first; `metadata` is left out (NULL). */
int store_operation_list(struct store *s, const struct operation_filter *filter,
                         bool (*visit)(void *arg,
                                       const struct operation_row *o),
                         void *arg, struct fault *f);

#endif
