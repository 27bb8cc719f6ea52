/* orders.h: orders to the processes of a run that wait while a snapshot has
 * stopped them: starts of others, and signals. */
#ifndef CONTREE_OPERATION_ORDERS_H
#define CONTREE_OPERATION_ORDERS_H

struct operation;
/* The processes go on: give the orders that have waited. */
void orders_go_on(struct operation *op);

#endif
