/* trust.h: one more certificate authority for the programs of a sandbox. */
#ifndef CONTREE_INIT_TRUST_H
#define CONTREE_INIT_TRUST_H

#include "init/failure.h"

/* Writes the files TRUST_... (protocol.h): those that can be read from
 * `certificate`, and the certificates that the image trusts, if it has a file
 * of them. */
int trust_also(int certificate, struct failure *f);

#endif
