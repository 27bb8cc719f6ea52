/* spec.h: what a client asks to run. */
#ifndef CONTREE_OPERATION_SPEC_H
#define CONTREE_OPERATION_SPEC_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/uuid.h"
#include "operation/mounts.h"
#include "operation/network_rules.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

/* Limits of requests; /whoami reports some of them. */
#define RUN_LAYER_BYTES INT64_C(12884901888)
enum {
    RUN_TIMEOUT = 60,
    RUN_TIMEOUT_MAX = 3600,
    RUN_QUEUE_MAX = 86400, /* seconds */
    BOX_IDLE = 300,
    BOX_TIMEOUT_MAX = 30 * 86400,
    RUN_TRUNCATE = 1 << 20,
    RUN_FILES_MAX = 4096,
    RUN_KEY_MAX = 255, /* bytes of an idempotency key */
    /* Bytes of a command line and its environment together. The kernel takes a
     * quarter of the stack. */
    RUN_STRINGS_MAX = 1536 * 1024
};

/* A terminal in place of the three standard streams. */
struct run_terminal {
    int64_t rows, columns; /* 0: none */
    const char *term;      /* the variable TERM, where `env` sets none */
};

enum { TERMINAL_SIDE_MAX = 10000, TERMINAL_NAME_MAX = 128 };

/* Strings are borrowed from the request's JSON, which `json` keeps alive. */
struct run_process {
    json_t *json;
    const char *command, *cwd;
    char *directory;          /* owns cwd */
    const json_t *args, *env; /* may be NULL */
    bool shell;
    const char *user; /* "name", "name:group", numbers; NULL: uid and gid */
    bool image_user;  /* take the user of the image */
    uint32_t uid, gid;
    bool has_gid;     /* otherwise the group of the user */
    char *stdin_data; /* decoded */
    size_t stdin_length;
    bool stdin_open; /* POST .../stdin sends more */
    struct run_terminal terminal;
    int64_t truncate;
    int64_t timeout; /* seconds; 0: none */
    bool held;       /* no process, but a sandbox that is held open: a box */
};

struct run_file {
    const char *given; /* borrowed from the request's JSON */
    char *path;        /* absolute and normal */
    char uuid[UUID_SIZE];
    uint32_t uid, gid, mode;
    const json_t *xattrs; /* borrowed: maps names to hexadecimal digits */
};

enum { RUN_XATTRS_MAX = 32 };
/* List the extended attributes of a file as `count` strings, names and values
 * in turn, borrowed from it. */
void run_file_xattrs(const struct run_file *file,
                     const char *strings[2 * RUN_XATTRS_MAX], size_t *count);

struct run {
    struct run_process process;
    const char *image, *hostname, *idempotency_key;
    bool disposable, preserve_env, networking;
    struct network_rules rules;
    enum tracing tracing; /* not NOTHING: what was connected is told, too */
    int64_t max_layer_bytes;
    double queue_timeout; /* seconds to wait for a sandbox; < 0: for ever */
    int64_t shm_bytes;    /* 0: the sandbox's default */
    bool image_etc;       /* the files in /etc are those of the image */
    double idle_timeout;  /* of a box, in seconds */
    struct limits limits; /* 0 each: the engine's default */
    struct run_file *files;
    size_t file_count;
    struct run_mounts mounts;
    /* The request as a JSON object with its defaults: the reply to the spawn,
     * and the metadata of the operation. */
    char *text;
};

void run_process_clear(struct run_process *p);
void run_clear(struct run *r);
/* Seconds that the start of the main process may take. */
int64_t run_start_limit(const struct run *r);
/* Return the bits ETC_... of the files in /etc that the run keeps or sends, for
 * struct sandbox_spec. */
unsigned run_image_etc(const struct run *r);

#endif
