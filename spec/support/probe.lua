-- probe.lua - a cluster of isolate_cluster.testing for one spec, with one probe
-- that all its isolates know, and the reasons of their ends.
--
-- Isolates send what they see to probe.ref; the spec asks for all of it with
-- probe:heard(count). Every wait is for an event, with a deadline that only a
-- hang can reach.

local testing = require "isolate_cluster.testing"

local Probe = {}
Probe.__index = Probe
Probe.DEADLINE = 10 -- seconds

---Starts a cluster with the isolate /probe in it.
function Probe.new()
  local probe = setmetatable({ ups = {}, downs = {} }, Probe)
  local cluster = testing.cluster()
  probe.cluster = cluster
  probe.recorder = cluster:probe "/probe"
  probe.ref = probe.recorder.ref
  cluster.onIsolateUp:listen(function(ref)
    table.insert(probe.ups, ref.path)
  end)
  cluster.onIsolateDown:listen(function(ref, reason)
    table.insert(probe.downs, { ref = ref, reason = reason })
  end)
  return probe
end

---Shuts the cluster down; whatever is left by then must agree to end, and no
---thread and no descriptor may be left.
function Probe.close()
  testing.finish()
end

---Spawns an isolate that knows the probe: its property "probe".
---@return isolate_cluster.Ref
function Probe:spawn(path, entry, properties)
  properties = properties or {}
  properties.probe = self.ref
  return assert(self.cluster:spawnIsolate(path, entry, properties))
end

---All that came to probe.ref, once that are [count] values.
---@return table
function Probe:heard(count)
  local values, messages = self.recorder:messages()
  while #messages < count do
    local ok, text = pcall(self.recorder.expect, self.recorder)
    if not ok then
      error(("the probe has not heard %d values: %s"):format(count, text), 2)
    end
    values, messages = self.recorder:messages()
  end
  return values
end

---What came to probe.ref, in the order of its text.
function Probe:heardSorted(count)
  local values = self:heard(count)
  table.sort(values, function(a, b) return tostring(a) < tostring(b) end)
  return values
end

local function checkCaptures(fn)
  for i = 1, debug.getinfo(fn, "u").nups do
    local name = debug.getupvalue(fn, i)
    assert(name == "_ENV", "the function captures " .. name)
  end
end

---Runs fn(context) in an isolate of its own and returns what that returns. The
---isolate is at [path], or at a generated one.
function Probe:inside(path, fn, properties)
  if type(path) == "function" then path, fn, properties = "/", path, fn end
  checkCaptures(fn)
  properties = properties or {}
  properties.code = string.dump(fn)
  local ref = self:spawn(path, "spec.support.inside", properties)
  local results = assert(ref:request(nil, { timeout = self.DEADLINE }))
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

---Waits until the isolate has ended, and returns why it did.
---@return string reason
function Probe:reasonOf(ref)
  while true do
    for _, down in ipairs(self.downs) do
      if down.ref == ref then return down.reason end
    end
    if not self.cluster.onIsolateDown:next(self.DEADLINE) then
      error(("%s has not ended"):format(ref.path), 2)
    end
  end
end

return Probe
