/* routes.c: see routes.h. */
#include "api/routes.h"

const struct route *const api_routes[] = {
    whoami_routes,           //
    images_routes,           //
    layers_routes,           //
    merge_routes,            //
    volumes_routes,          //
    files_routes,            //
    files_extensions,        //
    instances_routes,        //
    operations_routes,       //
    subprocesses_routes,     //
    subprocesses_extensions, //
    pause_routes,            //
    snapshot_routes,         //
    usage_routes,            //
    ports_routes,            //
    watch_routes,            //
    signing_routes,          //
    inspect_routes,          //
    inspect_extensions,      //
    gc_routes,               //
    disk_routes,             //
    transfer_routes,         //
    NULL,
};

const struct route *const api_plain_routes[] = {
    whoami_routes,       //
    images_routes,       //
    files_routes,        //
    instances_routes,    //
    operations_routes,   //
    subprocesses_routes, //
    subprocesses_plain,  //
    inspect_routes,      //
    NULL,
};
