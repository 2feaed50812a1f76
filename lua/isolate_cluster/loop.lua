-- loop.lua - coroutines that wait for events, and errors that nobody caught.
-- Requests wait by themselves, in C (binding/request.c).
--
-- A call that waits takes a ticket, remembers its coroutine under it, and
-- yields. Whoever brings the outcome wakes the ticket. In a host script, which
-- is no coroutine of ours, the wait handles events itself until then.

local core = require "isolate_cluster.core"
local timers = require "isolate_cluster.timers"

local loop = {}

-- By ticket: the coroutine that waits, or a host script's table {outcome?}.
local waiting = {} ---@type table<integer, thread|table>
local lastTicket = 0

-- The tickets among them that a reply may wake: a number is no proof.
local expected = {} ---@type table<integer, true>

-- --- Errors -----------------------------------------------------------------

---The text of an error value, whatever that is.
---@return string
function loop.describeError(value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return tostring(value) end
  local meta = debug.getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__tostring") then
    local ok, text = pcall(tostring, value)
    if ok then return text end
  end
  return ("(error object is a %s value)"):format(type(value))
end

---Tells of an error that ended [co]; isolate.lua puts its own here, which has
---listeners for it.
---@param co thread
function loop.report(co, value)
  core.report(core.traceback(co, loop.describeError(value)))
end

core.on("error", function(co, value)
  loop.report(co, value)
end)

-- --- Coroutines -------------------------------------------------------------

local resume, status = coroutine.resume, coroutine.status
local running, isYieldable = coroutine.running, coroutine.isyieldable

---Resumes a coroutine; an error that ends it is reported.
function loop.resume(co, ...)
  local ok, value = resume(co, ...)
  if not ok then
    loop.report(co, value)
    coroutine.close(co)
  end
end

---Runs a function in a coroutine of its own, until it returns or waits.
function loop.run(fn, ...)
  loop.resume(coroutine.create(fn), ...)
end

-- --- Waiting ----------------------------------------------------------------

---A number that an outcome can be brought under. Where nothing can wait, it
---raises for the caller of the function that wants to; so take it first.
---@return integer
function loop.ticket()
  if core.isPumping() and not isYieldable() then error(core.cannotWait, 3) end
  lastTicket = lastTicket + 1
  return lastTicket
end

---Brings the outcome of a ticket; false if nobody waits for it any more.
---@return boolean
function loop.wake(ticket, ...)
  local waiter = waiting[ticket]
  if not waiter then return false end
  waiting[ticket] = nil
  if type(waiter) == "table" then
    waiter.outcome = table.pack(...)
    return true
  end
  if status(waiter) ~= "suspended" then return false end  -- it was closed
  loop.resume(waiter, ...)
  return true
end

local function timeOut(ticket, text)
  loop.wake(ticket, nil, text, "timeout")
end

-- The ticket is still there if not wake, but the script's own code has resumed
-- the coroutine.
local function finish(ticket, timer, ...)
  waiting[ticket] = nil
  expected[ticket] = nil
  if timer then timers.cancel(timer) end
  return ...
end

---Lets a reply under the number of the ticket bring its outcome.
function loop.expectReply(ticket)
  expected[ticket] = true
end

-- The host script's wait: handles events until the outcome is there.
local function pumpUntil(ticket, timer)
  local waiter = {}
  waiting[ticket] = waiter
  while not waiter.outcome do
    if core.pump() == false and not waiter.outcome then
      finish(ticket, timer)
      error(core.nothingWillCome, 0)
    end
  end
  local outcome = waiter.outcome
  return finish(ticket, timer, table.unpack(outcome, 1, outcome.n))
end

---Waits for the outcome of a ticket: what wake was given, or after [seconds]
---nil, text, "timeout".
function loop.await(ticket, seconds, text)
  local timer = seconds and seconds < math.huge
    and timers.add(core.now() + seconds, timeOut, ticket, text) or nil
  if not core.isPumping() then return pumpUntil(ticket, timer) end
  waiting[ticket] = running()
  return finish(ticket, timer, core.yield())
end

---Whether a coroutine of the isolate waits, or a timer is set.
function loop.isBusy()
  for ticket, waiter in pairs(waiting) do
    if status(waiter) == "suspended" then return true end
    waiting[ticket] = nil  -- it was closed
  end
  return timers.any() or core.isRequesting()
end

local function closeWaiter(waiter)
  if status(waiter) ~= "suspended" then return end
  local ok, value = coroutine.close(waiter)
  if not ok then loop.report(waiter, value) end
end

-- Closes every coroutine that waits, so that their variables are closed. What
-- these make wait is not waited for.
core.on("ending", function()
  local left = waiting
  waiting = {}
  for _, waiter in pairs(left) do closeWaiter(waiter) end
  for _, waiter in ipairs(core.takeRequesting()) do closeWaiter(waiter) end
end)

-- By the number that the C side knows the wait by: the ticket.
local waitingForRoom = {} ---@type table<integer, integer>

core.on("full", function(number)
  local ticket = loop.ticket()
  waitingForRoom[number] = ticket
  return loop.await(ticket)
end)

core.on("room", function(number, ...)
  local ticket = waitingForRoom[number]
  waitingForRoom[number] = nil
  if ticket then loop.wake(ticket, ...) end
end)

core.on("reply", function(ticket, key, ...)
  local isReply = select("#", ...) == 1  -- and no failure
  local isTaken = expected[ticket] and loop.wake(ticket, ...)
  if not isTaken and isReply then core.countLateReply(key) end
end)

return loop
