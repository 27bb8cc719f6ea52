/* oci.c: of a manifest, a config and a reference only what is well-formed gets
 * through: digests of 64 digits, hosts without a path, sizes that are none
 * below zero. The first byte chooses. */
#include "transport/oci.h"
#include "../input.h"
#include "store/store.h"
#include "transport/reference.h"

static bool is_digest(const char *digest) {
    return strncmp(digest, "sha256:", 7) == 0 && strlen(digest) == 71 &&
           strspn(digest + 7, "0123456789abcdef") == 64;
}

static void read_manifest(const char *text, size_t size, const char *name) {
    struct oci_image i = {0};
    struct oci_blob chosen = {0};
    struct fault f;
    int result = oci_read_manifest(text, size, name, &i, &chosen, &f);
    HOLDS(result >= 0 || f.status == 422);
    if (result == 1)
        HOLDS(is_digest(chosen.digest) && chosen.size >= 0);
    if (result == 0) {
        HOLDS(is_digest(i.config.digest) && i.config.size >= 0);
        HOLDS(i.layer_count <= OCI_LAYERS_MAX);
        for (size_t n = 0; n < i.layer_count; n++)
            HOLDS(is_digest(i.layers[n].blob.digest) &&
                  i.layers[n].blob.size >= 0);
    }
    oci_image_clear(&i);
}

static void read_config(const char *text, size_t size, size_t layers) {
    struct oci_image i = {.layer_count = layers};
    struct fault f;
    i.layers = calloc(layers ? layers : 1, sizeof *i.layers);
    HOLDS(i.layers);
    digest_of(text, size, i.config.digest);
    i.config.size = (int64_t)size;
    if (oci_read_config(text, size, &i, &f) < 0) {
        HOLDS(f.status == 422);
    } else {
        for (size_t n = 0; n < layers; n++)
            HOLDS(is_digest(i.layers[n].diff_id) && is_digest(i.layers[n].key));
        HOLDS(!i.cwd || *i.cwd == '/');
    }
    oci_image_clear(&i);
}

static void read_reference(const char *text) {
    struct reference r;
    struct fault f;
    if (reference_parse(text, &r, &f) == 0) {
        HOLDS(strncmp(r.full, "docker://", 9) == 0);
        HOLDS(strncmp(r.full, r.name, strlen(r.name)) == 0);
        HOLDS(!strpbrk(r.full, " \"'\\\n\t@") || *r.digest);
        HOLDS(!strpbrk(r.host, "\"/ \\@"));
        HOLDS(!*r.digest || is_digest(r.digest));
    } else {
        HOLDS(f.status == 400);
    }
    if (tag_check(text, &f) == 0)
        HOLDS(*text && strlen(text) < TAG_SIZE && !strstr(text, "..") &&
              !strstr(text, "//") && *text != '/' && *text != '.' &&
              text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-:/.")] ==
                  '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    uint8_t how = input_byte(&in);
    size_t length;
    if (how % 3 == 2) {
        char *text = input_text(&in, '\0');
        read_reference(text);
        free(text);
        return 0;
    }
    char *text = input_rest(&in, &length);
    if (how % 3 == 0)
        read_manifest(text, length, how & 8 ? "x" : NULL);
    else
        read_config(text, length, how >> 4 & 3);
    free(text);
    return 0;
}
