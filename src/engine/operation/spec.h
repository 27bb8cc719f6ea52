/* spec.h: what a client asks to run. */
#ifndef CONTREE_OPERATION_SPEC_H
#define CONTREE_OPERATION_SPEC_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/uuid.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

/* What /whoami tells about, too. */
#define RUN_LAYER_BYTES INT64_C(12884901888)
enum {
    RUN_TIMEOUT = 60,
    RUN_TIMEOUT_MAX = 3600,
    RUN_QUEUE_MAX = 86400, /* seconds */
    RUN_TRUNCATE = 1 << 20,
    RUN_FILES_MAX = 4096,
    RUN_KEY_MAX = 255, /* bytes of an idempotency key */
    /* Bytes of a command line and its environment together. The kernel takes a
     * quarter of the stack. */
    RUN_STRINGS_MAX = 1536 * 1024
};

/* Strings are borrowed from the request's JSON, which `json` keeps alive. */
struct run_process {
    json_t *json;
    const char *command, *cwd;
    char *directory;          /* cwd, where it was given as a relative path */
    const json_t *args, *env; /* may be NULL */
    bool shell;
    const char *user; /* "name", "name:group", numbers; NULL: uid and gid */
    bool image_user;  /* what the image says, which is to be put in `user` */
    uint32_t uid, gid;
    bool has_gid;     /* else the group of the user */
    char *stdin_data; /* decoded */
    size_t stdin_length;
    bool stdin_open; /* more comes by POST .../stdin */
    int64_t truncate;
    int64_t timeout; /* seconds; 0 for subprocesses */
};

struct run_file {
    const char *given; /* borrowed from the request's JSON */
    char *path;        /* the same from the root on */
    char uuid[UUID_SIZE];
    uint32_t uid, gid, mode;
    const json_t *xattrs; /* borrowed, too: names to hexadecimal digits */
};

/* The extended attributes of a file as names and values in turn, borrowed from
 * it; `count` of them, at most RUN_XATTRS_MAX * 2. */
enum { RUN_XATTRS_MAX = 32 };
void run_file_xattrs(const struct run_file *file,
                     const char *strings[2 * RUN_XATTRS_MAX], size_t *count);

struct run {
    struct run_process process;
    const char *image, *hostname, *idempotency_key;
    bool disposable, preserve_env, networking;
    int64_t max_layer_bytes;
    double queue_timeout; /* seconds to wait for a sandbox; < 0: any time */
    int64_t shm_bytes;    /* 0: the sandbox's default */
    bool image_etc;       /* no files of the engine's in /etc */
    struct limits limits; /* 0 each: the engine's default */
    struct run_file *files;
    size_t file_count;
    /* The request as a JSON object with its defaults filled in: the echo of the
     * spawn and the operation's metadata. */
    char *text;
};

void run_process_clear(struct run_process *p);
void run_clear(struct run *r);
/* As in struct sandbox_spec: all of them, or those that the run is sent. */
unsigned run_image_etc(const struct run *r);

#endif
