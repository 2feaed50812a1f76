-- init.lua - the module's table: starting clusters, and the value format.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"

local IsolateCluster = {}

---The version of the library, as in isolate_cluster.h.
IsolateCluster.version = core.version_text

local OPTIONS = { thread = true, threads = true, sandbox = true,
  limits = true, stuckAfter = true, isolates = true }

local function checkCount(name, count, most)
  local fits = count == nil
    or math.type(count) == "integer" and count >= 1 and count <= most
  if fits then return end
  error(("option '%s' must be an integer from 1 to %d, got %s")
    :format(name, most, check.describe(count)), 3)
end

-- Milliseconds for the core; negative is never.
local function readStuckAfter(seconds)
  if seconds == nil then return nil end
  if seconds == false then return -1 end
  local isNumber = type(seconds) == "number" and seconds == seconds
  if not isNumber or seconds < 0 then
    error(("option 'stuckAfter' must be 0 seconds or more, or false, got %s")
      :format(check.describe(seconds)), 3)
  end
  if seconds == 0 or seconds > 1e9 then return -1 end
  return math.max(1, math.floor(seconds * 1000))
end

---Starts a cluster of one node; it is up when this returns.
---@param options? { thread?: "own"|"shared", threads?: integer, sandbox?: any }
---what runs and confines an isolate if its spawn does not say; how many
---the pool runs at once, as many as there are cores if none is given
---@return isolate_cluster.Cluster
function IsolateCluster.singleNode(options)
  if options == IsolateCluster then
    error("write IsolateCluster.singleNode(...), with a dot", 2)
  end
  check.options(options, OPTIONS, "singleNode")
  if core.isIsolate() then
    error("an isolate can't start a cluster; it is in one: use its context", 2)
  end
  -- The command line's, where the script says nothing.
  if core.withDefaults then options = core.withDefaults(options) end
  local isShared = require("isolate_cluster.spawn").isShared(options)
  local threads = options and options.threads
  checkCount("threads", threads, 1024)
  local isolates = options and options.isolates
  checkCount("isolates", isolates, 1000000000)
  local sandbox = options and options.sandbox
  if sandbox ~= nil then
    sandbox = require("isolate_cluster.sandbox").read(sandbox, 2)
  end
  local limits = require("isolate_cluster.limits").ofNode(options, 2)
  return require("isolate_cluster.cluster").new(isShared, threads,
    sandbox and core.encode(sandbox), limits,
    readStuckAfter(options and options.stuckAfter), isolates)
end

---A supervisor's description as an entry for spawnIsolate; or, for the ref of
---one that runs, its handle.
---@param what table|isolate_cluster.Ref
---@return isolate_cluster.Supervisor|isolate_cluster.SupervisorHandle
function IsolateCluster.supervisor(what)
  if what == IsolateCluster then
    error("write IsolateCluster.supervisor(...), with a dot", 2)
  end
  if core.isRef(what) then
    return require("isolate_cluster.supervisor_handle").new(what)
  end
  return require("isolate_cluster.supervisor_plan").new(what)
end

---The CBOR bytes of a value; nil, text, "unsendable" if it can't be sent.
---@type fun(value: any): string?, string?, string?
IsolateCluster.encode = core.encode

---The value that is encoded in [bytes]: exactly one CBOR item.
---Else nil, text and "malformed" or "range".
---@type fun(bytes: string): any, string?, string?
IsolateCluster.decode = core.decode

return IsolateCluster
