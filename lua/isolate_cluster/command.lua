-- command.lua - the options of `isolate-cluster run`: what its clusters do
-- where the script does not say.

local core = require "isolate_cluster.core"

local command = {}

-- Each of these gives what a text on the command line means, or nil.

local function oneOf(...)
  local known = {}
  for _, word in ipairs { ... } do known[word] = word end
  return function(text) return known[text] end
end

local function count(text)
  local number = text:find "^%d+$" and math.tointeger(tonumber(text))
  return number and number > 0 and number or nil
end

local function threads(text)
  local number = count(text)
  return number and number <= 1024 and number or nil
end

local function seconds(text)
  local number = text:find "^%d*%.?%d*$" and tonumber(text)
  return number and number > 0 and number or nil
end

local function size(text)
  local isSize = text:find "^%d+%.?%d*[KMG]?B$" and not text:find "^0+%.?0*%a"
  return isSize and text or count(text)
end

-- How each is written, what it wants, what the text means, and where that goes.
local OPTIONS = {
  ["--thread"] = { "is own or shared", oneOf("own", "shared"), "thread" },
  ["--threads"] = { "is a number from 1 to 1024", threads, "threads" },
  ["--isolates"] = { "wants a number", count, "isolates" },
  ["--sandbox"] = { "is safe or none", oneOf("safe", "none"), "sandbox" },
  ["--stuck-after"] = { "wants seconds, more than 0", seconds, "stuckAfter" },
  ["--memory"] = { "wants bytes, or a size such as 64MB", size,
    "limits", "memory" },
  ["--cpu"] = { "wants seconds, more than 0", seconds, "limits", "cpu" },
  ["--cpu-total"] = { "wants seconds, more than 0", seconds,
    "limits", "cpuTotal" },
  ["--mailbox"] = { "wants a number of messages", count,
    "limits", "mailbox", "messages" },
  ["--mailbox-bytes"] = { "wants bytes, or a size such as 10MB", size,
    "limits", "mailbox", "bytes" },
  ["--when-full"] = { "is fail, wait, dropOldest or dropNewest",
    oneOf("fail", "wait", "dropOldest", "dropNewest"),
    "limits", "mailbox", "whenFull" },
}

-- Puts a value where the names lead, from the third on.
local function put(into, option, value)
  for i = 3, #option - 1 do
    local name = option[i]
    into[name] = into[name] or {}
    into = into[name]
  end
  into[option[#option]] = value
end

-- What of the given stands, and what of the usual is to be added.
local function merge(given, usual)
  local merged = {}
  for name, value in next, usual do merged[name] = value end
  for name, value in next, given or {} do merged[name] = value end
  return merged
end

-- A table of limits is merged one limit by one.
local function useAsDefaults(defaults)
  function core.withDefaults(options)
    local merged = merge(options, defaults)
    local given = options and options.limits
    if type(given) == "table" and defaults.limits then
      merged.limits = merge(given, defaults.limits)
    end
    return merged
  end
end

-- The option's name, and what stands behind it: after "=", or in the next
-- argument, which then counts too.
local function split(arguments, at)
  local name, text = arguments[at]:match "^(%-%-[^=]+)=(.*)$"
  if name then return name, text, at + 1 end
  return arguments[at], arguments[at + 1], at + 2
end

---Reads the options, and makes them the defaults of the process's clusters.
---@param arguments string[] all that follows "run"
---@return integer? script its place among them
---@return string? complaint
function command.read(arguments)
  local defaults, at = {}, 1
  while arguments[at] and arguments[at]:sub(1, 1) == "-" do
    local name, text, following = split(arguments, at)
    local option = OPTIONS[name]
    if not option then return nil, "unknown option: " .. name end
    local value = text and option[2](text)
    if value == nil then
      return nil, ("%s %s, not: %s"):format(name, option[1], text or "")
    end
    put(defaults, option, value)
    at = following
  end
  local mailbox = defaults.limits and defaults.limits.mailbox
  if mailbox and not mailbox.messages and not mailbox.bytes then
    return nil, "--when-full wants --mailbox or --mailbox-bytes beside it"
  end
  if not arguments[at] then return nil, "which file is to be run?" end
  if next(defaults) then useAsDefaults(defaults) end
  return at
end

return command
