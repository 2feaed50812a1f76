-- boot.lua - an isolate as far as every one needs it: a context with properties
-- and messages, and a start. The rest is isolate.lua, which is loaded when it
-- is first used; see listening.lua for what must be here, and what must not.
--
-- It runs once for the process: what it makes is copied into every isolate. So
-- it makes nothing that one isolate has and another has not.

local core = select(2, ...)
local listening = core.require "isolate_cluster.listening"

local setmetatable, type = setmetatable, type
local rest, setHandler = core.rest, core.setHandler
local own, started = core.own, core.started

local boot = {}

---The metatable of the context.
local meta = { __name = "context", __metatable = "context" }
boot.meta = meta

---The streams of the context that have been used, by name.
---@type table<string, isolate_cluster.Stream>
boot.streams = {}

---The coroutine in which the entry runs, until it has returned.
---@type thread?
boot.entry = nil

-- Loading it puts another in this one's place.
function listening.rest()
  rest()
  return listening.rest()
end

local context = setmetatable({}, meta)
boot.context = context

-- One plain listener is called by the C side without a step in between.
function boot.takeMessages(stream)
  local listeners = stream.listeners
  if listeners[2] then return setHandler(rest().emitter(stream)) end
  return setHandler(listeners[1])
end

boot.streams.onMessage = setmetatable({
  name = "context.onMessage", listeners = {}, demand = boot.takeMessages,
  owner = context,
}, listening.stream)

---The value of a property that the spawner gave, or nil.
local function property(self, key)
  if self ~= context or key == nil then
    return rest().refuseProperty(self, key)
  end
  return own("properties")[key]
end

boot.property = property

function meta:__index(name)
  if name == "property" then return property end
  local value = boot.streams[name] or own(name)
  if value ~= nil then return value end
  return rest().field(self, name)
end

local function late(name)
  return function(...) return rest()[name](...) end
end

meta.__newindex = late "setField"
meta.__tostring = late "describe"
boot.exit = late "exit"  -- os.exit

-- Runs the entry, in the coroutine [co]. The chunk of a file may return one.
function boot.start(co, entry, mayReturnEntry)
  boot.entry = co
  local result = entry(context)
  if mayReturnEntry and type(result) == "function" then result(context) end
  boot.entry = nil
  return started()
end

return boot
