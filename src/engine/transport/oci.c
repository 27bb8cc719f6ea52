/* oci.c: see oci.h. */
#define _GNU_SOURCE
#include "transport/oci.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/ids.h"
#include "base/scope.h"
#include "view/item.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OCI "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."
#define REF_NAME "org.opencontainers.image.ref.name"
#define CONTAINERD_NAME "io.containerd.image.name"
/* The most bytes of one blob: as many as unpack/unpack.h allows. */
#define BLOB_MAX (12LL << 30)
#define ENV_MAX (256 << 10)

static void cleanup_json(json_t **j) {
    json_decref(*j);
}

static int bad(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

static int bad(struct fault *f, const char *format, ...) {
    char why[300];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return fault_set(f, 422, "bad image: %s", why);
}

void oci_image_clear(struct oci_image *i) {
    free(i->layers);
    free(i->env);
    free(i->cwd);
    free(i->user);
    *i = (struct oci_image){0};
}

const char *oci_hex(const struct oci_blob *b) {
    return b->digest + strlen("sha256:");
}

/* ---- the machine ---- */

static const struct machine {
    const char *kernel, *architecture, *variant;
} machines[] = {{"x86_64", "amd64", "v1"},     {"aarch64", "arm64", "v8"},
                {"armv7l", "arm", "v7"},       {"armv6l", "arm", "v6"},
                {"i686", "386", ""},           {"riscv64", "riscv64", ""},
                {"ppc64le", "ppc64le", ""},    {"s390x", "s390x", ""},
                {"loongarch64", "loong64", ""}};

static const struct machine *this_machine(void) {
    static const struct machine unknown = {"", "unknown", ""};
    struct utsname u;
    uname(&u);
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (strcmp(machines[i].kernel, u.machine) == 0)
            return &machines[i];
    return &unknown;
}

const char *oci_architecture(void) {
    return this_machine()->architecture;
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* Whether `j`, a platform of an index or a config, is for this machine. Absent
 * members fit. */
static bool is_ours(const json_t *j) {
    const char *os = text_of(j, "os"), *cpu = text_of(j, "architecture");
    return (!*os || strcmp(os, "linux") == 0) &&
           (!*cpu || strcmp(cpu, oci_architecture()) == 0);
}

enum { EXACT = 1000 };

/* How well a platform fits: EXACT, less for a variant of older processors, 0
 * not at all, such as a variant of newer ones. */
static int fitness(const json_t *platform) {
    const char *variant = text_of(platform, "variant");
    const char *ours = this_machine()->variant;
    if (!is_ours(platform))
        return 0;
    if (!*variant || strcmp(variant, ours) == 0)
        return EXACT;
    long theirs = *variant == 'v' ? strtol(variant + 1, NULL, 10) : 0;
    return *ours && theirs > 0 && theirs < strtol(ours + 1, NULL, 10)
               ? (int)theirs
               : 0;
}

/* ---- digests ---- */

static int read_digest(const char *text, char out[DIGEST_SIZE],
                       struct fault *f) {
    if (strncmp(text, "sha256:", 7) != 0 || strlen(text) != DIGEST_SIZE - 1 ||
        strspn(text + 7, "0123456789abcdef") != 64)
        return bad(f, "'%.80s' is not a SHA-256 digest", text);
    memcpy(out, text, DIGEST_SIZE);
    return 0;
}

static int read_blob(const json_t *descriptor, struct oci_blob *out,
                     struct fault *f) {
    const json_t *size = json_object_get(descriptor, "size");
    out->size = json_integer_value(size);
    if (!json_is_integer(size) || out->size < 0 || out->size > BLOB_MAX)
        return bad(f, "a size is malformed");
    return read_digest(text_of(descriptor, "digest"), out->digest, f);
}

/* ---- manifests ---- */

static json_t *parse(const char *text, size_t length, struct fault *f) {
    json_t *j = length <= OCI_JSON_MAX
                    ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    if (json_is_object(j))
        return j;
    json_decref(j);
    bad(f, "its description is not JSON, or too large");
    return NULL;
}

static bool is_one_of(const char *type, const char *const *types) {
    while (*types && strcmp(type, *types) != 0)
        types++;
    return *types;
}

static const char *const manifests[] = {
    OCI "manifest.v1+json", DOCKER "distribution.manifest.v2+json", NULL};
static const char *const indexes[] = {
    OCI "index.v1+json", DOCKER "distribution.manifest.list.v2+json", NULL};
static const char *const configs[] = {OCI "config.v1+json",
                                      DOCKER "container.image.v1+json", NULL};
static const char *const layers[] = {OCI "layer.v1.tar",
                                     OCI "layer.v1.tar+gzip",
                                     OCI "layer.v1.tar+zstd",
                                     DOCKER "image.rootfs.diff.tar",
                                     DOCKER "image.rootfs.diff.tar.gzip",
                                     DOCKER "image.rootfs.diff.tar.zstd",
                                     NULL};

static int read_layer(const json_t *descriptor, struct oci_layer *out,
                      struct fault *f) {
    const char *type = text_of(descriptor, "mediaType");
    if (json_array_size(json_object_get(descriptor, "urls")) > 0 ||
        strstr(type, "nondistributable") || strstr(type, "foreign"))
        return bad(f, "a layer is not in the registry but elsewhere");
    if (strstr(type, "+encrypted"))
        return bad(f, "its layers are encrypted: skopeo copy --decryption-key "
                      "makes an image that can be imported");
    if (!is_one_of(type, layers))
        return bad(f, "a layer of an unknown type '%.80s'", type);
    return read_blob(descriptor, &out->blob, f);
}

static int read_layers(const json_t *list, struct oci_image *out,
                       struct fault *f) {
    size_t count = json_array_size(list);
    if (count > OCI_LAYERS_MAX)
        return bad(f, "%zu layers, more than %d", count, OCI_LAYERS_MAX);
    out->layers = calloc(count + 1, sizeof *out->layers);
    if (!out->layers)
        return fault_memory(f);
    out->layer_count = count;
    for (size_t i = 0; i < count; i++)
        if (read_layer(json_array_get(list, i), &out->layers[i], f) < 0)
            return -1;
    return 0;
}

static int read_manifest(const json_t *manifest, struct oci_image *out,
                         struct fault *f) {
    const json_t *config = json_object_get(manifest, "config");
    const char *type = text_of(config, "mediaType");
    if (!is_one_of(type, configs))
        return bad(f, "not a container image but '%.80s'",
                   *type ? type : "without a config");
    if (read_blob(config, &out->config, f) < 0)
        return -1;
    if (out->config.size > OCI_JSON_MAX)
        return bad(f, "its config is too large");
    return read_layers(json_object_get(manifest, "layers"), out, f);
}

/* ---- indexes ---- */

/* The best entry of an index, and what else it offers, for messages. */
struct offer {
    const json_t *best;
    int fitness;
    bool ambiguous;
    struct buffer names, platforms; /* "a, b" */
};

static void note(struct buffer *b, const char *text) {
    if (*text && !(b->data && strstr(b->data, text)))
        buffer_addf(b, "%s%.60s", b->length ? ", " : "", text);
}

static void note_platform(struct buffer *b, const json_t *platform) {
    char text[100];
    const char *variant = text_of(platform, "variant");
    snprintf(text, sizeof text, "%.20s/%.20s%s%.10s", text_of(platform, "os"),
             text_of(platform, "architecture"), *variant ? "/" : "", variant);
    note(b, text);
}

/* Attestations, signatures, charts and the like are not images. */
static bool is_image(const json_t *entry) {
    const json_t *platform = json_object_get(entry, "platform");
    const json_t *notes = json_object_get(entry, "annotations");
    return !json_object_get(entry, "artifactType") &&
           !json_object_get(notes, "vnd.docker.reference.type") &&
           strcmp(text_of(platform, "os"), "unknown") != 0;
}

static const char *name_of(const json_t *entry) {
    return text_of(json_object_get(entry, "annotations"), REF_NAME);
}

/* Docker writes "x:1" where containerd writes docker.io/library/x:1. */
static bool is_called(const json_t *entry, const char *name) {
    const char *full =
        text_of(json_object_get(entry, "annotations"), CONTAINERD_NAME);
    size_t length = strlen(name), all = strlen(full);
    if (strcmp(name_of(entry), name) == 0)
        return true;
    return all >= length && strcmp(full + all - length, name) == 0 &&
           (all == length || full[all - length - 1] == '/');
}

/* If several entries of an index fit this machine, take the first. Several
 * names in a layout are ambiguous, unless they name the same image. */
static void consider(struct offer *o, const json_t *entry) {
    const json_t *platform = json_object_get(entry, "platform");
    int fits = platform ? fitness(platform) : EXACT;
    if (platform)
        note_platform(&o->platforms, platform);
    if (fits > o->fitness) {
        o->best = entry;
        o->fitness = fits;
        o->ambiguous = false;
    } else if (fits && fits == o->fitness) {
        bool same =
            strcmp(text_of(entry, "digest"), text_of(o->best, "digest")) == 0;
        o->ambiguous =
            o->ambiguous ||
            (!same && (!platform || strcmp(name_of(entry), name_of(o->best))));
    }
}

static int refuse_offer(const struct offer *o, const char *name, bool named,
                        struct fault *f) {
    const char *names = o->names.data ? o->names.data : "";
    const char *platforms = o->platforms.data ? o->platforms.data : "";
    if (name && !named)
        return bad(f, "it has no image of the name '%.80s'%s%.150s%s", name,
                   *names ? " (it has: " : "", names, *names ? ")" : "");
    if (o->best)
        return bad(f,
                   "it has several images, and no telling which is meant%s"
                   "%.150s",
                   *names ? ". Say DIR:NAME, with one of: " : "", names);
    return bad(f, "it has no image for linux/%s%s%.150s%s", oci_architecture(),
               *platforms ? " (it has: " : "", platforms,
               *platforms ? ")" : "");
}

/* Find the entry to take. */
static int read_index(const json_t *list, const char *name,
                      struct oci_blob *out, struct fault *f) {
    struct offer o = {.best = NULL};
    bool named = false;
    size_t i;
    json_t *entry;
    buffer_init(&o.names, 4096);
    buffer_init(&o.platforms, 4096);
    json_array_foreach((json_t *)list, i, entry) {
        if (!is_image(entry))
            continue;
        note(&o.names, name_of(entry));
        if (name && !is_called(entry, name))
            continue;
        named = true;
        consider(&o, entry);
    }
    int result = !o.best || o.ambiguous ? refuse_offer(&o, name, named, f)
                                        : read_blob(o.best, out, f);
    if (result == 0 && out->size > OCI_JSON_MAX)
        result = bad(f, "its manifest is too large");
    buffer_free(&o.names);
    buffer_free(&o.platforms);
    return result;
}

int oci_read_manifest(const char *text, size_t length, const char *name,
                      struct oci_image *out, struct oci_blob *chosen,
                      struct fault *f) {
    json_t *j CLEANUP(cleanup_json) = parse(text, length, f);
    if (!j)
        return -1;
    /* Older files have no mediaType: their members tell what they are. */
    const char *type = text_of(j, "mediaType");
    const json_t *list = json_object_get(j, "manifests");
    *out = (struct oci_image){0};
    if (is_one_of(type, indexes) || (!*type && list))
        return read_index(list, name, chosen, f) < 0 ? -1 : 1;
    if (json_object_get(j, "fsLayers") || strstr(type, "manifest.v1+pretty"))
        return bad(f, "its format (schema 1) is obsolete: push it again "
                      "with a newer tool");
    if (*type && !is_one_of(type, manifests))
        return bad(f, "a manifest of an unknown type '%.80s'", type);
    if (read_manifest(j, out, f) == 0)
        return 0;
    oci_image_clear(out);
    return -1;
}

/* ---- configs ---- */

/* Turn "NAME=VALUE" strings into a JSON object. */
static int read_env(const json_t *list, char **out, struct fault *f) {
    json_t *env CLEANUP(cleanup_json) = json_object();
    size_t i, size = 0;
    json_t *entry;
    json_array_foreach((json_t *)list, i, entry) {
        const char *text = json_string_value(entry);
        const char *equals = text ? strchr(text, '=') : NULL;
        if (!equals || equals == text)
            continue;
        size += strlen(text);
        char *name CLEANUP(cleanup_free) =
            strndup(text, (size_t)(equals - text));
        if (!name || json_object_set_new(env, name, json_string(equals + 1)))
            return fault_memory(f);
    }
    if (size > ENV_MAX)
        return bad(f, "an environment of %zu bytes", size);
    *out = json_object_size(env)
               ? json_dumps(env, JSON_COMPACT | JSON_SORT_KEYS)
               : NULL;
    return 0;
}

/* What is in a blob is read by a process that the blob may have taken over, so
 * the digest of the blob, which is checked outside of it, counts, too. */
static void make_key(struct oci_layer *l, const char *below) {
    char text[3 * DIGEST_SIZE];
    int length = snprintf(text, sizeof text, "%s %s %s", below, l->diff_id,
                          l->blob.digest);
    digest_of(text, (size_t)length, l->key);
}

static int read_diff_ids(const json_t *list, struct oci_image *out,
                         struct fault *f) {
    if (json_array_size(list) != out->layer_count)
        return bad(f, "its config speaks of %zu layers, its manifest of %zu",
                   json_array_size(list), out->layer_count);
    for (size_t i = 0; i < out->layer_count; i++) {
        struct oci_layer *l = &out->layers[i];
        const char *id = json_string_value(json_array_get(list, i));
        if (read_digest(id ? id : "", l->diff_id, f) < 0)
            return -1;
        make_key(l, i ? l[-1].key : "");
    }
    return 0;
}

/* Remove "", "." and ".." from an absolute path. Above the root is the root. */
static void clean_path(const char *path, char *out) {
    size_t used = 0;
    while (*(path += strspn(path, "/"))) {
        size_t length = strcspn(path, "/");
        if (length == 2 && memcmp(path, "..", 2) == 0) {
            while (used > 0 && out[--used] != '/')
                continue;
        } else if (length != 1 || *path != '.') {
            out[used++] = '/';
            memcpy(out + used, path, length);
            used += length;
        }
        path += length;
    }
    out[used] = 0;
}

static int read_user(const char *user, struct oci_image *out, struct fault *f) {
    if (!*user)
        return 0;
    if (!user_is_valid(user))
        return bad(f, "its USER is not a valid name: \"%.40s\"", user);
    out->user = strdup(user);
    return out->user ? 0 : fault_memory(f);
}

static int read_settings(const json_t *settings, struct oci_image *out,
                         struct fault *f) {
    char cwd[INSPECT_PATH] = "";
    const char *given = text_of(settings, "WorkingDir");
    if (*given == '/' && strlen(given) < sizeof cwd)
        clean_path(given, cwd);
    if (*cwd && !(out->cwd = strdup(cwd)))
        return fault_memory(f);
    if (read_user(text_of(settings, "User"), out, f) < 0)
        return -1;
    return read_env(json_object_get(settings, "Env"), &out->env, f);
}

int oci_read_config(const char *text, size_t length, struct oci_image *out,
                    struct fault *f) {
    char digest[DIGEST_SIZE];
    digest_of(text, length, digest);
    if (strcmp(digest, out->config.digest) != 0)
        return bad(f, "its config is not what its digest says");
    json_t *j CLEANUP(cleanup_json) = parse(text, length, f);
    if (!j)
        return -1;
    if (!is_ours(j))
        return bad(f, "it is for %.40s/%.40s, and this machine is linux/%s",
                   text_of(j, "os"), text_of(j, "architecture"),
                   oci_architecture());
    const json_t *ids =
        json_object_get(json_object_get(j, "rootfs"), "diff_ids");
    if (read_diff_ids(ids, out, f) < 0)
        return -1;
    return read_settings(json_object_get(j, "config"), out, f);
}

/* ---- blobs ---- */

static int hash_blob(int fd, EVP_MD_CTX *hash, const struct deadline *p,
                     struct fault *f) {
    enum { BLOCK = 1 << 20 };
    char *block CLEANUP(cleanup_free) = malloc(BLOCK);
    if (!block || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        return fault_memory(f);
    for (int64_t at = 0;;) {
        ssize_t n = pread(fd, block, BLOCK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(f, "reading a blob");
        if (n == 0)
            return 0;
        if (deadline_check(p, "the import", f) < 0)
            return -1;
        EVP_DigestUpdate(hash, block, (size_t)n);
        at += n;
    }
}

static int check_digest(int fd, const struct oci_blob *b,
                        const struct deadline *p, struct fault *f) {
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    char digest[DIGEST_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int result = context ? hash_blob(fd, context, p, f) : fault_memory(f);
    if (result == 0)
        EVP_DigestFinal_ex(context, hash, NULL);
    EVP_MD_CTX_free(context);
    if (result < 0)
        return -1;
    digest_print(hash, digest);
    if (strcmp(digest, b->digest) != 0)
        return bad(f, "the blob %.19s... is not what its digest says",
                   b->digest);
    return 0;
}

int oci_open_blob(int blobs, const struct oci_blob *b, const struct deadline *p,
                  struct fault *f) {
    struct stat st;
    int fd CLEANUP(cleanup_close) = openat(
        blobs, oci_hex(b), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return bad(f, "the blob %.19s... is missing", b->digest);
    if (st.st_size != b->size)
        return bad(f, "the blob %.19s... has %lld bytes, not %lld", b->digest,
                   (long long)st.st_size, (long long)b->size);
    return check_digest(fd, b, p, f) < 0 ? -1 : steal_fd(&fd);
}

char *oci_load_blob(int blobs, const struct oci_blob *b,
                    const struct deadline *p, struct fault *f) {
    int fd CLEANUP(cleanup_close) = oci_open_blob(blobs, b, p, f);
    char *text CLEANUP(cleanup_free) =
        fd < 0 ? NULL : malloc((size_t)b->size + 1);
    if (fd < 0)
        return NULL;
    if (!text || read_all(fd, text, (size_t)b->size) != b->size) {
        fault_errno(f, "reading a blob");
        return NULL;
    }
    text[b->size] = 0;
    return steal_pointer(&text);
}
