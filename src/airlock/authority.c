/* authority.c: see authority.h. */
#define _GNU_SOURCE
#include "airlock/authority.h"
#include "airlock/policy/rules.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* A run ends long before; a clock in a sandbox may be a day behind. */
enum { BEFORE_SECONDS = -86400, AFTER_SECONDS = 30 * 86400 };

struct leaf {
    char name[NAME_SIZE];
    SSL_CTX *context;
};

struct authority {
    EVP_PKEY *key, *leaf_key; /* all leaves have one key */
    X509 *certificate;
    char *pem;
    struct leaf leaves[LEAVES_MAX];
    size_t count;
};

/* ---- certificates ---- */

static bool set_serial(X509 *x) {
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x7f) | 1; /* positive, and of this length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
    BN_free(number);
    return ok;
}

static bool set_name(X509_NAME *to, const char *common_name) {
    enum { COMMON_NAME_MAX = 64 }; /* of the standard; the SAN has it whole */
    char text[COMMON_NAME_MAX + 1];
    snprintf(text, sizeof text, "%s", common_name);
    return X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_UTF8,
                                      (unsigned char *)text, -1, -1, 0) == 1;
}

static bool extend(X509 *x, X509 *issuer, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

/* A certificate for `key`, without extensions and signature. */
static X509 *begin(EVP_PKEY *key, const char *name) {
    X509 *x = X509_new();
    if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
        X509_gmtime_adj(X509_getm_notBefore(x), BEFORE_SECONDS) &&
        X509_gmtime_adj(X509_getm_notAfter(x), AFTER_SECONDS) &&
        set_name(X509_get_subject_name(x), name) &&
        X509_set_pubkey(x, key) == 1)
        return x;
    X509_free(x);
    return NULL;
}

static X509 *make_root(EVP_PKEY *key) {
    X509 *x = begin(key, "contree airlock");
    if (x && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
        extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        extend(x, x, NID_subject_key_identifier, "hash") &&
        X509_sign(x, key, EVP_sha256()) > 0)
        return x;
    X509_free(x);
    return NULL;
}

static X509 *make_leaf(const struct authority *a, const char *name) {
    char san[NAME_SIZE + 8];
    X509 *x = begin(a->leaf_key, name);
    snprintf(san, sizeof san, "DNS:%s", name);
    if (x &&
        X509_set_issuer_name(x, X509_get_subject_name(a->certificate)) == 1 &&
        extend(x, a->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(x, a->certificate, NID_key_usage, "critical,digitalSignature") &&
        extend(x, a->certificate, NID_ext_key_usage, "serverAuth") &&
        extend(x, a->certificate, NID_subject_alt_name, san) &&
        extend(x, a->certificate, NID_authority_key_identifier, "keyid") &&
        X509_sign(x, a->key, EVP_sha256()) > 0)
        return x;
    X509_free(x);
    return NULL;
}

static char *make_pem(X509 *x) {
    BIO *b = BIO_new(BIO_s_mem());
    char *data, *out = NULL;
    if (b && PEM_write_bio_X509(b, x) == 1) {
        long length = BIO_get_mem_data(b, &data);
        out = strndup(data, (size_t)length);
    }
    BIO_free(b);
    return out;
}

struct authority *authority_make(struct fault *f) {
    struct authority *a = calloc(1, sizeof *a);
    if (!a) {
        fault_memory(f);
        return NULL;
    }
    a->key = EVP_EC_gen("P-256");
    a->leaf_key = EVP_EC_gen("P-256");
    a->certificate = a->key && a->leaf_key ? make_root(a->key) : NULL;
    a->pem = a->certificate ? make_pem(a->certificate) : NULL;
    if (a->pem)
        return a;
    authority_free(a);
    ERR_clear_error();
    fault_set(f, 500, "cannot make a certificate authority");
    return NULL;
}

static void forget(struct authority *a) {
    while (a->count > 0)
        SSL_CTX_free(a->leaves[--a->count].context);
}

void authority_free(struct authority *a) {
    if (!a)
        return;
    forget(a);
    EVP_PKEY_free(a->key);
    EVP_PKEY_free(a->leaf_key);
    X509_free(a->certificate);
    free(a->pem);
    free(a);
}

const char *authority_pem(const struct authority *a) {
    return a->pem;
}

/* ---- servers ---- */

/* Only HTTP/1.1 is read here. A client that offers other protocols alone is
 * told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out,
                           unsigned char *size, const unsigned char *offered,
                           unsigned length, void *arg) {
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, size, ours,
                                 sizeof ours - 1, offered,
                                 length) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_server(const struct authority *a, const char *name) {
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    X509 *leaf = c ? make_leaf(a, name) : NULL;
    bool ok = leaf && SSL_CTX_use_certificate(c, leaf) == 1 &&
              SSL_CTX_use_PrivateKey(c, a->leaf_key) == 1 &&
              SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1;
    X509_free(leaf);
    if (!ok) {
        SSL_CTX_free(c);
        ERR_clear_error();
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(c, choose_protocol, NULL);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    return c;
}

SSL_CTX *authority_server(struct authority *a, const char *name) {
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->leaves[i].name, name) == 0)
            return a->leaves[i].context;
    SSL_CTX *made = make_server(a, name);
    if (!made)
        return NULL;
    if (a->count == LEAVES_MAX)
        forget(a); /* connections hold references of their own */
    struct leaf *leaf = &a->leaves[a->count++];
    snprintf(leaf->name, sizeof leaf->name, "%s", name);
    leaf->context = made;
    return made;
}
