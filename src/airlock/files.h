/* files.h: which files the airlock may open. */
#ifndef CONTREE_AIRLOCK_FILES_H
#define CONTREE_AIRLOCK_FILES_H

/* From now on only what resolving names and verifying certificates need can be
 * opened, to be read: system directories, no user's. Best effort: Linux can
 * since 5.13 (Landlock). For this thread and those it starts. */
void files_confine(void);

#endif
