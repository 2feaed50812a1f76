-- context.lua - what an isolate's entry receives: its events, its timers, its
-- place in the cluster.

local check = require "isolate_cluster.check"
local class = require "isolate_cluster.class"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local Stream = require "isolate_cluster.stream"
local timers = require "isolate_cluster.timers"

---@class isolate_cluster.Context
---@field path string
---@field properties table
---@field isolateRef isolate_cluster.Ref
---@field onMessage isolate_cluster.Stream
---@field onIsolateUp isolate_cluster.Stream
---@field onIsolateDown isolate_cluster.Stream
---@field onError isolate_cluster.Stream
---@field onShutdownRequest isolate_cluster.Stream
local Context = {}

-- What binding/context.c has begun. A state has one context.
local context, meta, onMessage = core.contextShells()

local DEFAULT_SHUTDOWN_TIMEOUT = 5

local Monitor ---@type table? monitor.lua, once it is needed

-- Loaded once it is needed, too: a fifth of all this, and most isolates spawn
-- none.
local function spawn() return require "isolate_cluster.spawn" end

-- One plain listener is called by the C side without a step in between.
local function takeMessages(stream)
  local listeners = stream.listeners
  if not listeners[2] then return core.setHandler(listeners[1]) end
  return core.setHandler(function(...) return stream:emit(...) end)
end

-- What the context has inside is not a field of its own, so that
-- `context.onMessage = fn` comes to __newindex.
local streams = {
  onMessage = Stream.adopt(onMessage, "context.onMessage", takeMessages),
}
onMessage.owner = context

local fields = {} ---@type table<string, any>

local function isListenedTo(name)
  return streams[name].listeners[1] ~= nil
end

-- The core looks for deadlocks only where nothing else can call our code.
local function tellListening()
  core.setListening(isListenedTo "onIsolateUp" or isListenedTo "onIsolateDown"
    or isListenedTo "onShutdownRequest")
end

local function watch()
  tellListening()
  core.watch(fields.handle, isListenedTo "onIsolateUp",
    isListenedTo "onIsolateDown")
end

local function nothing() end

---Makes the one context of this state.
function Context.new(handle)
  fields.handle = handle
  -- While the entry runs the isolate watches everything, so that nothing is
  -- missed before it could listen; see Context.started.
  streams.onIsolateUp = Stream.new("context.onIsolateUp", nothing, true)
  streams.onIsolateDown = Stream.new("context.onIsolateDown", nothing, true)
  streams.onError = Stream.new("context.onError", nothing, true)
  streams.onShutdownRequest =
    Stream.new("context.onShutdownRequest", tellListening, true)
  for _, stream in pairs(streams) do stream.owner = context end
  return context
end

---From now on the isolate watches only what it listens to.
function Context.started()
  streams.onIsolateUp.demand = watch
  streams.onIsolateDown.demand = watch
  watch()
end

---Whether anything can still call the isolate's code.
function Context.isAlive()
  if loop.isBusy() then return true end
  for name in pairs(streams) do
    if name ~= "onError" and isListenedTo(name) then return true end
  end
  return Monitor ~= nil and Monitor.any()
end

---@return function[]
function Context.listeners(name)
  return streams[name].listeners
end

---Gives an event to its listeners; false if there are none.
function Context.emit(name, ...)
  if not isListenedTo(name) then return false end
  streams[name]:emit(...)
  return true
end

-- What other files of ours call, and scripts do not see.
local PRIVATE = { new = true, started = true, isAlive = true,
  listeners = true, emit = true, rest = true }

-- In place of the C side's, which does not know all of it.
function meta:__index(name)
  local value = Context[name]
  if value ~= nil and not PRIVATE[name] then return value end
  value = streams[name]
  if value ~= nil then return value end
  value = core.own(name)
  if value ~= nil then return value end
  error(("a context has no field %s"):format(check.describe(name)), 2)
end

function meta:__newindex(name, value)
  local stream = streams[name]
  if not stream then
    error(("can't set context.%s; onMessage, onIsolateUp, onIsolateDown, "
      .. "onError and onShutdownRequest can be set"):format(tostring(name)), 2)
  end
  stream:assign(value)
end

function meta:__tostring()
  return "context of " .. core.own "path"
end

Context.property = core.property

---What the C side calls; isolate.lua adds more.
Context.rest = {}

---What core.property does not take.
function Context.rest.refuseProperty(self, key)
  check.self(self, meta, "context:property")
  if key == nil then error("context:property wants a key, got nil", 2) end
end

---Spawns an isolate: [path,] entry [, properties [, options]].
---@return isolate_cluster.Ref? ref, string? message, string? code
function Context:spawnIsolate(...)
  check.self(self, meta, "context:spawnIsolate")
  return spawn().isolate(fields.handle, ...)
end

---The isolate that has [path] now, or nil, text, code.
function Context:lookupIsolate(path)
  check.self(self, meta, "context:lookupIsolate")
  return spawn().lookup(fields.handle, path)
end

---All isolates beneath [prefix], sorted by path.
function Context:lookupIsolates(prefix)
  check.self(self, meta, "context:lookupIsolates")
  return spawn().list(fields.handle, prefix)
end

---All isolates beneath [prefix], to be sent to as one.
function Context:group(prefix, options)
  check.self(self, meta, "context:group")
  local Group = require "isolate_cluster.group"
  return Group.new(fields.handle, prefix, options)
end

---Calls fn(ref, reason, err) once when the isolate of [ref] ends, or soon if it
---has ended already.
---@return isolate_cluster.Monitor
function Context:monitor(ref, fn)
  check.self(self, meta, "context:monitor")
  Monitor = Monitor or require "isolate_cluster.monitor"
  return Monitor.new("context:monitor", ref, fn)
end

---Ends this isolate once the handler that runs has returned, or waits.
function Context:shutdownIsolate()
  check.self(self, meta, "context:shutdownIsolate")
  core.stop "shutdown"
end

---Begins the shutdown of the whole node; this isolate is asked to end as all
---others are.
---@param timeout? number seconds until those left are stopped by force
---@return true? begun, string? message, string? code
function Context:shutdownNode(timeout)
  check.self(self, meta, "context:shutdownNode")
  check.seconds(timeout, "the timeout", true)
  if core.isConfined() then
    return nil, "a sandboxed isolate may not shut the node down", "denied"
  end
  return core.beginShutdown(fields.handle, timeout or DEFAULT_SHUTDOWN_TIMEOUT)
end

---Waits; other messages are handled meanwhile.
function Context:sleep(seconds)
  check.self(self, meta, "context:sleep")
  check.seconds(seconds, "the time to sleep")
  loop.await(loop.ticket(), seconds)
end

---@class isolate_cluster.Timer
---@field private entry isolate_cluster.TimerEntry
---@field private interval number? of one that repeats
local Timer, timerMeta = class "timer"

---Takes the timer back; doing it again, or too late, does nothing.
function Timer:cancel()
  check.self(self, timerMeta, "timer:cancel")
  timers.cancel(self.entry)
end

local function fire(fn)
  loop.run(fn)
end

---Calls fn() once after [seconds].
---@return isolate_cluster.Timer
function Context:after(seconds, fn)
  check.self(self, meta, "context:after")
  check.seconds(seconds, "the delay")
  check.is(fn, "function", "what context:after calls")
  local entry = timers.add(core.now() + seconds, fire, fn)
  return setmetatable({ entry = entry }, timerMeta)
end

-- The next time is counted from the last, so that the ticks don't drift; those
-- that were missed are left out.
local function tick(timer, fn)
  local now = core.now()
  local interval = timer.interval
  local deadline = timer.entry.deadline + interval
  if deadline <= now then
    local missed = interval > 0 and (now - deadline) // interval + 1 or 0
    -- Of an interval that is next to nothing they may be more than there are
    -- numbers.
    if missed == math.huge then missed = 0 end
    deadline = math.max(deadline + missed * interval, now)
  end
  timers.again(timer.entry, deadline)
  loop.run(fn)
end

---Calls fn() every [seconds].
---@return isolate_cluster.Timer
function Context:every(seconds, fn)
  check.self(self, meta, "context:every")
  check.seconds(seconds, "the interval")
  check.is(fn, "function", "what context:every calls")
  local timer = setmetatable({ interval = seconds }, timerMeta)
  timer.entry = timers.add(core.now() + seconds, tick, timer, fn)
  return timer
end

return Context
