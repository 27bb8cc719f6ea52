/* descriptors.h: no program that the host starts inherits a descriptor of ours.
 *
 * What we open ourselves is made close-on-exec as it is opened. libcurl lets us
 * open its sockets, but not the pairs by which its threads wake it: older
 * versions make them inheritable, so they are looked for. */
#ifndef CONTREE_DESCRIPTORS_H
#define CONTREE_DESCRIPTORS_H

#include <curl/curl.h>
#include <lua.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* For CURLOPT_OPENSOCKETFUNCTION. */
curl_socket_t descriptors_open_socket(void *user, curlsocktype purpose,
                                      struct curl_sockaddr *address);

/* Some numbers from the lowest on that is free, and which of them are taken. */
struct fd_window {
    int first; /* -1: not known */
    uint64_t taken;
};

/* Looks before something is called that may open a pair of sockets. */
struct fd_window descriptors_look(void);

/* Makes the pair close-on-exec that has been opened since then. */
void descriptors_keep_new(const struct fd_window *before);

/* The same for a socket of libcurl's, and for its other end if it is one of a
 * pair. */
void descriptors_keep(int fd);

/* core.keep(file): the same for a file that Lua has opened; returns it. */
int descriptors_lua_keep(lua_State *L);

#pragma GCC visibility pop

#endif
