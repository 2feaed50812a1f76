-- init.lua - the module's table: starting clusters, and the value format.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"

local IsolateCluster = {}

---The version of the library, as in isolate_cluster.h.
IsolateCluster.version = core.version_text

local OPTIONS = {}

---Starts a cluster of one node; it is up when this returns.
---@param options? table none are known yet
---@return isolate_cluster.Cluster
function IsolateCluster.singleNode(options)
  if options == IsolateCluster then
    error("write IsolateCluster.singleNode(...), with a dot", 2)
  end
  check.options(options, OPTIONS, "singleNode")
  if core.isIsolate() then
    error("an isolate can't start a cluster; it is in one: use its context", 2)
  end
  require "isolate_cluster.ref"
  return require("isolate_cluster.cluster").new()
end

---The CBOR bytes of a value; nil, text, "unsendable" if it can't be sent.
---@return string? bytes, string? message, string? code
function IsolateCluster.encode(...)
  if select("#", ...) == 0 then
    error("IsolateCluster.encode wants a value, got nothing", 2)
  end
  return core.encode((...))
end

---The value that is encoded in [bytes]: exactly one CBOR item.
---@return any value, string? message, string? code "malformed" or "range"
function IsolateCluster.decode(bytes)
  check.is(bytes, "string", "what IsolateCluster.decode reads")
  return core.decode(bytes)
end

return IsolateCluster
