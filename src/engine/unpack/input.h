/* input.h: the bytes of the archive. */
#ifndef CONTREE_UNPACK_INPUT_H
#define CONTREE_UNPACK_INPUT_H

#include "unpack/state.h"

/* Open u->a on the input. */
int input_open(struct unpack *u);
/* Fail because libarchive could not read on. */
int input_fault(struct unpack *u);
/* At the end of an archive: fails if it was empty because it is no tar. */
int input_check_kind(struct unpack *u);

#endif
