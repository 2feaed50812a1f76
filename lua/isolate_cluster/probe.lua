-- probe.lua - an isolate that records what it gets, and what a test expects of
-- it.
--
-- The isolate answers questions of the test: all that came behind the number
-- that the question names, at once or as soon as there is something.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"

---@class isolate_cluster.Probe
---@field ref isolate_cluster.Ref
---@field private cluster isolate_cluster.TestCluster
---@field private came isolate_cluster.Probed[] all, in order
---@field private left isolate_cluster.Probed[] those that no expect has taken
local Probe = {}
Probe.__index = Probe
Probe.__name = "probe"

---A message as a probe keeps it; its fields are those of a message.
---@class isolate_cluster.Probed
---@field content any
---@field sender isolate_cluster.Ref?
---@field type string?
---@field correlationId any
---@field replyTo isolate_cluster.Ref?

Probe.TIMEOUT = 10 -- seconds, where none is given

-- --- The isolate -----------------------------------------------------------

local function record(context)
  local came, count = {}, 0
  local question

  local function answer()
    local list = table.move(came, question.content.from + 1, count, 1, {})
    question:reply(list)
    question = nil
  end

  context:onMessage(function(value, message)
    if message.type == "isolate_cluster.probe" then
      question = message
      if count > value.from or not value.waits then answer() end
      return
    end
    count = count + 1
    came[count] = {
      content = value, sender = message.sender, type = message.type,
      correlationId = message.correlationId, replyTo = message.replyTo,
    }
    if question then answer() end
  end)
end

---What goes wrong it raises for who called its caller.
---@return isolate_cluster.Probe
function Probe.new(cluster, path)
  path = path or "/probe/"
  local complaint = core.complaint(path, path:sub(-1) == "/")
  if complaint then
    error(("malformed path '%s': %s"):format(path, complaint), 3)
  end
  local ref, text = cluster:spawnIsolate(path, record)
  if not ref then error(text, 3) end
  return setmetatable({ cluster = cluster, ref = ref, came = {}, left = {} },
    Probe)
end

-- Asks for what is new; waits for it [timeout] seconds, or not at all.
local function fetch(probe, timeout)
  local list, text, code = probe.ref:request(
    { from = #probe.came, waits = timeout ~= nil },
    { type = "isolate_cluster.probe", timeout = timeout or Probe.TIMEOUT })
  if not list and not (timeout and code == "timeout") then
    error(("the probe %s does not answer: %s"):format(probe.ref.path, text), 0)
  end
  for _, message in ipairs(list or {}) do
    table.insert(probe.came, message)
    table.insert(probe.left, message)
  end
end

-- --- Comparing -------------------------------------------------------------

local SHOWN_DEPTH, SHOWN_BYTES, SHOWN_MESSAGES = 6, 200, 20

local function isTable(value)
  return type(value) == "table" and not core.isRef(value)
end

local function byText(a, b)
  return tostring(a) < tostring(b)
end

local function keysOf(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, byText)
  return keys
end

local function showKey(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  return ("[%s]"):format(type(key) == "string" and ("%q"):format(key)
    or tostring(key))
end

local function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value) end
  if not isTable(value) then return tostring(value) end
  if depth == 0 then return "{…}" end
  local parts = {}
  for _, key in ipairs(keysOf(value)) do
    local text = show(value[key], depth - 1)
    local isNext = key == #parts + 1
    parts[#parts + 1] = isNext and text or showKey(key) .. " = " .. text
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function shown(value)
  local text = show(value, SHOWN_DEPTH)
  if #text <= SHOWN_BYTES then return text end
  return text:sub(1, SHOWN_BYTES) .. "…"
end

-- Where two values first differ: a place such as ".a[1]", and both values
-- there; nil if they do not. A pair of tables that is compared already is taken
-- as equal.
local function difference(wanted, got, place, seen)
  if rawequal(wanted, got) then return nil end
  if not (isTable(wanted) and isTable(got)) then
    if wanted == got then return nil end
    return place, wanted, got
  end
  if seen[wanted] == got then return nil end
  seen[wanted] = got
  local keys = keysOf(wanted)
  for key in pairs(got) do
    if wanted[key] == nil then keys[#keys + 1] = key end
  end
  for _, key in ipairs(keys) do
    local name = showKey(key)
    local inner = place .. (name:find "^%[" and name or "." .. name)
    local where, a, b = difference(wanted[key], got[key], inner, seen)
    if where then return where, a, b end
  end
end

local function isLike(wanted, message)
  if type(wanted) == "function" then
    return wanted(message.content, message)
  end
  return difference(wanted, message.content, "", {}) == nil
end

-- --- Complaints ------------------------------------------------------------

local function describeWanted(wanted)
  if type(wanted) ~= "function" then return shown(wanted) end
  local about = debug.getinfo(wanted, "S")
  return ("a message that the function at %s:%d takes")
    :format(about.short_src, about.linedefined)
end

local function describeMessage(message, wanted)
  local line = shown(message.content)
  if message.type then line = line .. (" of type '%s'"):format(message.type) end
  if message.sender then line = line .. " from " .. message.sender.path end
  if not isTable(wanted) or not isTable(message.content) then return line end
  local place, a, b = difference(wanted, message.content, "", {})
  return line .. ("\n      %s is %s, not %s"):format(place, shown(b), shown(a))
end

-- Raises for the caller of the probe's method.
local function fail(probe, text, wanted)
  local lines = { ("%s: %s"):format(probe.ref.path, text) }
  local count = #probe.left
  lines[2] = count == 0 and "  nothing else came"
    or ("  what came, and was not taken (%d):"):format(count)
  for i = math.max(1, count - SHOWN_MESSAGES + 1), count do
    lines[#lines + 1] = ("  %3d. %s"):format(i,
      describeMessage(probe.left[i], wanted))
  end
  lines[#lines + 1] = probe.cluster:report()
  error(table.concat(lines, "\n"), 3)
end

-- --- What tests call -------------------------------------------------------

---Waits for a message that equals [wanted], tables by what they hold, or for
---which wanted(value, message) is true; without an argument for any. It is
---taken: no other expect finds it. Raises if none has come after [timeout]
---seconds.
---@return any content, isolate_cluster.Probed message
function Probe:expect(...)
  check.self(self, Probe, "probe:expect")
  local wanted, timeout = ...
  if select("#", ...) == 0 then wanted = function() return true end end
  check.seconds(timeout, "the timeout", true)
  timeout = timeout or Probe.TIMEOUT
  local deadline = core.now() + timeout
  local looked = 0
  fetch(self)
  while true do
    for i = looked + 1, #self.left do
      local message = self.left[i]
      if isLike(wanted, message) then
        table.remove(self.left, i)
        return message.content, message
      end
    end
    looked = #self.left
    local rest = deadline - core.now()
    if rest <= 0 then break end
    fetch(self, rest)
  end
  fail(self, ("expected %s, which has not come in %g s")
    :format(describeWanted(wanted), timeout), wanted)
end

---Waits until the cluster has settled; raises if then a message is there that
---no expect has taken, or if it has not settled in [timeout] seconds.
---@return true
function Probe:none(timeout)
  check.self(self, Probe, "probe:none")
  check.seconds(timeout, "the timeout", true)
  local settled, text = self.cluster:settle(timeout or Probe.TIMEOUT)
  if not settled then fail(self, text) end
  fetch(self)
  if #self.left > 0 then fail(self, "expected nothing more") end
  return true
end

---All that has come by now, in order: the values, and the messages with them.
---@return any[] values, isolate_cluster.Probed[] messages
function Probe:messages()
  check.self(self, Probe, "probe:messages")
  fetch(self)
  local values = {}
  for i, message in ipairs(self.came) do values[i] = message.content end
  return values, table.move(self.came, 1, #self.came, 1, {})
end

function Probe:__tostring()
  return "probe " .. self.ref.path
end

return Probe
