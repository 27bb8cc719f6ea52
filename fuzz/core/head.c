/* head.c: no header block breaks its reader. The lines are pieces up to a
 * line feed, as libcurl hands them over. */
#include "head.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L; /* making one for each input is slow */
    struct response_head head = {0};
    size_t length = 0;
    if (!L)
        L = luaL_newstate();
    if (!L)
        return 0;
    for (size_t at = 0, end; at < size; at = end) {
        const uint8_t *lf = memchr(data + at, '\n', size - at);
        end = lf ? (size_t)(lf + 1 - data) : size;
        if (!head_add(&head, (const char *)data + at, end - at))
            break;
    }
    head_find(&head, "content-length", &length);
    head_push(L, &head);
    head_free(&head);
    lua_settop(L, 0);
    return 0;
}
