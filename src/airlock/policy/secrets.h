/* secrets.h: what a sandbox may use and never sees. It has a placeholder, as
 * long as the value, in a variable of its environment. In requests to the hosts
 * of a secret the airlock puts the value in the placeholder's place, and in
 * what they answer the placeholder in the value's.
 *
 * Or it has no value: a function of the client signs each request to its hosts
 * (signature.h). Its placeholder then stands for nothing. */
#ifndef CONTREE_POLICY_SECRETS_H
#define CONTREE_POLICY_SECRETS_H

#include "airlock/policy/policy.h"
#include "airlock/policy/rules.h"
#include "base/buffer.h"
#include "base/fault.h"
#include <jansson.h>

enum {
    SECRETS_MAX = 64,
    SECRET_MIN = 16, /* shorter ones could be found in a text by chance */
    SECRET_MAX = 8192,
    SIGNED_LENGTH = 40, /* of the placeholder of one without a value */
    LOGINS_MAX = 64,    /* different ones that a sandbox may send */
    LOGIN_MAX = 16384
};

/* Where in a request a secret may stand. */
enum secret_place { IN_HEADERS = 1, IN_QUERY = 2, IN_BODY = 4 };

struct secret {
    char *name;        /* of the variable */
    char *value;       /* wiped when it is freed; NULL: a function signs */
    bool digests;      /* that function is given a digest of the body */
    char *placeholder; /* of the same length */
    size_t length;
    char *header;   /* the only one of a request's headers; NULL: any */
    unsigned where; /* bits IN_... */
    struct rules hosts;
};

/* A login in base64: what the sandbox sent, and what was sent in its place. A
 * server may say that back, too. */
struct login {
    char *given, *sent; /* `sent` is wiped when it is freed */
    size_t length;
};

/* What is taken out of what servers say, and what stands there then. Borrowed.
 */
struct secret_word {
    const char *value, *stand_in;
    size_t length;
};

struct secrets {
    struct secret *list;
    size_t count;
    struct login *logins; /* all that were sent so far: LOGINS_MAX */
    size_t login_count;
    /* Values and logins, longest first: one may have another in it. */
    struct secret_word *words;
    size_t word_count;
};

/* Reads {NAME: {value, hosts, header, in, placeholder}}, or with `sign` and
 * `digest` in place of value, header and in. `where` is what errors
 * call it ("secrets"); they never have a value. A placeholder is made unless it
 * is given: the engine makes it, the airlock gets it. 0, or -1 with 422. */
int secrets_parse(struct secrets *out, const json_t *object, const char *where,
                  struct fault *f);
void secrets_clear(struct secrets *s);
/* Whether this may be the name of a header. */
bool secret_is_header(const char *name);
/* The same for the airlock, with values and placeholders, as a member of an
 * object that is open. */
void secrets_write(const struct secrets *s, struct buffer *b,
                   const json_t *object);

/* Whether one of them is for this target: its TLS is read. */
bool secrets_want(const struct secrets *s, const struct target *t);
/* The next one whose function signs requests to this target, from `*at` on,
 * which is moved behind it; NULL: there is none. */
const struct secret *secrets_signer(const struct secrets *s,
                                    const struct target *t, size_t *at);

/* Puts values in the place of placeholders in a part of a request to `t`.
 * `header` is the name of the header that `text` is the value of; NULL for
 * another part. REFUSED_SECRET when there is a placeholder that has no place
 * there. In a header that is `Basic …` the login within is read. */
enum refusal secrets_insert(struct secrets *s, const struct target *t,
                            enum secret_place place, const char *header,
                            char *text, size_t length);
/* Puts placeholders in the place of values, also in logins as they were sent.
 */
void secrets_remove(const struct secrets *s, char *text, size_t length);
/* The same in a text that goes on. Returns how many bytes at its end have to
 * wait for what follows: they may begin a value, and others may be in them. */
size_t secrets_remove_so_far(const struct secrets *s, char *text,
                             size_t length);
/* How many bytes at the end of `text` may be the beginning of a placeholder:
 * they have to wait for what follows. */
size_t secrets_partial(const struct secrets *s, const char *text,
                       size_t length);

#endif
