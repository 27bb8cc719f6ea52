/* content.c: see content.h. */
#include "unpack/content.h"
#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As in state.c. */
#define MAX_RATIO 2000
#define RATIO_FROM (256LL << 20)
/* Of zeros after the archive's end. */
#define MAX_PADDING (64LL << 20)

struct content {
    struct archive *a;
    EVP_MD_CTX *hash;
    int64_t bytes;
};

static int content_fault(struct content *c, struct fault *f) {
    const char *why = archive_error_string(c->a);
    return fault_set(f, 422, "bad image: a layer cannot be decompressed: %s",
                     why ? why : "no reason given");
}

static int start(struct content *c, int blob, struct fault *f) {
    struct archive_entry *e;
    if (!c->a || !c->hash || !EVP_DigestInit_ex(c->hash, EVP_sha256(), NULL) ||
        archive_read_support_filter_gzip(c->a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(c->a) != ARCHIVE_OK ||
        archive_read_support_format_raw(c->a) != ARCHIVE_OK)
        return fault_set(f, 500, "libarchive lacks a filter");
    if (archive_read_open_fd(c->a, blob, 1 << 18) != ARCHIVE_OK ||
        archive_read_next_header(c->a, &e) != ARCHIVE_OK)
        return content_fault(c, f);
    return 0;
}

struct content *content_open(int blob, struct fault *f) {
    struct content *c = calloc(1, sizeof *c);
    if (!c) {
        fault_memory(f);
        return NULL;
    }
    *c = (struct content){.a = archive_read_new(), .hash = EVP_MD_CTX_new()};
    if (start(c, blob, f) == 0)
        return c;
    content_close(c);
    return NULL;
}

void content_close(struct content *c) {
    if (!c)
        return;
    archive_read_free(c->a);
    EVP_MD_CTX_free(c->hash);
    free(c);
}

ssize_t content_read(void *content, void *data, size_t size, struct fault *f) {
    struct content *c = content;
    la_ssize_t n = archive_read_data(c->a, data, size);
    if (n < 0)
        return content_fault(c, f);
    EVP_DigestUpdate(c->hash, data, (size_t)n);
    c->bytes += n;
    if (c->bytes > RATIO_FROM &&
        c->bytes / MAX_RATIO > archive_filter_bytes(c->a, -1))
        return fault_set(f, 413,
                         "a layer grows more than %d times: refused as a "
                         "decompression bomb",
                         MAX_RATIO);
    return n;
}

int content_digest(struct content *c, char out[DIGEST_SIZE], struct fault *f) {
    char block[16384];
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    int64_t padding = 0;
    ssize_t n;
    while ((n = content_read(c, block, sizeof block, f)) > 0)
        if ((padding += n) > MAX_PADDING)
            return fault_set(f, 413, "a layer goes on after its end");
    if (n < 0)
        return -1;
    EVP_DigestFinal_ex(c->hash, hash, NULL);
    memcpy(out, "sha256:", sizeof "sha256:");
    digest_print(hash, out);
    return 0;
}
