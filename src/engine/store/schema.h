/* schema.h: the tables of the database, and how they came to be. */
#ifndef CONTREE_STORE_SCHEMA_H
#define CONTREE_STORE_SCHEMA_H

#include "base/fault.h"
#include <sqlite3.h>

/* Bring a database to the schema of this program; `dir` is for faults. 500 when
 * it was made by a newer one. */
int schema_migrate(sqlite3 *db, const char *dir, struct fault *f);
/* Run statements that give no rows. */
int schema_exec(sqlite3 *db, const char *sql, struct fault *f);

#endif
