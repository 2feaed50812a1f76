-- cluster.lua - a cluster as the host script sees it.
--
-- The host script is no isolate: what waits here blocks its thread, and its
-- listeners are called while something waits.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local spawn = require "isolate_cluster.spawn"
local Stream = require "isolate_cluster.stream"

---@class isolate_cluster.Cluster
---@field up boolean
---@field onIsolateUp isolate_cluster.Stream
---@field onIsolateDown isolate_cluster.Stream
---@field onDeadLetter isolate_cluster.Stream
---@field onStuck isolate_cluster.Stream
local Cluster = {}
Cluster.__name = "cluster"

local DEFAULT_SHUTDOWN_TIMEOUT = 5

-- Seconds between two looks at whether the isolates have settled; the first are
-- short, as most of the time it is done soon.
local SHORTEST_LOOK, LONGEST_LOOK = 2e-5, 1e-3

-- By key: those that are not shut down.
local clusters = {} ---@type table<integer, isolate_cluster.Cluster>

-- What a cluster has inside is not a field of its own, so that
-- `cluster.onIsolateUp = fn` comes to __newindex.
---@class isolate_cluster.ClusterState
---@field handle userdata
---@field streams table<string, isolate_cluster.Stream>
---@field waiters table<integer, true> tickets that an event of the node wakes
---@field more table<string, any>? what else it has, where it is under test

---@type table<isolate_cluster.Cluster, isolate_cluster.ClusterState>
local states = setmetatable({}, { __mode = "k" })

local exitIsOurs = false

-- From the first cluster on os.exit ends the process only after all clusters
-- have been shut down. What it refuses, it refuses at once.
local function takeExit()
  if exitIsOurs then return end
  exitIsOurs = true
  local exit = os.exit
  os.exit = function(code, ...)  -- luacheck: ignore 122
    local isCode = code == nil or type(code) == "boolean"
      or math.tointeger(code) ~= nil
    if isCode then core.shutdownAll(DEFAULT_SHUTDOWN_TIMEOUT) end
    return exit(code, ...)
  end
end

---Starts a cluster of one node; it is up when this returns.
---@return isolate_cluster.Cluster
---@param sandbox string? what confines an isolate whose spawn does not say
---@param limits table? likewise what it may use
---@param stuckAfter integer? milliseconds; negative: never
---@param isolates integer? so many may live at once
function Cluster.new(isShared, threads, sandbox, limits, stuckAfter, isolates)
  local handle =
    core.newCluster(isShared, threads, limits, stuckAfter, isolates)
  if sandbox then core.setDefaultSandbox(handle, sandbox) end
  takeExit()
  local cluster = setmetatable({}, Cluster)
  local streams = {}
  local function watch()
    core.watch(handle, streams.onIsolateUp.listeners[1] ~= nil,
      streams.onIsolateDown.listeners[1] ~= nil,
      streams.onDeadLetter.listeners[1] ~= nil,
      streams.onStuck.listeners[1] ~= nil)
  end
  for _, name in ipairs { "onIsolateUp", "onIsolateDown", "onDeadLetter",
    "onStuck" } do
    streams[name] = Stream.new("cluster." .. name, watch, true)
    streams[name].owner = cluster
  end
  states[cluster] = { handle = handle, streams = streams, waiters = {} }
  clusters[core.clusterKey(handle)] = cluster
  return cluster
end

---Gives a cluster more methods and fields of its own, for testing; its handle.
---@param more table<string, any>
function Cluster.extend(cluster, more)
  local state = states[cluster]
  state.more = more
  return state.handle
end

local function emit(name, key, ...)
  local cluster = clusters[key]
  if cluster then states[cluster].streams[name]:emit(...) end
end

-- Wakes all who wait for something to change in the node.
local function wakeWaiters(key)
  local cluster = clusters[key]
  if not cluster then return end
  local state = states[cluster]
  local waiters = state.waiters
  state.waiters = {}
  for ticket in pairs(waiters) do loop.wake(ticket, true) end
end

core.on("up", function(ref, key) emit("onIsolateUp", key, ref) end)
core.on("down", function(ref, reason, err, key)
  emit("onIsolateDown", key, ref, reason, err)
end)
core.on("deadLetter", function(letter, key)
  emit("onDeadLetter", key, letter)
end)
core.on("stuck", function(report, key) emit("onStuck", key, report) end)
core.on("empty", wakeWaiters)
-- The last event of a cluster: only then is there nothing more to be told.
core.on("nodeDown", function(key)
  local cluster = clusters[key]
  if cluster then
    spawn.nodeDown(states[cluster].handle)
    core.leaveSimulation(states[cluster].handle)
  end
  wakeWaiters(key)
  clusters[key] = nil
end)

function Cluster:__index(name)
  local state = states[self]
  local value = state.more and state.more[name]
  if value == nil then value = Cluster[name] end
  if value ~= nil then return value end
  if name == "up" then return core.isUp(state.handle) end
  value = state.streams[name]
  if value ~= nil then return value end
  error(("a cluster has no field %s"):format(check.describe(name)), 2)
end

function Cluster:__newindex(name, value)
  local stream = states[self].streams[name]
  if not stream then
    error(("can't set cluster.%s; onIsolateUp, onIsolateDown, "
      .. "onDeadLetter and onStuck can be set"):format(tostring(name)), 2)
  end
  stream:assign(value)
end

function Cluster:__tostring()
  return core.isUp(states[self].handle) and "cluster (up)" or "cluster (down)"
end

---Spawns an isolate: [path,] entry [, properties [, options]].
---@return isolate_cluster.Ref? ref, string? message, string? code
function Cluster:spawnIsolate(...)
  check.self(self, Cluster, "cluster:spawnIsolate")
  return spawn.isolate(states[self].handle, ...)
end

---The isolate that has [path] now, or nil, text, code.
function Cluster:lookupIsolate(path)
  check.self(self, Cluster, "cluster:lookupIsolate")
  return spawn.lookup(states[self].handle, path)
end

---All isolates beneath [prefix], sorted by path.
function Cluster:lookupIsolates(prefix)
  check.self(self, Cluster, "cluster:lookupIsolates")
  return spawn.list(states[self].handle, prefix)
end

---Calls fn(ref, reason, err) once when the isolate of [ref] ends, or soon if it
---has ended already.
---@return isolate_cluster.Monitor
function Cluster:monitor(ref, fn)
  check.self(self, Cluster, "cluster:monitor")
  local Monitor = require "isolate_cluster.monitor"
  return Monitor.new("cluster:monitor", ref, fn)
end

-- Waits until isDone() is true, which an event of the node may make it. The
-- listeners of the events before have been called then.
local function waitFor(state, isDone, timeout, text)
  local deadline = timeout and core.now() + timeout
  local version
  repeat
    while not isDone() do
      local left = deadline and deadline - core.now()
      if left and left <= 0 then return nil, text, "timeout" end
      local ticket = loop.ticket()
      state.waiters[ticket] = true
      loop.await(ticket, left)
      state.waiters[ticket] = nil
    end
    version = core.version(state.handle)
    if not core.isPumping() then core.pump(core.now()) end
    -- The listeners may have spawned, and that may have ended again.
  until isDone() and core.version(state.handle) == version
  return true
end

---Waits until no isolate is left: true, or nil, text, "timeout".
function Cluster:wait(timeout)
  check.self(self, Cluster, "cluster:wait")
  check.seconds(timeout, "the timeout", true)
  local state = states[self]
  local function isEmpty() return core.liveIsolates(state.handle) == 0 end
  return waitFor(state, isEmpty, timeout,
    timeout and ("isolates are left after %g s"):format(timeout))
end

local NAMED = 3 -- isolates, in a text

-- ": /a, /b and 5 more": who keeps a cluster from settling.
local function describeBusy(handle)
  local paths = {}
  for i, ref in ipairs(core.listBusy(handle) or {}) do paths[i] = ref.path end
  if #paths == 0 then return "" end
  table.sort(paths)
  local more = #paths > NAMED and (" and %d more"):format(#paths - NAMED) or ""
  return ": " .. table.concat(paths, ", ", 1, math.min(#paths, NAMED)) .. more
end

---Waits until every isolate is idle, no message is on its way and no timer is
---due: true, or nil, text, "timeout". Who waits for a reply or a later time is
---idle.
function Cluster:settle(timeout)
  check.self(self, Cluster, "cluster:settle")
  check.seconds(timeout, "the timeout", true)
  local handle = states[self].handle
  local deadline = timeout and core.now() + timeout
  -- Simulated isolates settle while this looks away, and take no time for it.
  local pause = core.isSimulated(handle) and 0 or SHORTEST_LOOK
  while not core.isSettled(handle) do
    local now = core.now()
    if deadline and now >= deadline then
      return nil, ("isolates are busy after %g s%s"):format(timeout,
        describeBusy(handle)), "timeout"
    end
    loop.await(loop.ticket(), pause)
    pause = math.min(pause * 2, LONGEST_LOOK)
  end
  return true
end

---Asks every isolate to end, and stops those that are left after [timeout]
---seconds. True if all agreed, false if some had to be stopped.
---@param timeout? number 5 s if none is given
---@return boolean? agreed, string? message, string? code
function Cluster:shutdown(timeout)
  check.self(self, Cluster, "cluster:shutdown")
  check.seconds(timeout, "the timeout", true)
  local state = states[self]
  local begun, text, code =
    core.beginShutdown(state.handle, timeout or DEFAULT_SHUTDOWN_TIMEOUT)
  if not begun then return nil, text, code end
  waitFor(state, function() return not core.isUp(state.handle) end)
  return core.endShutdown(state.handle)
end

---Figures of each isolate, and of all together.
function Cluster:stats()
  check.self(self, Cluster, "cluster:stats")
  local state = states[self]
  local stats = core.stats(state.handle)
  stats.up = core.isUp(state.handle)
  return stats
end

local function findBusy()
  for _, cluster in pairs(clusters) do
    if core.liveIsolates(states[cluster].handle) > 0 then return cluster end
  end
end

-- Rises with whatever the listeners hear of.
local function countEvents()
  local count = 0
  for _, cluster in pairs(clusters) do
    count = count + core.version(states[cluster].handle)
  end
  return count
end

---What the command does when the script is done: waits until no cluster has an
---isolate left, those included that listeners start meanwhile, and until the
---listeners have heard of all.
function Cluster.waitForAll()
  local count
  repeat
    count = countEvents()
    local cluster = findBusy()
    if cluster then cluster:wait() else core.pump(core.now()) end
  until not findBusy() and countEvents() == count
end

return Cluster
