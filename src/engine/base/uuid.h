/* uuid.h: making and reading UUIDs (RFC 9562). */
#ifndef CONTREE_BASE_UUID_H
#define CONTREE_BASE_UUID_H

#include <stdbool.h>

#define UUID_SIZE 37
void uuid_random(char out[UUID_SIZE]);  /* version 4 */
void uuid_ordered(char out[UUID_SIZE]); /* version 7 */
/* 8-4-4-4-12 hex of either case; copies it lower-cased to `out` if given. */
bool uuid_parse(const char *text, char out[UUID_SIZE]);
/* Whether `text` is how a uuid begins, at least by one digit; copies it
 * lower-cased. */
bool uuid_begins(const char *text, char out[UUID_SIZE]);

#endif
