/* stream.h: DNS over TCP: messages, each after two bytes with its length. */
#ifndef CONTREE_AIRLOCK_STREAM_H
#define CONTREE_AIRLOCK_STREAM_H

#include "airlock/dns.h"
#include <uv.h>

enum { STREAM_IDLE_MS = 10000 };

/* Serves a client, takes its socket over, and calls `ended` when it is gone. A
 * client that sends nothing for STREAM_IDLE_MS is left. */
void stream_serve(uv_loop_t *loop, int fd,
                  size_t (*answer)(void *arg, const uint8_t *message,
                                   size_t length, uint8_t out[DNS_ANSWER_MAX]),
                  void (*ended)(void *arg), void *arg);

#endif
