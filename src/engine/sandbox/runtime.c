#define _GNU_SOURCE
#include "sandbox/runtime.h"
#include "base/buffer.h"
#include "base/json.h"
#include "init/protocol.h"
#include "init/walls.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_MAX = 1 << 16 };

/* ---- finding it ---- */

static bool is_program(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           access(path, X_OK) == 0;
}

static bool search(const char *name, char path[PATH_MAX]) {
    const char *dir = getenv("PATH");
    while (dir && *dir) {
        size_t length = strcspn(dir, ":");
        snprintf(path, PATH_MAX, "%.*s/%s", (int)length, dir, name);
        if (*dir == '/' && is_program(path))
            return true;
        dir += length + (dir[length] == ':');
    }
    return false;
}

/* Every machine has at least one of these, and no runtime needs them. */
static const char *find_stage(const char *path) {
    static const char *const dirs[] = {"/mnt", "/media", "/srv", "/tmp"};
    char program[PATH_MAX];
    if (!realpath(path, program))
        return NULL;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        struct stat st;
        size_t length = strlen(dirs[i]);
        bool inside =
            strncmp(program, dirs[i], length) == 0 && program[length] == '/';
        if (!inside && lstat(dirs[i], &st) == 0 && S_ISDIR(st.st_mode))
            return dirs[i];
    }
    return NULL;
}

/* The engine makes the control groups, so the runtime must make none. */
static const char *own_option(const char *name) {
    return strstr(name, "crun") ? "--cgroup-manager=disabled" : NULL;
}

/* Symbolic links are not resolved: crun is krun under that name. */
static bool locate(const char *name, char path[PATH_MAX]) {
    if (!strchr(name, '/'))
        return search(name, path);
    if (*name != '/')
        return realpath(name, path) && is_program(path);
    return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && is_program(path);
}

int runtime_find(const char *name, struct runtime *out, struct fault *f) {
    *out = (struct runtime){.name = NULL};
    if (!locate(name, out->path))
        return fault_set(f, 503,
                         "there is no runtime \"%.200s\"%s. Fix: sudo apt-get "
                         "install crun, or name another OCI runtime's program, "
                         "or \"" RUNTIME_NATIVE "\"",
                         name, strchr(name, '/') ? "" : " in PATH");
    out->name = strrchr(out->path, '/') + 1;
    out->option = own_option(out->name);
    out->stage = find_stage(out->path);
    if (!out->stage)
        return fault_set(f, 503,
                         "a runtime needs a directory to mount images in: "
                         "make /mnt");
    return 0;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 &&
           one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

bool runtime_is(const struct runtime *r, const char *name) {
    if (!r)
        return strcmp(name, RUNTIME_NATIVE) == 0;
    return strchr(name, '/') ? is_same_file(name, r->path)
                             : strcmp(name, r->name) == 0;
}

/* ---- config.json ---- */

static void add_strings(struct buffer *b, const char *key,
                        const char *const *list, size_t count,
                        const char *prefix) {
    json_open(b, key, '[');
    for (size_t i = 0; i < count; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s%s", prefix, list[i]);
        json_add_string(b, NULL, text);
    }
    json_close(b, ']');
}

#define ADD_STRINGS(b, key, list, prefix)                                      \
    add_strings(b, key, list, sizeof list / sizeof *list, prefix)

static void add_capabilities(struct buffer *b) {
#define NAME(capability) #capability,
    static const char *const names[] = {CAPABILITIES(NAME)};
#undef NAME
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    json_open(b, "capabilities", '{');
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        ADD_STRINGS(b, sets[i], names, "");
    json_close(b, '}');
}

static void add_process(struct buffer *b) {
    static const char *const args[] = {RUNTIME_INIT_PROGRAM,
                                       RUNTIME_INIT_ARGUMENT};
    json_open(b, "process", '{');
    json_add_bool(b, "terminal", false);
    json_open(b, "user", '{');
    json_add_int(b, "uid", 0);
    json_add_int(b, "gid", 0);
    json_close(b, '}');
    ADD_STRINGS(b, "args", args, "");
    json_add_string(b, "cwd", "/");
    /* Else crun reads the image's /etc/passwd, whatever that is. */
    json_open(b, "env", '[');
    json_add_string(b, NULL, "HOME=/");
    json_close(b, ']');
    add_capabilities(b);
    json_add_bool(b, "noNewPrivileges", true);
    json_close(b, '}');
}

/* `options` are separated by commas. */
static void add_mount(struct buffer *b, const char *destination,
                      const char *type, const char *source,
                      const char *options) {
    json_open(b, NULL, '{');
    json_add_string(b, "destination", destination);
    json_add_string(b, "type", type);
    json_add_string(b, "source", source);
    json_open(b, "options", '[');
    while (*options) {
        size_t length = strcspn(options, ",");
        json_add_text(b, NULL, options, length);
        options += length + (options[length] == ',');
    }
    json_close(b, ']');
    json_close(b, '}');
}

static void add_shm(struct buffer *b, int64_t bytes) {
    char options[96], size[24] = SHM_SIZE;
    if (bytes > 0)
        snprintf(size, sizeof size, "%" PRId64, bytes);
    snprintf(options, sizeof options,
             "nosuid,noexec,nodev,mode=1777,size=%s,nr_inodes=16k", size);
    add_mount(b, "/dev/shm", "tmpfs", "shm", options);
}

static void add_mounts(struct buffer *b, const struct runtime *r,
                       int64_t shm_bytes, struct id_range ids,
                       bool fixed_proc) {
    char sys[64];
    const char *terminals = "nosuid,noexec,newinstance," TERMINALS_OPTIONS;
    char with_group[80];
    snprintf(sys, sizeof sys, "%s/" RUNTIME_SYS, r->stage);
    snprintf(with_group, sizeof with_group, "%s,gid=5", terminals);
    json_open(b, "mounts", '[');
    add_mount(b, "/proc", "proc", "proc",
              fixed_proc ? "ro,nosuid,noexec,nodev" : "nosuid,noexec,nodev");
    /* Only the owner of the network namespace may mount a new /sys. */
    add_mount(b, "/sys", "bind", sys, "rbind,ro,nosuid,noexec,nodev");
    add_mount(b, "/dev", "tmpfs", "tmpfs",
              "ro,nosuid,noexec,strictatime,mode=755,size=64k");
    add_mount(b, "/dev/pts", "devpts", "devpts",
              ids.count > 1 ? with_group : terminals);
    add_shm(b, shm_bytes);
    add_mount(b, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    json_close(b, ']');
}

static void add_linux(struct buffer *b) {
    static const char *const hidden[] = {PROC_HIDDEN_FILES, PROC_HIDDEN_DIRS};
    static const char *const fixed[] = {PROC_READ_ONLY};
    static const char *const namespaces[] = {"mount", "pid", "ipc", "uts"};
    json_open(b, "linux", '{');
    json_open(b, "namespaces", '[');
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        json_open(b, NULL, '{');
        json_add_string(b, "type", namespaces[i]);
        json_close(b, '}');
    }
    json_close(b, ']');
    ADD_STRINGS(b, "maskedPaths", hidden, "/proc/");
    ADD_STRINGS(b, "readonlyPaths", fixed, "/proc/");
    json_close(b, '}');
}

char *runtime_config(const struct runtime *r, const char *hostname,
                     int64_t shm_bytes, struct id_range ids, bool fixed_proc) {
    struct buffer b;
    char root[64];
    snprintf(root, sizeof root, "%s/" RUNTIME_ROOT, r->stage);
    buffer_init(&b, CONFIG_MAX);
    json_open(&b, NULL, '{');
    json_add_string(&b, "ociVersion", "1.0.2");
    add_process(&b);
    json_open(&b, "root", '{');
    json_add_string(&b, "path", root);
    json_close(&b, '}');
    json_add_string(&b, "hostname", hostname);
    add_mounts(&b, r, shm_bytes, ids, fixed_proc);
    add_linux(&b);
    json_close(&b, '}');
    json_end(&b);
    return buffer_take(&b);
}
