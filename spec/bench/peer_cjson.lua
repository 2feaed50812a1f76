-- peer_cjson.lua - lua-cjson, for the format alone.
--
--   isolate-cluster run peer_cjson.lua codec SECONDS
--
-- Run by this project's command, so that both formats have the same Lua.

local cjson = require "cjson"

require "codec"(cjson.encode, cjson.decode, tonumber(arg[2]))
