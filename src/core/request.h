/* request.h: reads a Lua table into a transfer that is ready to start.
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
 */
#ifndef CONTREE_REQUEST_H
#define CONTREE_REQUEST_H

#include "transfer.h"

#include <lua.h>

#pragma GCC visibility push(hidden)

/* Reads the table at `index` into `transfer`, whose easy handle is fresh, and
 * sets all options but the callbacks. Raises for an unknown key, a wrong type,
 * and control characters. */
void request_read(lua_State *L, int index, struct transfer *transfer);

#pragma GCC visibility pop

#endif
