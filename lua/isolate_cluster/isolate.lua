-- isolate.lua - the life of one isolate beyond what binding/context.c has: who
-- hears of its errors, what ends it, and all that it can do. It is loaded when
-- any of that happens for the first time.

local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local Context = require "isolate_cluster.context"

-- The coroutines in which onError's listeners run, and what they are told of:
-- their own errors are not for them again.
local reporters = setmetatable({}, { __mode = "k" })

-- An error of the entry ends the isolate, any other only what it happened in.
function loop.report(co, value)
  local message = loop.describeError(value)
  local traceback = core.traceback(co, message)
  if core.isEntry(co) then core.stop("error", message, traceback) end
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

local rest = Context.rest

---os.exit ends the isolate, not the process.
function rest.exit(code)
  local isSuccess = code == nil or code == true or code == 0
  if isSuccess then core.exit "done" end
  local message = ("os.exit(%s)"):format(tostring(code))
  core.exit("error", message, debug.traceback(message, 2))
end

Context.new(core.ownCluster())
core.on("up", function(ref) Context.emit("onIsolateUp", ref) end)
core.on("down", function(ref, reason, err)
  Context.emit("onIsolateDown", ref, reason, err)
end)
core.on("shutdown", function()
  if not Context.emit "onShutdownRequest" then core.stop "shutdown" end
end)
core.on("alive", Context.isAlive)
core.on("firstWait", Context.started)
if not core.isStarting() then Context.started() end

return rest
