-- isolate.lua - the life of one isolate: how it starts, what ends it, who hears
-- of its errors. The C side calls what this returns with the loaded entry.

local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local Context = require "isolate_cluster.context"

local entryCoroutine ---@type thread?

local function finishStart()
  if loop.onFirstWait then loop.firstWait() end
end

-- The coroutines in which onError's listeners run, and what they are told of:
-- their own errors are not for them again.
local reporters = setmetatable({}, { __mode = "k" })

-- An error of the entry ends the isolate, any other only what it happened in.
function loop.report(co, value)
  local message = loop.describeError(value)
  local traceback = core.traceback(co, message)
  if co == entryCoroutine then core.stop("error", message, traceback) end
  local reported = reporters[co]
  if reported then
    return core.report(traceback .. "\nwhile onError was told of: " .. reported)
  end
  local listeners = Context.listeners "onError"
  if #listeners == 0 then return core.report(traceback) end
  for _, listener in ipairs(listeners) do
    local reporter = coroutine.create(listener)
    reporters[reporter] = traceback
    loop.resume(reporter,
      { message = message, traceback = traceback, value = value })
  end
end

-- os.exit ends the isolate, not the process.
os.exit = function(code)  -- luacheck: ignore 122
  local isSuccess = code == nil or code == true or code == 0
  if isSuccess then core.exit "done" end
  local message = ("os.exit(%s)"):format(tostring(code))
  core.exit("error", message, debug.traceback(message, 2))
end

---@param entry function
---@param kind "function"|"module"|"file"|"source"
return function(entry, kind)
  local context = Context.new(core.ownCluster())
  local mayReturnEntry = kind == "file" or kind == "source"

  core.on("start", function()
    entryCoroutine = coroutine.running()
    loop.expectFirstWait(Context.started)
    local result = entry(context)
    if mayReturnEntry and type(result) == "function" then result(context) end
    entryCoroutine = nil
    finishStart()
  end)
  core.on("up", function(ref) Context.emit("onIsolateUp", ref) end)
  core.on("down", function(ref, reason, err)
    Context.emit("onIsolateDown", ref, reason, err)
  end)
  core.on("shutdown", function()
    if not Context.emit "onShutdownRequest" then core.stop "shutdown" end
  end)
  core.on("alive", Context.isAlive)
end
