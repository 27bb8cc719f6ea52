/* digest.h: SHA-256 of a string, a file, or of what passes through. */
#ifndef CONTREE_DIGEST_H
#define CONTREE_DIGEST_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A running digest. digest_new() gives NULL when there is no memory, or no
 * libcrypto; free with digest_free(), which takes NULL. */
struct digest;

enum { DIGEST_HEX_SIZE = 65 };

struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Forgets what was added. */
void digest_restart(struct digest *digest);
/* Ends it: writes 64 lower-case hex digits and a NUL. */
void digest_finish(struct digest *digest, char hex[DIGEST_HEX_SIZE]);
void digest_free(struct digest *digest);

/* core.sha256(string) -> hex */
int digest_lua_string(lua_State *L);
/* core.hash(string) -> hashing. For as long as wanted call
 * hashing:step(seconds) -> false: there is more | hex, size | nil, message. */
int digest_lua_hash(lua_State *L);
/* core.hash_file(path[, root]) -> hashing | nil, message. Only of a regular
 * file; paths are those of regular_open. */
int digest_lua_hash_file(lua_State *L);
void digest_register(lua_State *L);

#pragma GCC visibility pop

#endif
