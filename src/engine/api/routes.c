/* routes.c: see routes.h. */
#include "api/routes.h"

const struct route *const api_routes[] = {
    whoami_routes,       //
    images_routes,       //
    layers_routes,       //
    merge_routes,        //
    volumes_routes,      //
    files_routes,        //
    instances_routes,    //
    operations_routes,   //
    subprocesses_routes, //
    pause_routes,        //
    usage_routes,        //
    ports_routes,        //
    inspect_routes,      //
    gc_routes,           //
    transfer_routes,     //
    NULL,
};
