/* keystore.h: the file of certificates that Java reads, of a PEM's. */
#ifndef CONTREE_INIT_KEYSTORE_H
#define CONTREE_INIT_KEYSTORE_H

#include <stddef.h>

/* Writes all certificates of `pem`, of `length` bytes, to `fd`, as a keystore
 * (JKS) that is loaded without a password. Other blocks of the text, and what
 * is no base64, are left out. Changes the text. 0, or -1 with errno. */
int keystore_write(int fd, char *pem, size_t length);

#endif
