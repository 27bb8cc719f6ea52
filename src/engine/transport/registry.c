/* registry.c: imports images from registries (import.h), and pushes them. All
 * but the first manifest is asked for by digest, so the registry may change
 * meanwhile. Known layers are not fetched again. */
#define _GNU_SOURCE
#include "transport/registry.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/workspace.h"
#include "transport/export.h"
#include "transport/layout.h"
#include "transport/reference.h"
#include "transport/skopeo.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LAYOUT "oci"
#define BLOBS LAYOUT "/blobs/sha256"
/* The most bytes of a layout besides its layers. */
#define SLACK_BYTES (64LL << 20)
#define MAX_BYTES (12LL << 30)
#define SPARE_BYTES (256LL << 20)
/* A secret of this length is not a part of a word by chance. */
#define SECRET_ANYWHERE 8

int registry_check(const char *url, struct fault *f) {
    struct reference r;
    char path[PATH_MAX];
    return reference_parse(url, &r, f) < 0 ? -1 : skopeo_find(path, f);
}

/* ---- fetching ---- */

struct fetch {
    const struct importer *m;
    const struct import_options *o;
    struct fault *f;
    struct reference reference;
    struct skopeo skopeo;
    char pinned[REFERENCE_MAX + DIGEST_SIZE]; /* the manifest, by its digest */
    struct oci_image oci;
    size_t known;   /* how many of its layers are known */
    int64_t wanted; /* bytes of the other layers */
    struct import_progress progress;
};

static char *make_auth(const struct reference *r, const char *username,
                       const char *password) {
    char plain[2048], encoded[4096], *out = NULL;
    if (!username || !*username)
        return strdup("{}");
    int length = snprintf(plain, sizeof plain, "%s:%s", username, password);
    if (length < (int)sizeof plain) {
        EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)plain,
                        length);
        if (asprintf(&out, "{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}", r->host,
                     encoded) < 0)
            out = NULL;
    }
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(encoded, sizeof encoded);
    return out;
}

static int inspect(struct fetch *x, const char *what, const char *source,
                   struct buffer *out) {
    const char *args[8] = {"inspect", "--raw"};
    size_t n = 2;
    buffer_init(out, OCI_JSON_MAX);
    if (*what)
        args[n++] = what;
    if (x->reference.loopback)
        args[n++] = "--tls-verify=false";
    args[n++] = source;
    return skopeo_run(&x->skopeo, args, out, x->f);
}

static int pin(struct fetch *x, const char *digest) {
    snprintf(x->pinned, sizeof x->pinned, "%s@%s", x->reference.name, digest);
    return 0;
}

/* Read the manifest or index `source`, and pin it. 1: it is an index, and
 * `chosen` is its manifest for this machine. */
static int read_manifest(struct fetch *x, const char *source,
                         struct oci_blob *chosen) {
    struct buffer text;
    char digest[DIGEST_SIZE];
    int kind = inspect(x, "", source, &text);
    if (kind == 0) {
        const char *data = text.data ? text.data : "";
        digest_of(data, text.length, digest);
        pin(x, digest);
        kind =
            oci_read_manifest(data, text.length, NULL, &x->oci, chosen, x->f);
    }
    buffer_free(&text);
    return kind;
}

static int find_manifest(struct fetch *x) {
    struct oci_blob chosen;
    int kind = read_manifest(x, x->reference.full, &chosen);
    const char *digest = strrchr(x->pinned, '@');
    if (kind >= 0 && *x->reference.digest &&
        strcmp(digest + 1, x->reference.digest) != 0)
        return fault_set(
            x->f, 422,
            "bad image: it does not match the digest that was asked for");
    if (kind <= 0)
        return kind;
    pin(x, chosen.digest);
    char asked[sizeof x->pinned];
    memcpy(asked, x->pinned, sizeof asked);
    kind = read_manifest(x, asked, &chosen);
    if (kind == 0 && strcmp(asked, x->pinned) != 0)
        return fault_set(x->f, 422,
                         "bad image: its manifest is not what its digest "
                         "says");
    return kind <= 0
               ? kind
               : fault_set(x->f, 422, "bad image: an index within an index");
}

static int read_config(struct fetch *x) {
    struct buffer text;
    int result = inspect(x, "--config", x->pinned, &text);
    if (result == 0)
        result = oci_read_config(text.data ? text.data : "", text.length,
                                 &x->oci, x->f);
    buffer_free(&text);
    return result;
}

/* Put a file of the right size in the place of a blob that is not needed, so
 * that skopeo does not fetch it. */
static int leave_out(struct fetch *x, int blobs, const struct oci_blob *b) {
    for (size_t i = x->known; i < x->oci.layer_count; i++)
        if (strcmp(x->oci.layers[i].blob.digest, b->digest) == 0)
            return 0; /* another layer needs it */
    int fd CLEANUP(cleanup_close) =
        openat(blobs, oci_hex(b), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : ftruncate(fd, b->size);
}

static int plan(struct fetch *x) {
    struct statvfs v;
    int64_t most = x->o->max_bytes ? x->o->max_bytes : MAX_BYTES, top;
    if (import_known(x->m, &x->oci, &x->known, &top, x->f) < 0)
        return -1;
    for (size_t i = x->known; i < x->oci.layer_count; i++)
        x->wanted += x->oci.layers[i].blob.size;
    if (x->wanted > most)
        return fault_set(x->f, 413, "the image is larger than %lld bytes",
                         (long long)most);
    if (fstatvfs(x->skopeo.dir, &v) == 0 &&
        (int64_t)(v.f_bavail * v.f_frsize) < x->wanted + SPARE_BYTES)
        return fault_set(x->f, 507,
                         "the image's %lld bytes would fill the disk",
                         (long long)x->wanted);
    return 0;
}

static int make_layout(struct fetch *x) {
    if (mkdirat(x->skopeo.dir, LAYOUT, 0700) < 0 ||
        mkdirat(x->skopeo.dir, LAYOUT "/blobs", 0700) < 0 ||
        mkdirat(x->skopeo.dir, BLOBS, 0700) < 0)
        return fault_errno(x->f, "making a directory for the image");
    int blobs =
        openat(x->skopeo.dir, BLOBS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = blobs < 0 ? -1 : 0;
    for (size_t i = 0; i < x->known && result == 0; i++)
        result = leave_out(x, blobs, &x->oci.layers[i].blob);
    if (result == 0)
        return blobs;
    drop_fd(&blobs);
    return fault_errno(x->f, "making a directory for the image");
}

static int add_size(void *arg, int dir, const char *name,
                    const struct stat *st) {
    (void)dir;
    (void)name;
    *(int64_t *)arg += S_ISREG(st->st_mode) ? (int64_t)st->st_blocks * 512 : 0;
    return 0;
}

static bool is_there(int blobs, const struct oci_blob *b) {
    struct stat st;
    return fstatat(blobs, oci_hex(b), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Called while skopeo fetches: note the progress, and refuse more bytes than
 * the manifest says. */
static int watch(void *arg, struct fault *f) {
    struct fetch *x = arg;
    int64_t bytes = 0;
    int blobs CLEANUP(cleanup_close) =
        openat(x->skopeo.dir, BLOBS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A file may vanish meanwhile; the next call sees the rest. */
    if (blobs < 0 || tree_walk(x->skopeo.dir, add_size, &bytes) < 0)
        return 0;
    if (bytes > x->wanted + SLACK_BYTES)
        return fault_set(f, 413,
                         "the registry sends more than the image's %lld bytes",
                         (long long)x->wanted);
    x->progress.layer = 0;
    for (size_t i = 0; i < x->oci.layer_count; i++)
        x->progress.layer += is_there(blobs, &x->oci.layers[i].blob);
    if (bytes > x->progress.bytes)
        x->progress.bytes = bytes < x->wanted ? bytes : x->wanted;
    if (x->o->progress)
        x->o->progress(x->o->progress_arg, &x->progress);
    return 0;
}

static int copy_layers(struct fetch *x) {
    const char *args[8] = {"copy", "--quiet",
                           "--dest-oci-accept-uncompressed-layers"};
    size_t n = 3;
    if (x->reference.loopback)
        args[n++] = "--src-tls-verify=false";
    args[n++] = x->pinned;
    args[n++] = "oci:" LAYOUT ":image";
    x->skopeo.watch = watch;
    x->skopeo.arg = x;
    x->progress = (struct import_progress){
        .phase = "fetch", .of = (int)x->oci.layer_count, .total = x->wanted};
    if (watch(x, x->f) < 0) /* for progress events */
        return -1;
    return skopeo_run(&x->skopeo, args, NULL, x->f);
}

static int fetch_image(struct fetch *x, struct image *out) {
    if (find_manifest(x) < 0)
        return -1;
    int unknown = import_same(x->m, x->oci.config.digest, x->o, out, x->f);
    if (unknown <= 0)
        return unknown;
    if (read_config(x) < 0 || plan(x) < 0)
        return -1;
    int blobs CLEANUP(cleanup_close) = make_layout(x);
    if (blobs < 0 || (x->known < x->oci.layer_count && copy_layers(x) < 0))
        return -1;
    return import_oci(x->m, blobs, &x->oci, x->o, out, x->f);
}

/* ---- errors ---- */

/* Whether the `length` bytes at `p` are a word of their own. */
static bool is_word(const char *message, const char *p, size_t length) {
    return (p == message || !isalnum((unsigned char)p[-1])) &&
           !isalnum((unsigned char)p[length]);
}

/* A short secret may be a part of other words by chance. */
static void mask(char *message, const char *secret) {
    size_t length = secret ? strlen(secret) : 0;
    char *p = message;
    while (length && (p = strstr(p, secret))) {
        if (length >= SECRET_ANYWHERE || is_word(message, p, length)) {
            memset(p, '*', length);
            p += length;
        } else {
            p++;
        }
    }
}

static const char *hint(const char *message, bool anonymous) {
    if (strstr(message, "HTTP response to HTTPS client"))
        return " (plain HTTP is spoken with registries on loopback only)";
    if (strstr(message, "invalid reference format"))
        return " (this skopeo is too old for IPv6 addresses: give the host a "
               "name, such as one in /etc/hosts, or install a newer one)";
    if (!strstr(message, "unauthorized") &&
        !strstr(message, "authentication required") &&
        !strstr(message, "denied"))
        return "";
    return anonymous ? " (does it need registry.credentials?)"
                     : " (the registry refuses these registry.credentials)";
}

/* Say in one line what failed, and why. */
static void explain(struct fetch *x, const char *verb, const char *username,
                    const char *password) {
    struct fault *f = x->f;
    struct fault why = *f;
    if (f->status == 408)
        fault_set(f, 408, "the import took longer than its timeout allows");
    if (f->status != 502 && f->status != 422)
        return;
    mask(why.message, password);
    fault_set(f, why.status, "cannot %s %.150s: %.250s%s", verb,
              x->reference.full, why.message,
              hint(why.message, !username || !*username));
}

/* Run `work` with skopeo in a directory of its own. It is a workspace, so it is
 * removed even if the engine is killed. */
static int with_directory(struct fetch *x, const char *auth,
                          int (*work)(struct fetch *x, struct image *out),
                          struct image *out) {
    const struct import_options *o = x->o;
    struct workspace w;
    if (o->tag && tag_check(o->tag, x->f) < 0)
        return -1;
    if (workspace_take_for_import(x->m->layers, &w, x->f) < 0)
        return -1;
    int dir CLEANUP(cleanup_close) =
        openat(x->m->dir_fd, w.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    x->skopeo =
        (struct skopeo){.dir = dir, .auth = auth, .deadline = o->deadline};
    int result =
        dir < 0 ? fault_errno(x->f, "opening a workspace") : work(x, out);
    workspace_drop(x->m->layers, &w);
    oci_image_clear(&x->oci);
    return result;
}

int import_registry(const struct importer *m, const char *url,
                    const char *username, const char *password,
                    const struct import_options *o, struct image *out,
                    struct fault *f) {
    struct fetch x = {.m = m, .o = o, .f = f};
    if (reference_parse(url, &x.reference, f) < 0)
        return -1;
    char *auth = make_auth(&x.reference, username, password);
    if (!auth)
        return fault_set(f, 400, "these registry credentials are too long");
    int result = with_directory(&x, auth, fetch_image, out);
    if (result < 0)
        explain(&x, "import", username, password);
    explicit_bzero(auth, strlen(auth));
    free(auth);
    return result;
}

/* ---- archives ---- */

static int watch_disk(void *arg, struct fault *f) {
    struct fetch *x = arg;
    struct statvfs v;
    if (fstatvfs(x->skopeo.dir, &v) < 0 ||
        (int64_t)(v.f_bavail * v.f_frsize) > SPARE_BYTES)
        return 0;
    return fault_set(f, 507, "the image would fill the disk");
}

static int copy_archive(struct fetch *x, struct image *out) {
    const char *args[] = {"copy",
                          "--quiet",
                          "--dest-oci-accept-uncompressed-layers",
                          x->reference.full,
                          "oci:" LAYOUT ":image",
                          NULL};
    x->skopeo.watch = watch_disk;
    x->skopeo.arg = x;
    if (skopeo_run(&x->skopeo, args, NULL, x->f) < 0)
        return -1;
    int layout CLEANUP(cleanup_close) =
        openat(x->skopeo.dir, LAYOUT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return import_layout(x->m, layout, NULL, x->o, out, x->f);
}

int registry_import_archive(const struct importer *m,
                            const struct saved_archive *s,
                            const struct import_options *o, struct image *out,
                            bool *unreadable, struct fault *f) {
    struct fetch x = {.m = m, .o = o, .f = f};
    char *here CLEANUP(cleanup_free) = getcwd(NULL, 0);
    bool absolute = *s->file == '/' || !here; /* skopeo works elsewhere */
    *unreadable = false;
    int length =
        snprintf(x.reference.full, sizeof x.reference.full, "%s:%s%s%s%s%s",
                 s->scheme, absolute ? "" : here, absolute ? "" : "/", s->file,
                 s->name ? ":" : "", s->name ? s->name : "");
    if (length >= (int)sizeof x.reference.full)
        return fault_set(f, 400, "the name of the file is too long");
    if (with_directory(&x, "{}", copy_archive, out) == 0)
        return 0;
    *unreadable = f->status == 502;
    explain(&x, "import", NULL, NULL);
    return -1;
}

/* ---- pushing ---- */

static int push_image(struct fetch *x, struct image *image) {
    const char *args[8] = {"copy", "--quiet"};
    char path[64];
    size_t n = 2;
    snprintf(path, sizeof path, "/proc/self/fd/%d/" LAYOUT, x->skopeo.dir);
    if (export_oci(x->m, image, path, x->f) < 0)
        return -1;
    if (x->reference.loopback)
        args[n++] = "--dest-tls-verify=false";
    args[n++] = "oci:" LAYOUT;
    args[n++] = x->reference.full;
    return skopeo_run(&x->skopeo, args, NULL, x->f);
}

int registry_push(const struct importer *m, const struct image *i,
                  const char *url, const struct login *login,
                  const atomic_bool *cancelled, struct fault *f) {
    const struct import_options o = {.deadline = {0, cancelled}};
    struct fetch x = {.m = m, .o = &o, .f = f};
    struct image image = *i; /* with_directory() may fill it; we do not */
    if (reference_parse(url, &x.reference, f) < 0)
        return -1;
    if (*x.reference.digest)
        return fault_set(f, 400, "an image is pushed to a tag, not a digest");
    char *auth = make_auth(&x.reference, login->username, login->password);
    if (!auth)
        return fault_set(f, 400, "these registry credentials are too long");
    int result = with_directory(&x, auth, push_image, &image);
    if (result < 0)
        explain(&x, "push to", login->username, login->password);
    explicit_bzero(auth, strlen(auth));
    free(auth);
    return result;
}
