/* setup.h: tells libcurl of a request. */
#ifndef CONTREE_SETUP_H
#define CONTREE_SETUP_H

#include "transfer.h"

#pragma GCC visibility push(hidden)

/* Sets the options of the easy handle, once the transfer has its request,
 * the source of its body and its sink. A handle that was set up for the same
 * request is only told what differs. False when there is no memory. */
bool setup_transfer(struct transfer *transfer, const char *url);

#pragma GCC visibility pop

#endif
