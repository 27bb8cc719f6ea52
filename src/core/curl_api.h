/* curl_api.h: libcurl, loaded when it is first needed.
 *
 * Loading libcurl and the thirty libraries behind it takes 3 to 5 ms, which a
 * `require` should not cost. So the module is not linked to it; curl_api_load()
 * opens it once a process and fills `curl`. */
#ifndef CONTREE_CURL_API_H
#define CONTREE_CURL_API_H

#include <curl/curl.h>

#pragma GCC visibility push(hidden)

#define CURL_API(X)                                                            \
    X(global_init)                                                             \
    X(version)                                                                 \
    X(getdate)                                                                 \
    X(easy_init)                                                               \
    X(easy_cleanup)                                                            \
    X(easy_reset)                                                              \
    X(easy_setopt)                                                             \
    X(easy_getinfo)                                                            \
    X(easy_pause)                                                              \
    X(easy_strerror)                                                           \
    X(slist_append)                                                            \
    X(slist_free_all)                                                          \
    X(multi_init)                                                              \
    X(multi_cleanup)                                                           \
    X(multi_setopt)                                                            \
    X(multi_assign)                                                            \
    X(multi_add_handle)                                                        \
    X(multi_remove_handle)                                                     \
    X(multi_info_read)                                                         \
    X(multi_perform)                                                           \
    X(multi_poll)                                                              \
    X(multi_socket_action)                                                     \
    X(multi_strerror)                                                          \
    X(multi_timeout)

struct curl_api {
#define CURL_API_MEMBER(name) __typeof__(&curl_##name) name;
    CURL_API(CURL_API_MEMBER)
#undef CURL_API_MEMBER
};

/* Written once, under pthread_once; the same in every Lua state and thread. */
extern struct curl_api curl;

/* Loads libcurl and initialises it; NULL, or why it could not (the string
 * lives as long as the process). */
const char *curl_api_load(void);

#pragma GCC visibility pop

#endif
