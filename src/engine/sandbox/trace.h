/* trace.h: what a sandbox tried: the calls that were refused, the programs that
 * it executed, and on wish its files. A thread of its own answers the listener
 * of the sandbox's filter (asking_filter.h), because a call in the sandbox
 * waits for each answer. What it knows is told when the sandbox has ended. */
#ifndef CONTREE_SANDBOX_TRACE_H
#define CONTREE_SANDBOX_TRACE_H

#include "base/fault.h"
#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct trace;

/* Both are called from the loop. */
struct trace_callbacks {
    /* For each different thing an object: `event` is "traced", `count` how
     * often it was, and one of
     *
     *   call           a system call that was refused
     *   program        a program that was executed
     *   missing        a file that was looked for, and was not there
     *   read, written  a file that was opened
     *   reason         "more": what there was no room for
     *
     * Paths are absolute in the sandbox. What is in /proc, /sys and /dev is not
     * told, nor what was only read of the places where packages put programs.
     */
    void (*told)(void *arg, const json_t *report);
    /* The last call. The trace is freed after it. */
    void (*ended)(void *arg);
};

/* Takes `listener` over, also on failure. `plain` is the file of the filter
 * that decides, which is read. With `files` the first call that is asked about
 * must be one of the sandbox's init, whose calls are not told; without, init
 * makes none that is asked about. ended() comes when the last process of the
 * sandbox is gone. */
struct trace *trace_start(uv_loop_t *loop, int listener, int plain, bool files,
                          const struct trace_callbacks *on, void *arg,
                          struct fault *f);

#endif
