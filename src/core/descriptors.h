/* descriptors.h: no program that the host starts inherits a descriptor of ours.
 *
 * Our own descriptors are close-on-exec from the beginning. libcurl lets us
 * open its sockets, but not the pairs of sockets by which its threads wake it.
 * Older versions make those inheritable, so they are searched for. */
#ifndef CONTREE_DESCRIPTORS_H
#define CONTREE_DESCRIPTORS_H

#include <curl/curl.h>
#include <lua.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* For CURLOPT_OPENSOCKETFUNCTION. */
curl_socket_t descriptors_open_socket(void *user, curlsocktype purpose,
                                      struct curl_sockaddr *address);

/* The numbers from the lowest free one on, and which of them are taken. */
struct fd_window {
    int first; /* -1: not known */
    uint64_t taken;
};

/* To be called before a function that may open a pair of sockets. */
struct fd_window descriptors_look(void);

/* Makes pairs close-on-exec that were opened since then. */
void descriptors_keep_new(const struct fd_window *before);

/* Makes a socket of libcurl close-on-exec, and its other end if it is one of a
 * pair. */
void descriptors_keep(int fd);

/* core.keep(file): the same for a file that Lua has opened; returns it. */
int descriptors_lua_keep(lua_State *L);

#pragma GCC visibility pop

#endif
