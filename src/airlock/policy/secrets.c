/* secrets.c: see secrets.h. */
#define _GNU_SOURCE
#include "airlock/policy/secrets.h"
#include "airlock/policy/members.h"
#include "base/json.h"
#include "base/scope.h"
#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

enum { WHERE_SIZE = 256, VARIABLE_MAX = 128, HEADER_MAX = 128 };

/* What every placeholder begins with, so that one that strays is known. */
#define MARK "contree"

/* ---- reading ---- */

static bool is_variable(const char *name) {
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789_");
    return length > 0 && length <= VARIABLE_MAX && !name[length] &&
           !isdigit((unsigned char)name[0]);
}

bool secret_is_header(const char *name) {
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789"
                                 "!#$%&'*+-.^_`|~");
    return length > 0 && length <= HEADER_MAX && !name[length];
}

/* Letters and digits, so that no part of a request writes it in another way. */
static int make_placeholder(char *out, size_t length) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[SECRET_MAX];
    for (size_t got = 0; got < length;) {
        ssize_t n = getrandom(bytes + got, length - got, 0);
        if (n < 0)
            return -1;
        got += (size_t)n;
    }
    for (size_t i = 0; i < length; i++)
        out[i] = letters[bytes[i] % 32];
    memcpy(out, MARK, strlen(MARK));
    return 0;
}

static bool is_plain(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_unreserved(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-._~", text[i]))
            return false;
    return true;
}

static int read_value(struct secret *s, const json_t *object, const char *where,
                      struct fault *f) {
    const json_t *value = json_object_get(object, "value");
    const char *text = json_string_value(value);
    size_t length = text ? json_string_length(value) : 0;
    if (!value)
        return fault_set(f, 422, "%s needs value, or sign", where);
    if (!text)
        return fault_set(f, 422, "%s.value must be a string", where);
    if (length < SECRET_MIN || length > SECRET_MAX)
        return fault_set(f, 422,
                         "%s.value must have %d to %d bytes: a shorter one "
                         "could stand in a text by chance",
                         where, SECRET_MIN, SECRET_MAX);
    if (!is_plain(text, length))
        return fault_set(f, 422, "%s.value has a control character", where);
    s->value = strdup(text);
    s->length = length;
    return s->value ? 0 : fault_memory(f);
}

/* One that a function signs. */
static int read_sign(struct secret *s, const json_t *object, const char *where,
                     struct fault *f) {
    static const char *const others[] = {"value", "header", "in"};
    const json_t *digest = json_object_get(object, "digest");
    if (!json_is_true(json_object_get(object, "sign")))
        return fault_set(f, 422, "%s.sign must be true, or left out", where);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (json_object_get(object, others[i]))
            return fault_set(f, 422,
                             "%s has sign, so it cannot have %s: a function "
                             "says what is sent",
                             where, others[i]);
    if (digest && !json_is_boolean(digest))
        return fault_set(f, 422, "%s.digest must be true or false", where);
    s->digests = json_is_true(digest);
    s->length = SIGNED_LENGTH;
    return 0;
}

static int read_use(struct secret *s, const json_t *object, const char *where,
                    struct fault *f) {
    const json_t *sign = json_object_get(object, "sign");
    if (sign && !json_is_false(sign))
        return read_sign(s, object, where, f);
    if (json_object_get(object, "digest"))
        return fault_set(f, 422, "%s.digest needs sign", where);
    return read_value(s, object, where, f);
}

static int read_placeholder(struct secret *s, const json_t *object,
                            const char *where, struct fault *f) {
    const json_t *given = json_object_get(object, "placeholder");
    s->placeholder = calloc(1, s->length + 1);
    if (!s->placeholder)
        return fault_memory(f);
    if (!given)
        return make_placeholder(s->placeholder, s->length) < 0
                   ? fault_errno(f, "making a placeholder")
                   : 0;
    if (json_string_length(given) != s->length)
        return fault_set(f, 422, "%s.placeholder must have %zu bytes", where,
                         s->length);
    memcpy(s->placeholder, json_string_value(given), s->length);
    return 0;
}

static int read_header(struct secret *s, const json_t *object,
                       const char *where, struct fault *f) {
    const json_t *given = json_object_get(object, "header");
    const char *text = json_string_value(given);
    if (!given || json_is_null(given))
        return 0;
    if (!text || !secret_is_header(text))
        return fault_set(f, 422,
                         "%s.header must be the name of a header, such as "
                         "\"Authorization\"",
                         where);
    s->header = strdup(text);
    return s->header ? 0 : fault_memory(f);
}

static unsigned place_named(const char *name) {
    return !name                         ? 0
           : strcmp(name, "header") == 0 ? IN_HEADERS
           : strcmp(name, "query") == 0  ? IN_QUERY
           : strcmp(name, "body") == 0   ? IN_BODY
                                         : 0;
}

static int read_places(struct secret *s, const json_t *object,
                       const char *where, struct fault *f) {
    const json_t *given = json_object_get(object, "in");
    size_t i;
    json_t *each;
    s->where = given && !json_is_null(given) ? 0 : IN_HEADERS;
    json_array_foreach(given, i, each) {
        unsigned bit = place_named(json_string_value(each));
        s->where = bit ? s->where | bit : 0;
        if (!bit)
            break;
    }
    if (s->where == 0)
        return fault_set(f, 422,
                         "%s.in must be an array of \"header\", \"query\" and "
                         "\"body\"",
                         where);
    if (s->where & IN_QUERY && !is_unreserved(s->value, s->length))
        return fault_set(f, 422,
                         "%s.value cannot stand in a query: it has other "
                         "characters than letters, digits, - . _ and ~",
                         where);
    return 0;
}

static int read_hosts(struct secret *s, const json_t *object, const char *where,
                      struct fault *f) {
    char place[WHERE_SIZE + 8];
    snprintf(place, sizeof place, "%s.hosts", where);
    const json_t *hosts = json_object_get(object, "hosts");
    if (rules_parse(&s->hosts, hosts, place, PORTS_OF_TLS, f) < 0)
        return -1;
    if (s->hosts.count == 0)
        return fault_set(f, 422, "%s is empty: nobody would get the secret",
                         place);
    for (size_t i = 0; i < s->hosts.count; i++)
        if (!s->hosts.list[i].name[0])
            return fault_set(f, 422,
                             "%s[%zu]: a secret goes to hosts with a name",
                             place, i);
    return 0;
}

static int read_secret(struct secret *s, const char *name, const json_t *object,
                       const char *prefix, struct fault *f) {
    static const char *const names[] = {"value", "hosts",  "header",     "in",
                                        "sign",  "digest", "placeholder"};
    char where[WHERE_SIZE];
    if (!is_variable(name))
        return fault_set(f, 422,
                         "%s: \"%.64s\" is no name of a variable: letters, "
                         "digits and _",
                         prefix, name);
    snprintf(where, sizeof where, "%s.%s", prefix, name);
    s->name = strdup(name);
    if (!s->name)
        return fault_memory(f);
    if (!json_is_object(object))
        return fault_set(
            f, 422, "%s must be an object with hosts and value or sign", where);
    if (members_check(object, where, names, sizeof names / sizeof *names, f) <
            0 ||
        read_use(s, object, where, f) < 0 ||
        read_placeholder(s, object, where, f) < 0 ||
        read_header(s, object, where, f) < 0 ||
        read_places(s, object, where, f) < 0)
        return -1;
    return read_hosts(s, object, where, f);
}

static int by_name(const void *a, const void *b) {
    const struct secret *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* There is room for all of them. */
static void add_word(struct secrets *s, const char *value, const char *stand_in,
                     size_t length) {
    size_t at = s->word_count++;
    for (; at > 0 && s->words[at - 1].length < length; at--)
        s->words[at] = s->words[at - 1];
    s->words[at] = (struct secret_word){value, stand_in, length};
}

int secrets_parse(struct secrets *out, const json_t *object, const char *where,
                  struct fault *f) {
    const char *name;
    json_t *value;
    *out = (struct secrets){0};
    if (!object || json_is_null(object))
        return 0;
    if (!json_is_object(object) || json_object_size(object) > SECRETS_MAX)
        return fault_set(f, 422,
                         "%s must be an object: at most %d names, and for each "
                         "{value, hosts}",
                         where, SECRETS_MAX);
    size_t count = json_object_size(object);
    out->list = calloc(count + 1, sizeof *out->list);
    out->words = calloc(count + LOGINS_MAX, sizeof *out->words);
    if (!out->list || !out->words) {
        secrets_clear(out);
        return fault_memory(f);
    }
    json_object_foreach((json_t *)object, name, value) {
        struct secret *s = &out->list[out->count++];
        if (read_secret(s, name, value, where, f) < 0) {
            secrets_clear(out);
            return -1;
        }
        if (s->value)
            add_word(out, s->value, s->placeholder, s->length);
    }
    /* Several functions may sign one request: one after another. */
    qsort(out->list, out->count, sizeof *out->list, by_name);
    return 0;
}

static void clear_logins(struct secrets *s) {
    for (size_t i = 0; i < s->login_count; i++) {
        explicit_bzero(s->logins[i].sent, s->logins[i].length);
        free(s->logins[i].sent);
        free(s->logins[i].given);
    }
    free(s->logins);
}

void secrets_clear(struct secrets *s) {
    for (size_t i = 0; i < s->count; i++) {
        struct secret *each = &s->list[i];
        if (each->value)
            explicit_bzero(each->value, each->length);
        free(each->value);
        free(each->placeholder);
        free(each->header);
        free(each->name);
        rules_clear(&each->hosts);
    }
    free(s->list);
    free(s->words);
    clear_logins(s);
    *s = (struct secrets){0};
}

void secrets_write(const struct secrets *s, struct buffer *b,
                   const json_t *object) {
    for (size_t i = 0; i < s->count; i++) {
        const struct secret *each = &s->list[i];
        json_t *given = json_object_get(object, each->name);
        json_t *whole = given ? json_copy(given) : NULL;
        json_t *placeholder = json_string(each->placeholder);
        char *text = NULL;
        if (whole && placeholder &&
            json_object_set(whole, "placeholder", placeholder) == 0)
            text = json_dumps(whole, JSON_COMPACT);
        buffer_addf(b, "%s\"%s\":", i ? "," : "", each->name);
        if (text)
            buffer_add(b, text, strlen(text));
        else
            b->failed = true;
        if (text)
            explicit_bzero(text, strlen(text));
        free(text);
        json_decref(placeholder);
        json_decref(whole);
    }
}

/* ---- hosts ---- */

static bool is_for(const struct secret *s, const struct target *t) {
    for (size_t i = 0; t->name && i < s->hosts.count; i++)
        if (rule_has_name(&s->hosts.list[i], t->name) &&
            rule_has_port(&s->hosts.list[i], t->port))
            return true;
    return false;
}

bool secrets_want(const struct secrets *s, const struct target *t) {
    for (size_t i = 0; i < s->count; i++)
        if (is_for(&s->list[i], t))
            return true;
    return false;
}

const struct secret *secrets_signer(const struct secrets *s,
                                    const struct target *t, size_t *at) {
    while (*at < s->count) {
        const struct secret *each = &s->list[(*at)++];
        if (!each->value && is_for(each, t))
            return each;
    }
    return NULL;
}

/* ---- texts ---- */

/* Replaces all of `from` that begin before `limit` by `to`, which is as long.
 */
static void replace(char *text, size_t length, size_t limit, const char *from,
                    const char *to, size_t size) {
    if (length < size) /* and `text` may be NULL */
        return;
    char *end = text + length, *p = text;
    while ((p = memmem(p, (size_t)(end - p), from, size)) && p < text + limit) {
        memcpy(p, to, size);
        p += size;
    }
}

static bool may_stand(const struct secret *s, const struct target *t,
                      enum secret_place place, const char *header) {
    if (!is_for(s, t))
        return false;
    if (!s->value) /* there it means nothing */
        return true;
    if (!(s->where & place))
        return false;
    return place != IN_HEADERS || !s->header ||
           (header && strcasecmp(s->header, header) == 0);
}

static enum refusal insert_plain(const struct secrets *s,
                                 const struct target *t,
                                 enum secret_place place, const char *header,
                                 char *text, size_t length) {
    for (size_t i = 0; i < s->count; i++) {
        const struct secret *each = &s->list[i];
        bool may = may_stand(each, t, place, header);
        if (!may && memmem(text, length, each->placeholder, each->length))
            return REFUSED_SECRET;
        if (may && each->value)
            replace(text, length, length, each->placeholder, each->value,
                    each->length);
    }
    return REFUSED_NOT;
}

static bool knows_login(const struct secrets *s, const char *sent,
                        size_t length) {
    for (size_t i = 0; i < s->login_count; i++)
        if (s->logins[i].length == length &&
            memcmp(s->logins[i].sent, sent, length) == 0)
            return true;
    return false;
}

/* False: there are too many to look for in what servers say. None is forgotten
 * for another: the sandbox could have that done before an answer comes. */
static bool remember_login(struct secrets *s, const char *given,
                           const char *sent, size_t length) {
    if (knows_login(s, sent, length))
        return true;
    if (s->login_count == LOGINS_MAX || length > LOGIN_MAX)
        return false;
    if (!s->logins)
        s->logins = calloc(LOGINS_MAX, sizeof *s->logins);
    struct login made = {strndup(given, length), strndup(sent, length), length};
    if (s->logins && made.given && made.sent) {
        s->logins[s->login_count++] = made;
        add_word(s, made.sent, made.given, length);
        return true;
    }
    free(made.given);
    free(made.sent);
    return false;
}

/* The login of "Basic …" is base64 of USER:PASSWORD. What OpenSSL cannot decode
 * is no login, and stays as it is. */
static enum refusal insert_basic(struct secrets *s, const struct target *t,
                                 const char *header, char *text,
                                 size_t length) {
    unsigned char *plain CLEANUP(cleanup_free) = malloc(length + 4);
    unsigned char *again CLEANUP(cleanup_free) = malloc(length + 8);
    if (!plain || !again || length == 0 || length % 4 || length > INT32_MAX)
        return REFUSED_NOT;
    int size = EVP_DecodeBlock(plain, (unsigned char *)text, (int)length);
    if (size < 0)
        return REFUSED_NOT;
    size_t padding = text[length - 1] == '=';
    padding += length > 1 && text[length - 2] == '=';
    enum refusal why = insert_plain(s, t, IN_HEADERS, header, (char *)plain,
                                    (size_t)size - padding);
    if (why == REFUSED_NOT &&
        EVP_EncodeBlock(again, plain, size - (int)padding) == (int)length &&
        memcmp(text, again, length) != 0) {
        if (remember_login(s, text, (char *)again, length))
            memcpy(text, again, length);
        else
            why = REFUSED_LIMIT;
    }
    explicit_bzero(plain, length + 4);
    explicit_bzero(again, length + 8);
    return why;
}

enum refusal secrets_insert(struct secrets *s, const struct target *t,
                            enum secret_place place, const char *header,
                            char *text, size_t length) {
    static const char basic[] = "Basic ";
    enum { BASIC = sizeof basic - 1 };
    if (s->count == 0)
        return REFUSED_NOT;
    if (header && length > BASIC && strncasecmp(text, basic, BASIC) == 0) {
        enum refusal why =
            insert_basic(s, t, header, text + BASIC, length - BASIC);
        if (why != REFUSED_NOT)
            return why;
    }
    return insert_plain(s, t, place, header, text, length);
}

static void remove_before(const struct secrets *s, char *text, size_t length,
                          size_t limit) {
    for (size_t i = 0; i < s->word_count; i++)
        replace(text, length, limit, s->words[i].value, s->words[i].stand_in,
                s->words[i].length);
}

void secrets_remove(const struct secrets *s, char *text, size_t length) {
    remove_before(s, text, length, length);
}

/* How many bytes at the end of `text`, if more than `least`, begin `word`. */
static size_t partial(const char *word, size_t size, const char *text,
                      size_t length, size_t least) {
    size_t n = size - 1 < length ? size - 1 : length;
    while (n > least && memcmp(text + length - n, word, n) != 0)
        n--;
    return n > least ? n : least;
}

static size_t partial_value(const struct secrets *s, const char *text,
                            size_t length) {
    size_t most = 0;
    for (size_t i = 0; i < s->word_count; i++)
        most =
            partial(s->words[i].value, s->words[i].length, text, length, most);
    return most;
}

/* A value that is in what may begin a longer one stays until that is known. One
 * that ends there is taken out, and then less may have to wait. */
size_t secrets_remove_so_far(const struct secrets *s, char *text,
                             size_t length) {
    size_t before, waits = partial_value(s, text, length);
    do {
        before = waits;
        remove_before(s, text, length, length - waits);
        waits = partial_value(s, text, length);
    } while (waits < before);
    return waits;
}

size_t secrets_partial(const struct secrets *s, const char *text,
                       size_t length) {
    size_t most = 0;
    for (size_t i = 0; i < s->count; i++)
        most = partial(s->list[i].placeholder, s->list[i].length, text, length,
                       most);
    return most;
}
