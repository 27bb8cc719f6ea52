/* request.h: what a table of Lua asks for.
 *
 * The table's keys, all but url optional:
 *
 *   method           "GET" (the default), "POST", ...: upper-case letters
 *   url              begins with http:// or https://
 *   unix_socket      path of the socket to connect to instead of url's host
 *   headers          list of "Name: value"
 *   body             string | {path=, offset=0, length=to the end}
 *                    | {chunks=true}, then transfer:write() and finish()
 *   sink             where a body goes: "string" (the default), {path=,
 *                    mode=0600}, "chunks", "events"; see sink.h
 *   max_body         bytes of a string, 64 MiB; more is an error
 *   high_water       bytes of chunks or events held before the server has to
 *                    wait, 1 MiB
 *   sha256           true: digest what a path or chunks receive, else the
 *                    body that is sent
 *   connect_timeout  seconds until connected, 10
 *   idle_timeout     seconds without a byte in either direction
 *   timeout          seconds for all of it
 *   compressed       true: ask for gzip; a gzip body is always decoded
 *   ca_file          path of a PEM file in place of the system's authorities
 *   proxy            URL, "" for none; by default what the environment says
 *   follow           false: redirects are never followed
 *
 * core.request(table) reads a table without url and body once, for many
 * transfers. These are made faster: the easy handle of one that is over is
 * used again as it is. Once its Lua state is being closed, usable() may say
 * false. */
#ifndef CONTREE_REQUEST_H
#define CONTREE_REQUEST_H

#include "sink.h"
#include "source.h"

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum { SOCKET_PATH_SIZE = 108 };

/* Owned by the userdata in Lua and by all that use it (`references`). Does not
 * change once it is read. Texts are NULL when they are not given. */
struct request {
    int references;
    bool prepared;   /* made by core.request() */
    bool repeatable; /* the method may be sent twice (RFC 9110, 9.2.2) */
    bool want_sha256;
    char *method, *socket_path, *ca_file, *proxy;
    struct curl_slist *headers;
    size_t max_body, high_water;
    double connect_timeout, idle_timeout, timeout; /* seconds; 0: none */
};

/* The request at `index`: one that is prepared, or a table, whose url, body and
 * sink fill the next, the next but one and the fourth value of the stack if
 * they are nil. A table is replaced by its request. Raises for an unknown key,
 * a wrong type, and control characters.
 */
struct request *request_of(lua_State *L, int index);
/* Releases the request at `index`, unless it is prepared: its finaliser does
 * not run when the state is being closed. */
void request_let_go(lua_State *L, int index);
/* The url at `index`, checked. */
const char *request_read_url(lua_State *L, int index);
/* Reads the body at `index` into a new source. */
void request_read_body(lua_State *L, int index, const struct request *request,
                       struct source *source);
/* Reads the sink at `index` into a new one. */
void request_read_sink(lua_State *L, int index, struct sink *sink);
/* The time limit at `index`, in seconds. */
double request_seconds(lua_State *L, int index);

struct request *request_hold(struct request *request);
void request_release(struct request *request); /* may be NULL */

/* core.request(table) -> request; request_register() makes its metatable. */
int request_lua_new(lua_State *L);
void request_register(lua_State *L);

#pragma GCC visibility pop

#endif
