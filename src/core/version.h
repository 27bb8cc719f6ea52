/* version.h: the version of contree, of the module and of the engine.
 * Scripts read it here. */
#ifndef CONTREE_VERSION_H
#define CONTREE_VERSION_H

#define CONTREE_VERSION "0.1.0"

#endif
