/* oci.c: images from OCI layouts and registries (import.h).
 *
 * Nothing in a layout is believed: a blob is what its digest says or the import
 * fails. The key under which a layer is shared is made of the digests of its
 * blob and of all blobs below, not of what the image's config claims to be in
 * them. */
#define _GNU_SOURCE
#include "import.h"
#include "skopeo.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Of the index, a manifest, a config. */
#define MAX_JSON (4 << 20)
/* Overlay takes 500 lower directories; runs add theirs. */
#define MAX_LAYERS 400
#define MAX_ENV (64 << 10)
#define HEX 65

struct layout {
    const struct importer *m;
    const struct import_options *o;
    struct fault *f;
    int dir;
    int64_t bytes, entries; /* unpacked so far */
};

static void cleanup_json(json_t **j) {
    json_decref(*j);
}

static int bad(struct layout *l, const char *why) {
    return fault_set(l->f, 422, "bad image: %s", why);
}

/* The hex of "sha256:HEX". */
static int parse_digest(struct layout *l, const json_t *text, char hex[HEX]) {
    const char *digest = json_string_value(text);
    if (!digest || strncmp(digest, "sha256:", 7) != 0 ||
        strlen(digest + 7) != HEX - 1 ||
        strspn(digest + 7, "0123456789abcdef") != HEX - 1)
        return bad(l, "a digest that is not sha256");
    memcpy(hex, digest + 7, HEX);
    return 0;
}

static int must_stop(struct layout *l) {
    if (l->o->cancelled && *l->o->cancelled)
        return fault_set(l->f, 409, "cancelled");
    if (l->o->deadline > 0 && monotonic_seconds() > l->o->deadline)
        return fault_set(l->f, 408, "the import took longer than allowed");
    return 0;
}

static void print_hex(const unsigned char *digest, char out[HEX]) {
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static int hash_file(struct layout *l, int fd, char out[HEX]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t size = 1 << 20;
    char *block CLEANUP(cleanup_free) = malloc(size);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = block && hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    ssize_t n = ok ? 1 : 0;
    int stopped = 0;
    for (int64_t at = 0; ok && n > 0 && !stopped; at += n) {
        n = pread(fd, block, size, at);
        ok = n >= 0 && EVP_DigestUpdate(hash, block, (size_t)n);
        stopped = must_stop(l);
    }
    ok = ok && EVP_DigestFinal_ex(hash, digest, NULL);
    EVP_MD_CTX_free(hash);
    if (stopped)
        return -1;
    if (!ok)
        return fault_errno(l->f, "hashing a blob");
    print_hex(digest, out);
    return 0;
}

/* Opens a blob that is what its digest says. */
static int open_blob(struct layout *l, const char *hex) {
    char path[120], found[HEX];
    struct stat st;
    snprintf(path, sizeof path, "oci/blobs/sha256/%s", hex);
    int fd CLEANUP(cleanup_close) =
        openat(l->dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return bad(l, "a blob is missing");
    if (hash_file(l, fd, found) < 0)
        return -1;
    if (strcmp(found, hex) != 0)
        return bad(l, "a blob is not what its digest says");
    return steal_fd(&fd);
}

static json_t *parse_json(struct layout *l, int fd) {
    char *text CLEANUP(cleanup_free) = malloc(MAX_JSON + 1);
    ssize_t length = text ? read_all(fd, text, MAX_JSON + 1) : -1;
    json_t *j = NULL;
    if (length >= 0 && length <= MAX_JSON)
        j = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(j)) {
        json_decref(j);
        bad(l, "its description is not JSON, or too large");
        return NULL;
    }
    return j;
}

static json_t *read_blob(struct layout *l, const json_t *descriptor) {
    char hex[HEX];
    if (parse_digest(l, json_object_get(descriptor, "digest"), hex) < 0)
        return NULL;
    int fd CLEANUP(cleanup_close) = open_blob(l, hex);
    return fd < 0 ? NULL : parse_json(l, fd);
}

/* The manifest that index.json names. An index in an index would be a choice
 * that whoever wrote the layout has made already. */
static json_t *read_manifest(struct layout *l) {
    int fd CLEANUP(cleanup_close) =
        openat(l->dir, "oci/index.json",
               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        bad(l, "it has no index.json");
        return NULL;
    }
    json_t *index CLEANUP(cleanup_json) = parse_json(l, fd);
    if (!index)
        return NULL;
    const json_t *manifests = json_object_get(index, "manifests");
    if (json_array_size(manifests) != 1) {
        bad(l, "it does not have one manifest");
        return NULL;
    }
    json_t *manifest = read_blob(l, json_array_get(manifests, 0));
    if (manifest && !json_is_array(json_object_get(manifest, "layers"))) {
        bad(l, "its manifest has no layers");
        json_decref(manifest);
        return NULL;
    }
    return manifest;
}

/* Key of a layer: SHA-256 of the key below and the blob's digest. */
static int next_key(struct layout *l, char key[HEX], const char *hex) {
    char text[2 * HEX];
    unsigned char digest[EVP_MAX_MD_SIZE];
    snprintf(text, sizeof text, "%s %s", key, hex);
    if (!EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL))
        return fault_set(l->f, 500, "SHA-256 failed");
    print_hex(digest, key);
    return 0;
}

static bool is_there(struct layout *l, int64_t layer) {
    char path[32];
    struct stat st;
    layer_path(layer, path);
    return fstatat(l->m->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int64_t left(int64_t limit, int64_t used) {
    return limit ? (limit > used ? limit - used : 1) : 0;
}

/* Unpacks a layer into a workspace. *base: it hides all that is below. */
static int unpack_into(struct layout *l, const struct workspace *w, int blob,
                       bool *empty, bool *base) {
    const struct import_options *o = l->o;
    const struct unpack_options unpack = {
        .ids = l->m->ids,
        .whiteouts = true,
        .max_bytes = left(o->max_bytes, l->bytes),
        .max_entries = left(o->max_entries, l->entries),
        .deadline = o->deadline,
        .cancelled = o->cancelled};
    struct unpack_result result;
    char value;
    int root CLEANUP(cleanup_close) =
        openat(l->m->dir_fd, w->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(l->f, "opening a workspace");
    if (unpack_tar(root, blob, &unpack, &result, l->f) < 0)
        return -1;
    l->bytes += result.bytes;
    l->entries += result.entries;
    *empty = result.entries == 0;
    /* Overlay does not look for this mark at the root. */
    *base = fgetxattr(root, "user.overlay.opaque", &value, 1) == 1;
    return 0;
}

/* Unpacks a layer on top of *layer, which becomes the new one. */
static int add_layer(struct layout *l, int blob, int64_t *layer) {
    struct workspace w;
    bool empty = true, base = false;
    if (workspace_take_for_import(l->m->layers, &w, l->f) < 0)
        return -1;
    int result = unpack_into(l, &w, blob, &empty, &base);
    if (result < 0 || empty) {
        workspace_drop(l->m->layers, &w);
        return result;
    }
    return workspace_publish(l->m->layers, &w, base ? 0 : *layer, layer, NULL,
                             l->f);
}

/* A layer that is known is taken, another unpacked. */
static int import_layer(struct layout *l, const json_t *descriptor,
                        char key[HEX], int64_t *layer) {
    char hex[HEX];
    int64_t known = 0;
    const char *type =
        json_string_value(json_object_get(descriptor, "mediaType"));
    if (type && !strstr(type, "tar"))
        return bad(l, "a layer is no tar archive: is this a container image?");
    if (parse_digest(l, json_object_get(descriptor, "digest"), hex) < 0 ||
        next_key(l, key, hex) < 0)
        return -1;
    int unknown = store_imported_layer(l->m->store, key, &known, l->f);
    if (unknown < 0)
        return -1;
    if (!unknown && (known == 0 || is_there(l, known))) {
        *layer = known;
        return 0;
    }
    int blob CLEANUP(cleanup_close) = open_blob(l, hex);
    if (blob < 0 || add_layer(l, blob, layer) < 0)
        return -1;
    return store_imported_layer_add(l->m->store, key, *layer, l->f);
}

static int import_layers(struct layout *l, const json_t *layers,
                         int64_t *layer) {
    char key[HEX] = "";
    size_t count = json_array_size(layers);
    if (count > MAX_LAYERS)
        return fault_set(l->f, 422, "bad image: %zu layers, more than %d",
                         count, MAX_LAYERS);
    *layer = 0;
    for (size_t i = 0; i < count; i++)
        if (must_stop(l) < 0 ||
            import_layer(l, json_array_get(layers, i), key, layer) < 0)
            return -1;
    return 0;
}

/* The config's variables as the JSON object that images hold, or NULL. */
static char *read_env(const json_t *config) {
    const json_t *list =
        json_object_get(json_object_get(config, "config"), "Env");
    json_t *env CLEANUP(cleanup_json) = json_object();
    size_t i, size = 0;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        const char *text = json_string_value(entry);
        const char *equals = text ? strchr(text, '=') : NULL;
        char *name CLEANUP(cleanup_free) =
            equals && equals > text ? strndup(text, (size_t)(equals - text))
                                    : NULL;
        size += text ? strlen(text) : 0;
        if (name && size <= MAX_ENV)
            json_object_set_new(env, name, json_string(equals + 1));
    }
    return json_object_size(env) ? json_dumps(env, JSON_COMPACT) : NULL;
}

static int import_all(struct layout *l, struct image *i) {
    json_t *manifest CLEANUP(cleanup_json) = read_manifest(l);
    if (!manifest)
        return -1;
    json_t *config CLEANUP(cleanup_json) =
        read_blob(l, json_object_get(manifest, "config"));
    if (!config ||
        import_layers(l, json_object_get(manifest, "layers"), &i->layer) < 0)
        return -1;
    i->env = read_env(config);
    if (store_layer_bytes(l->m->store, i->layer, &i->size, l->f) < 0 ||
        store_image_add(l->m->store, i, l->f) < 0)
        return -1;
    return store_sync(l->m->store, l->f);
}

int import_layout(const struct importer *m, int dir,
                  const struct import_options *o, struct image *out,
                  struct fault *f) {
    struct layout l = {.m = m, .o = o, .f = f, .dir = dir};
    struct image i = {.created = wall_microseconds()};
    if (o->tag && !tag_is_valid(o->tag))
        return fault_set(f, 400, "malformed tag '%.64s'", o->tag);
    snprintf(i.tag, sizeof i.tag, "%s", o->tag ? o->tag : "");
    snprintf(i.operation, sizeof i.operation, "%s",
             o->operation ? o->operation : "");
    uuid_ordered(i.uuid);
    int result = import_all(&l, &i);
    if (result == 0 && out) {
        *out = i;
        i.env = NULL;
    }
    image_clear(&i);
    return result;
}

int import_registry(const struct importer *m, const char *url,
                    const char *username, const char *password,
                    const struct import_options *o, struct image *out,
                    struct fault *f) {
    char source[512];
    struct workspace w;
    const struct skopeo_options fetch = {.username = username,
                                         .password = password,
                                         .max_bytes = o->max_bytes,
                                         .deadline = o->deadline,
                                         .cancelled = o->cancelled};
    if (o->tag && !tag_is_valid(o->tag))
        return fault_set(f, 400, "malformed tag '%.64s'", o->tag);
    if (skopeo_source(url, source, f) < 0 ||
        workspace_take_for_import(m->layers, &w, f) < 0)
        return -1;
    /* What is fetched goes the way of every workspace, even if we are killed.
     */
    int dir CLEANUP(cleanup_close) =
        openat(m->dir_fd, w.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = dir < 0 ? fault_errno(f, "opening a workspace")
                         : skopeo_fetch(dir, source, &fetch, f);
    if (result == 0)
        result = import_layout(m, dir, o, out, f);
    workspace_drop(m->layers, &w);
    return result;
}
