-- monitor.lua - waiting for the end of one isolate: the same for contexts and
-- clusters, whose methods end in a call of Monitor.new.

local check = require "isolate_cluster.check"
local class = require "isolate_cluster.class"
local core = require "isolate_cluster.core"

---@class isolate_cluster.Monitor
---@field private number integer
local Monitor, meta = class "monitor"

-- By number: what each that waits calls.
local waiting = {} ---@type table<integer, fun(ref, reason, err)>

---Calls fn(ref, reason, err) once, when the isolate of [ref] ends; if it has
---ended already, as the next event.
---@param call string the call as it is written: "context:monitor"
---@return isolate_cluster.Monitor
function Monitor.new(call, ref, fn)
  if not core.isRef(ref) then
    error(("%s wants a ref, got %s"):format(call, check.describe(ref)), 2)
  end
  check.is(fn, "function", "what " .. call .. " calls")
  local number = core.watchEnd(ref)
  waiting[number] = fn
  return setmetatable({ number = number }, meta)
end

---Takes the monitor back; doing it again, or too late, does nothing.
function Monitor:cancel()
  check.self(self, meta, "monitor:cancel")
  if not waiting[self.number] then return end
  waiting[self.number] = nil
  core.forgetEnd(self.number)
end

meta.__close = Monitor.cancel

---Whether a monitor waits.
function Monitor.any()
  return next(waiting) ~= nil
end

core.on("ended", function(number, ref, reason, err)
  local fn = waiting[number]
  waiting[number] = nil
  if fn then return fn(ref, reason, err) end
end)

return Monitor
