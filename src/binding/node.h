// node.h - what Lua code does with a cluster: spawn, look up, watch, shut down.
//
// A cluster is a userdata to the Lua code, which makes an object of it.

#ifndef IC_NODE_H
#define IC_NODE_H

#include <lua.h>

#include "core/cluster.h"

// The cluster whose userdata is the first argument. Stack: [-0, +0]. Raises.
ic_cluster *ic_node_check_cluster(lua_State *L);

// Adds the functions for clusters to the table on the top. Below it is the body.
// Stack: [-0, +0]. Raises memory errors.
void ic_node_open(lua_State *L);

#endif
