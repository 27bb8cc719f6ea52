/* export.c: see export.h. */
#define _GNU_SOURCE
#include "transport/export.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pax.h"
#include "base/scope.h"
#include "base/tree.h"
#include "base/uuid.h"
#include "layer/layers.h"
#include "transport/oci.h"
#include "view/archive.h"
#include "view/owners.h"
#include "view/view.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define OCI "application/vnd.oci.image."

int export_resolve(struct store *s, const char *reference, struct image *out,
                   struct fault *f) {
    if (uuid_parse(reference, NULL) || strncmp(reference, "tag:", 4) == 0)
        return store_image_resolve(s, reference, out, f);
    return store_image_by_tag(s, reference, out, f);
}

/* ---- tar ---- */

/* An archive of an image has no entry for the root itself. */
static int write_root(struct view *v, int to, struct fault *f) {
    struct pax *p CLEANUP(cleanup_free) = malloc(sizeof *p);
    struct item root;
    if (!p)
        return fault_memory(f);
    if (inspect_stat(v, "/", false, &root, f) < 0)
        return -1;
    const struct pax_member m = {.name = ".",
                                 .st = &root.st,
                                 .user = view_user(v, root.st.st_uid),
                                 .group = view_group(v, root.st.st_gid)};
    pax_begin(p, to);
    if (pax_member(p, &m) == 0 && pax_flush(p) == 0)
        return 0;
    return fault_errno(f, "writing the archive");
}

static int write_tar(const struct importer *m, const struct image *i, int to,
                     enum archive_kind kind, struct fault *f) {
    const struct deadline deadline = {0, NULL};
    struct view *v = layers_view(m->dir_fd, m->store, i->layer, m->ids, f);
    int result = v ? inspect_can_archive(v, "/", kind, &deadline, f) : -1;
    if (result == 0)
        result = write_root(v, to, f);
    if (result == 0)
        result = inspect_archive(v, "/", to, &deadline, f);
    view_close(v);
    return result;
}

int export_tar(const struct importer *m, const struct image *i, int to,
               struct fault *f) {
    return write_tar(m, i, to, ARCHIVE_TAR, f);
}

/* ---- the layer ---- */

/* In a thread: read a tar from a pipe, digest it, compress it, digest that, and
 * write it. */
struct packer {
    int from, to;
    EVP_MD_CTX *plain, *packed;
    z_stream z;
    int64_t size; /* of the compressed bytes */
    struct fault fault;
    unsigned char in[1 << 18], out[1 << 18];
};

static int deflate_some(struct packer *p, size_t length, int flush) {
    p->z.next_in = p->in;
    p->z.avail_in = (unsigned)length;
    do {
        p->z.next_out = p->out;
        p->z.avail_out = sizeof p->out;
        deflate(&p->z, flush);
        size_t ready = sizeof p->out - p->z.avail_out;
        EVP_DigestUpdate(p->packed, p->out, ready);
        p->size += (int64_t)ready;
        if (write_all(p->to, p->out, ready) < 0)
            return fault_errno(&p->fault, "writing the layer");
    } while (p->z.avail_out == 0);
    return 0;
}

static void *pack(void *arg) {
    struct packer *p = arg;
    ssize_t n;
    while ((n = read(p->from, p->in, sizeof p->in)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fault_errno(&p->fault, "reading the archive");
        if (n < 0)
            break;
        EVP_DigestUpdate(p->plain, p->in, (size_t)n);
        if (deflate_some(p, (size_t)n, Z_NO_FLUSH) < 0)
            break;
    }
    if (!p->fault.status)
        deflate_some(p, 0, Z_FINISH);
    /* The writer of the pipe gets EPIPE from here on. */
    drop_fd(&p->from);
    return NULL;
}

/* Archive the image into the pipe of the packer, which runs in a thread. */
static int run_packer(struct packer *p, const struct importer *m,
                      const struct image *i, struct fault *f) {
    pthread_t thread;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fault_errno(f, "making a pipe");
    p->from = ends[0];
    if (pthread_create(&thread, NULL, pack, p) != 0) {
        close_fd(ends[0]);
        close_fd(ends[1]);
        return fault_set(f, 500, "cannot start a thread for the archive");
    }
    int result = write_tar(m, i, ends[1], ARCHIVE_LAYER, f);
    close_fd(ends[1]);
    pthread_join(thread, NULL);
    if (!p->fault.status)
        return result;
    *f = p->fault; /* it made the archive fail */
    return -1;
}

static void finish_digest(EVP_MD_CTX *c, char out[DIGEST_SIZE]) {
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(c, hash, NULL);
    digest_print(hash, out);
}

static int pack_layer(struct packer *p, const struct importer *m,
                      const struct image *i, struct oci_layer *out,
                      struct fault *f) {
    p->plain = EVP_MD_CTX_new();
    p->packed = EVP_MD_CTX_new();
    bool zlib = deflateInit2(&p->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16,
                             8, Z_DEFAULT_STRATEGY) == Z_OK;
    int result = -1;
    if (zlib && p->plain && p->packed &&
        EVP_DigestInit_ex(p->plain, EVP_sha256(), NULL) &&
        EVP_DigestInit_ex(p->packed, EVP_sha256(), NULL))
        result = run_packer(p, m, i, f);
    else
        fault_memory(f);
    if (result == 0) {
        finish_digest(p->plain, out->diff_id);
        finish_digest(p->packed, out->blob.digest);
        out->blob.size = p->size;
    }
    if (zlib)
        deflateEnd(&p->z);
    EVP_MD_CTX_free(p->plain);
    EVP_MD_CTX_free(p->packed);
    return result;
}

static int make_file(int dir, const char *name, struct fault *f) {
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return fd < 0 ? fault_errno(f, "making %s", name) : fd;
}

static int write_layer(int blobs, const struct importer *m,
                       const struct image *i, struct oci_layer *out,
                       struct fault *f) {
    static const char temporary[] = "layer";
    struct packer *p = calloc(1, sizeof *p);
    int fd CLEANUP(cleanup_close) = make_file(blobs, temporary, f);
    int result = -1;
    if (!p)
        fault_memory(f);
    else if (fd >= 0) {
        p->to = fd;
        result = pack_layer(p, m, i, out, f);
    }
    free(p);
    if (result == 0 &&
        renameat(blobs, temporary, blobs, oci_hex(&out->blob)) < 0)
        return fault_errno(f, "naming the layer");
    return result;
}

/* ---- what describes it ---- */

static int write_file(int dir, const char *name, const struct buffer *b,
                      struct fault *f) {
    int fd CLEANUP(cleanup_close) = make_file(dir, name, f);
    if (fd < 0)
        return -1;
    if (b->failed)
        return fault_memory(f);
    if (write_all(fd, b->data, b->length) == 0)
        return 0;
    return fault_errno(f, "writing %s", name);
}

/* End a document and write it as a blob. */
static int write_blob(int blobs, struct buffer *b, struct oci_blob *out,
                      struct fault *f) {
    json_close(b, '}');
    json_end(b);
    out->size = (int64_t)b->length;
    digest_of(b->failed ? "" : b->data, b->length, out->digest);
    int result = write_file(blobs, oci_hex(out), b, f);
    buffer_free(b);
    return result;
}

static void write_env(struct buffer *b, const char *env) {
    json_t *object = env ? json_loads(env, 0, NULL) : NULL;
    const char *name;
    json_t *value;
    json_open(b, "Env", '[');
    json_object_foreach(object, name, value) {
        char *text = NULL;
        if (json_is_string(value) &&
            asprintf(&text, "%s=%s", name, json_string_value(value)) >= 0)
            json_add_string(b, NULL, text);
        free(text);
    }
    json_close(b, ']');
    json_decref(object);
}

static int write_config(int blobs, const struct image *i,
                        const struct oci_layer *l, struct oci_blob *out,
                        struct fault *f) {
    struct buffer b;
    buffer_init(&b, OCI_JSON_MAX);
    json_open(&b, NULL, '{');
    json_add_time(&b, "created", i->created);
    json_add_string(&b, "architecture", oci_architecture());
    json_add_string(&b, "os", "linux");
    json_open(&b, "config", '{');
    write_env(&b, i->env);
    if (i->cwd)
        json_add_string(&b, "WorkingDir", i->cwd);
    if (i->user)
        json_add_string(&b, "User", i->user);
    json_close(&b, '}');
    json_open(&b, "rootfs", '{');
    json_add_string(&b, "type", "layers");
    json_open(&b, "diff_ids", '[');
    json_add_string(&b, NULL, l->diff_id);
    json_close(&b, ']');
    json_close(&b, '}');
    return write_blob(blobs, &b, out, f);
}

/* Write a descriptor, left open for more members. */
static void open_descriptor(struct buffer *b, const char *key, const char *type,
                            const struct oci_blob *blob) {
    json_open(b, key, '{');
    json_add_string(b, "mediaType", type);
    json_add_string(b, "digest", blob->digest);
    json_add_int(b, "size", blob->size);
}

static int write_manifest(int blobs, const struct oci_blob *config,
                          const struct oci_blob *layer, struct oci_blob *out,
                          struct fault *f) {
    struct buffer b;
    buffer_init(&b, OCI_JSON_MAX);
    json_open(&b, NULL, '{');
    json_add_int(&b, "schemaVersion", 2);
    json_add_string(&b, "mediaType", OCI "manifest.v1+json");
    open_descriptor(&b, "config", OCI "config.v1+json", config);
    json_close(&b, '}');
    json_open(&b, "layers", '[');
    open_descriptor(&b, NULL, OCI "layer.v1.tar+gzip", layer);
    json_close(&b, '}');
    json_close(&b, ']');
    return write_blob(blobs, &b, out, f);
}

/* Write index.json and oci-layout last: they make it a layout. */
static int write_index(int dir, const struct image *i,
                       const struct oci_blob *manifest, struct fault *f) {
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    struct buffer b;
    buffer_init(&b, OCI_JSON_MAX);
    json_open(&b, NULL, '{');
    json_add_int(&b, "schemaVersion", 2);
    json_add_string(&b, "mediaType", OCI "index.v1+json");
    json_open(&b, "manifests", '[');
    open_descriptor(&b, NULL, OCI "manifest.v1+json", manifest);
    if (i->tag[0]) {
        json_open(&b, "annotations", '{');
        json_add_string(&b, "org.opencontainers.image.ref.name", i->tag);
        json_close(&b, '}');
    }
    json_close(&b, '}');
    json_close(&b, ']');
    json_close(&b, '}');
    json_end(&b);
    int result = write_file(dir, "index.json", &b, f);
    buffer_free(&b);
    buffer_init(&b, sizeof layout);
    buffer_add(&b, layout, sizeof layout - 1);
    if (result == 0)
        result = write_file(dir, "oci-layout", &b, f);
    buffer_free(&b);
    return result;
}

static int write_layout(int dir, int blobs, const struct importer *m,
                        const struct image *i, struct fault *f) {
    struct oci_layer layer = {.blob.size = 0};
    struct oci_blob config, manifest;
    if (write_layer(blobs, m, i, &layer, f) < 0 ||
        write_config(blobs, i, &layer, &config, f) < 0 ||
        write_manifest(blobs, &config, &layer.blob, &manifest, f) < 0)
        return -1;
    return write_index(dir, i, &manifest, f);
}

/* ---- the directory ---- */

static int see_entry(void *arg, int dir, const char *name,
                     const struct stat *st) {
    (void)arg;
    (void)dir;
    (void)name;
    (void)st;
    errno = ENOTEMPTY;
    return -1;
}

int export_oci(const struct importer *m, const struct image *i, const char *dir,
               struct fault *f) {
    bool made = mkdir(dir, 0777) == 0;
    int fd CLEANUP(cleanup_close) =
        open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault_path(f, "cannot make %s", dir);
    if (!made && tree_walk(fd, see_entry, NULL) < 0)
        return fault_set(f, 409, "%s is not an empty directory", dir);
    int result =
        mkdirat(fd, "blobs", 0777) < 0 || mkdirat(fd, "blobs/sha256", 0777) < 0
            ? fault_errno(f, "making %s/blobs", dir)
            : 0;
    int blobs CLEANUP(cleanup_close) =
        openat(fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (result == 0)
        result = write_layout(fd, blobs, m, i, f);
    if (result == 0)
        return 0;
    /* The directory was empty: remove all that is in it. */
    if (tree_delete(fd) != 0 || (made && rmdir(dir) < 0))
        log_line("what was written to %s could not be removed", dir);
    return -1;
}
