-- listening.lua - streams as far as every isolate needs them: something
-- listens. The rest is stream.lua, which is loaded when somebody uses it.
--
-- This file and boot.lua are part of each isolate's first memory, where a
-- kilobyte is a twentieth of all. So they have no more in them than what an
-- isolate does that listens to messages and sends some, and what goes wrong is
-- in the other files. Their functions use no globals: a table of those would
-- have to be there.

local setmetatable, type, select = setmetatable, type, select

local listening = {}

---Gives what stream.lua has for this file; who loads that later puts the way to
---it here.
---@type fun(): table
listening.rest = nil

-- A function that stream.lua has under [name]. The call is in the tail: an
-- error that names the line of who called finds the same one.
local function late(name)
  return function(...) return listening.rest()[name](...) end
end

---The metatables of streams and subscriptions. Scripts do not see them.
listening.stream = {
  __name = "stream", __metatable = "stream",
  __index = late "field", __tostring = late "describe",
}
listening.subscription = {
  __name = "subscription", __metatable = "subscription",
  __index = late "subscriptionField", __close = late "cancel",
}

---Makes [listeners] those of the stream. The list is replaced, never changed,
---as emit walks it.
function listening.change(stream, listeners)
  stream.listeners = listeners
  return stream.demand(stream)
end

---Adds a listener.
---@return isolate_cluster.Subscription
local function add(stream, fn)
  local old, listeners = stream.listeners, {}
  local count = #old
  for i = 1, count do listeners[i] = old[i] end
  listeners[count + 1] = fn
  listening.change(stream, listeners)
  return setmetatable({ stream = stream, fn = fn }, listening.subscription)
end
listening.add = add

-- The callback form: `context:onMessage(fn)`.
function listening.stream:__call(owner, fn, ...)
  if owner == nil or owner ~= self.owner or type(fn) ~= "function"
    or select("#", ...) > 0 then
    return listening.rest().refuse(self, owner, fn, ...)
  end
  return add(self, fn)
end

return listening
