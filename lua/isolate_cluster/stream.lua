-- stream.lua - events that can be listened to, filtered, and waited for.
--
-- A stream that nobody listens to asks its source for nothing. So the messages
-- of an isolate stay in its mailbox until somebody listens or waits, and a
-- stream made by where or map listens to its source only while it has listeners
-- itself.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"

---@class isolate_cluster.Stream
---@field private name string how the stream is written: "context.onMessage"
---@field private listeners function[] replaced, never changed: emit walks it
---@field private demand fun(stream: isolate_cluster.Stream) told of changes
---@field private buffers boolean? iter keeps what comes between its turns
---@field private owner any what the callback form is called on
---@field private assigned isolate_cluster.Subscription? the one set by `=`
local Stream = {}

-- In an isolate they are there already (binding/context.c), with less in them.
local meta, subscriptionMeta = core.streamShells()
meta.__index = Stream

---@class isolate_cluster.Subscription
---@field private stream isolate_cluster.Stream?
---@field private fn function
local Subscription = {}
subscriptionMeta.__index = Subscription

-- Makes [listeners] those of the stream. The list is replaced, never changed,
-- as emit walks it.
local function change(stream, listeners)
  stream.listeners = listeners
  return stream.demand(stream)
end

local function add(stream, fn)
  local old, listeners = stream.listeners, {}
  local count = #old
  for i = 1, count do listeners[i] = old[i] end
  listeners[count + 1] = fn
  change(stream, listeners)
  return setmetatable({ stream = stream, fn = fn }, subscriptionMeta)
end

---@param demand fun(stream: isolate_cluster.Stream) called when the listeners
---  have changed
---@param buffers boolean?
---@return isolate_cluster.Stream
function Stream.new(name, demand, buffers)
  return setmetatable({
    name = name, listeners = {}, demand = demand, buffers = buffers,
  }, meta)
end

---Makes one of what the C side has begun, which may have a listener.
---@return isolate_cluster.Stream
function Stream.adopt(stream, name, demand)
  stream.name, stream.demand = name, demand
  stream.listeners = stream.listeners or {}
  return stream
end

---Ends the subscription; ending it again does nothing.
function Subscription:cancel()
  check.self(self, subscriptionMeta, "subscription:cancel")
  local stream = self.stream
  if not stream then return end
  self.stream = nil
  local listeners, found = {}, false
  for _, fn in ipairs(stream.listeners) do
    if fn == self.fn and not found then
      found = true
    else
      listeners[#listeners + 1] = fn
    end
  end
  change(stream, listeners)
end

subscriptionMeta.__close = Subscription.cancel

---Calls fn(...) for each event from now on.
---@return isolate_cluster.Subscription
function Stream:listen(fn)
  check.self(self, meta, "stream:listen")
  check.is(fn, "function", "the listener")
  return add(self, fn)
end

---Makes [fn] the one listener that assigning sets; nil takes it away.
function Stream:assign(fn)
  if fn ~= nil and type(fn) ~= "function" then
    error(("%s must be a function or nil, got %s")
      :format(self.name, check.describe(fn)), 3)
  end
  local old = self.assigned
  self.assigned = fn and add(self, fn)
  if old then old:cancel() end
end

local function contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

---Gives an event to the listeners. One is called as it is; of several each runs
---in a coroutine of its own, so that none waits for another, nor is left out by
---another's error. Who was cancelled meanwhile gets nothing.
function Stream:emit(...)
  local listeners = self.listeners
  local first = listeners[1]
  if not listeners[2] then
    if first then return first(...) end
    return
  end
  for _, fn in ipairs(listeners) do
    if listeners == self.listeners or contains(self.listeners, fn) then
      loop.run(fn, ...)
    end
  end
end

-- A stream of what forward(stream, ...) emits for each event of the source.
local function derive(source, name, forward)
  local subscription
  return Stream.new(name, function(stream)
    local wanted = stream.listeners[1] ~= nil
    if wanted and not subscription then
      subscription = add(source, function(...) return forward(stream, ...) end)
    elseif not wanted and subscription then
      subscription:cancel()
      subscription = nil
    end
  end, source.buffers)
end

---The events for which predicate(...) is true.
function Stream:where(predicate)
  check.self(self, meta, "stream:where")
  check.is(predicate, "function", "the predicate")
  return derive(self, self.name .. ":where", function(stream, ...)
    if predicate(...) then return stream:emit(...) end
  end)
end

---The events with fn(...) for their first value.
function Stream:map(fn)
  check.self(self, meta, "stream:map")
  check.is(fn, "function", "the mapping")
  local function pass(stream, value, ...) return stream:emit(value, ...) end
  return derive(self, self.name .. ":map", function(stream, value, ...)
    return pass(stream, fn(value, ...), ...)
  end)
end

---Waits for the next event and returns it; nil, text, "timeout" after [timeout]
---seconds.
function Stream:next(timeout)
  check.self(self, meta, "stream:next")
  check.seconds(timeout, "the timeout", true)
  local ticket = loop.ticket()
  local subscription
  subscription = add(self, function(...)
    subscription:cancel()
    loop.wake(ticket, ...)
  end)
  -- However the wait ends, nothing is taken that nobody gets.
  local _ <close> = subscription
  return loop.await(ticket, timeout,
    timeout and ("nothing came from %s in %g s"):format(self.name, timeout))
end

-- Between the turns of its loop, this keeps the events that come; the loop's
-- closing value ends that, however the loop is left.
local function iterateBuffered(stream)
  local first, last, ticket = 1, 0, nil
  local kept = {}
  local subscription = add(stream, function(...)
    local wanted = ticket
    ticket = nil
    if wanted and loop.wake(wanted, ...) then return end
    last = last + 1
    kept[last] = table.pack(...)
  end)
  local function nextEvent()
    if first > last then
      ticket = loop.ticket()
      return loop.await(ticket)
    end
    local event = kept[first]
    kept[first] = nil
    first = first + 1
    return table.unpack(event, 1, event.n)
  end
  return nextEvent, nil, nil, subscription
end

---For a generic `for`: waits for one event after the other. A message that is
---nil ends the loop, as Lua has it; `next` tells it from the end.
function Stream:iter()
  check.self(self, meta, "stream:iter")
  if self.buffers then return iterateBuffered(self) end
  return function() return self:next() end
end

-- The callback form: `context:onMessage(fn)`.
function meta:__call(owner, fn, ...)
  if owner == nil or owner ~= self.owner then
    error(("write %s(fn), with a colon, or %s:listen(fn)")
      :format((self.name:gsub("%.", ":")), self.name), 2)
  end
  check.is(fn, "function", "the listener")
  if select("#", ...) > 0 then
    error(("%s takes one function"):format(self.name), 2)
  end
  return add(self, fn)
end

function meta:__tostring()
  return self.name
end

return Stream
