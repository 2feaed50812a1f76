-- limits.lua - the options that say what an isolate may use.
--
-- What is left out is as the cluster says; false is no limit.

local check = require "isolate_cluster.check"

local limits = {}

---The options, as spawnIsolate and `singleNode{ limits = … }` know them.
---@type table<string, boolean>
limits.OPTIONS = { memory = true, cpu = true, cpuTotal = true, mailbox = true }

-- Sizes are powers of 1024, as memory is.
local UNITS = { B = 1, KB = 1 << 10, MB = 1 << 20, GB = 1 << 30 }
local SIZE = "must be bytes, or a text such as '64MB'"

-- What the C side knows each way by.
local WHEN_FULL = { fail = 0, wait = 1, dropOldest = 2, dropNewest = 3 }

local MAILBOX = { messages = true, bytes = true, whenFull = true }

local function complain(name, wanted, value, level)
  error(("option '%s' %s, got %s")
    :format(name, wanted, check.describe(value)), level + 1)
end

-- Each of these gives nil for nil and false for false, and complains [level]
-- functions above it.

local function bytesOf(name, value, level)
  if value == nil or value == false then return value end
  local bytes = value
  if type(value) == "string" then
    local number, unit = value:match "^(%d+%.?%d*)%s*(%a+)$"
    local factor = UNITS[unit]
    bytes = factor and tonumber(number) * factor // 1
  end
  local size = math.type(bytes) and math.tointeger(bytes)
  if not size or size <= 0 then complain(name, SIZE, value, level + 1) end
  return size
end

local function secondsOf(name, value, level)
  if value == nil or value == false then return value end
  if type(value) ~= "number" or value <= 0 or value ~= value then
    complain(name, "must be more than 0 seconds", value, level + 1)
  end
  return value < 1e9 and value or 1e9
end

local function countOf(name, value, level)
  if value == nil or value == false then return value end
  local count = math.type(value) and math.tointeger(value)
  if not count or count <= 0 then
    complain(name, "must be a positive integer", value, level + 1)
  end
  return count
end

local NO_MAILBOX = { messages = false, bytes = false }

local function mailboxOf(value, level)
  if value == nil then return {} end
  if value == false then return NO_MAILBOX end
  if type(value) ~= "table" then
    complain("mailbox", "must be a table", value, level + 1)
  end
  for key in next, value do
    if not MAILBOX[key] then
      error(("unknown field %s of the option 'mailbox'; it knows bytes, "
        .. "messages, whenFull"):format(check.describe(key)), level + 1)
    end
  end
  if value.whenFull ~= nil and not WHEN_FULL[value.whenFull] then
    complain("mailbox.whenFull", "must be 'fail', 'wait', 'dropOldest' or "
      .. "'dropNewest'", value.whenFull, level + 1)
  end
  return value
end

---The limits among checked options, as the C side takes them; nil if there are
---none. Complains, as error does, with [level] 1 for its caller.
---@param options table?
---@param level integer
---@return table?
function limits.of(options, level)
  if not options then return nil end
  local mailbox = mailboxOf(options.mailbox, level + 1)
  local result = {
    memory = bytesOf("memory", options.memory, level + 1),
    cpu = secondsOf("cpu", options.cpu, level + 1),
    cpuTotal = secondsOf("cpuTotal", options.cpuTotal, level + 1),
    messages = countOf("mailbox.messages", mailbox.messages, level + 1),
    bytes = bytesOf("mailbox.bytes", mailbox.bytes, level + 1),
    whenFull = WHEN_FULL[mailbox.whenFull],
  }
  return next(result) ~= nil and result or nil
end

---Likewise of singleNode's option `limits`, which is a table of its own.
function limits.ofNode(options, level)
  local own = options and options.limits
  if own == nil then return nil end
  if type(own) ~= "table" then
    complain("limits", "must be a table", own, level + 1)
  end
  for key in next, own do
    if not limits.OPTIONS[key] then
      error(("unknown limit %s; singleNode knows cpu, cpuTotal, mailbox, "
        .. "memory"):format(check.describe(key)), level + 1)
    end
  end
  return limits.of(own, level + 1)
end

return limits
