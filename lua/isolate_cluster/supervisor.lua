-- supervisor.lua - an isolate that starts, watches and restarts others, as
-- OTP's supervisor does.
--
-- It does one thing after another: ends of children, commands and due restarts
-- wait in its queue while it starts or stops children. Only a request to end is
-- looked at in between: it breaks off a restart. A wait before a restart
-- (back-off) is no such thing as the supervisor does, but an event to come.

local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local timers = require "isolate_cluster.timers"
local Child = require "isolate_cluster.supervisor_child"
local commands = require "isolate_cluster.supervisor_commands"
local policy = require "isolate_cluster.supervisor_policy"

---@class isolate_cluster.SupervisorState
---@field context isolate_cluster.Context
---@field handle userdata of the cluster
---@field plan table as supervisor_plan.lua makes it
---@field children isolate_cluster.Child[] in the order of their start
---@field byId table<string, isolate_cluster.Child> the same
---@field private window isolate_cluster.RestartWindow
---@field private queue table[] { fn, ... } to be called
---@field private asking table<isolate_cluster.Ref, true> where answers go
---@field private ticket integer? of the wait for the queue
---@field private isAsked boolean to end
---@field private isOver boolean everything is stopped
---@field private isAwaited boolean? the spawner has asked for the outcome
---@field private spawnerTicket integer? of the wait for that
local Supervisor = {}
Supervisor.__index = Supervisor

-- --- The queue --------------------------------------------------------------

local function put(self, ...)
  table.insert(self.queue, table.pack(...))
  local ticket = self.ticket
  self.ticket = nil
  if ticket then loop.wake(ticket) end
end

-- What is to be done next: a function and what it is called with.
local function take(self)
  if not self.queue[1] then
    self.ticket = loop.ticket()
    loop.await(self.ticket)
  end
  local event = table.remove(self.queue, 1)
  return table.unpack(event, 1, event.n)
end

local function answer(self, replyTo, value, text, code)
  self.asking[replyTo] = nil
  replyTo:send(value ~= nil and { value = value }
    or { message = text, code = code })
end

-- --- The end ----------------------------------------------------------------

local function cancelRetry(child)
  if child.retry then timers.cancel(child.retry) end
  child.retry = nil
end

-- All are removed from the last on.
local function remove(self, child)
  local id = child.plan.id
  if self.byId[id] == child then self.byId[id] = nil end
  for i = #self.children, 1, -1 do
    if self.children[i] == child then
      table.remove(self.children, i)
      return
    end
  end
end

local function describe(child)
  return ("child '%s' (%s)"):format(child.plan.id, child.path)
end

-- Stops a child for good, or until all are restarted. A temporary one is not
-- known any more then.
function Supervisor:stop(child)
  cancelRetry(child)
  local agreed = child:stop()
  if not agreed and not self.isAsked then
    core.report(("%s had to be killed, as it did not end within %g s")
      :format(describe(child), child.plan.shutdown))
  end
  if child.plan.restart == "temporary" then remove(self, child) end
end

local function stopAll(self)
  for i = #self.children, 1, -1 do self:stop(self.children[i]) end
  self.isOver = true
end

-- Whose commands are left is told so, and need not wait.
local function refuseAll(self, text, code)
  for replyTo in pairs(self.asking) do
    answer(self, replyTo, nil, text, code)
  end
end

-- Ends as somebody wanted it to; the code is what commands are answered.
local function finish(self, text, code)
  stopAll(self)
  refuseAll(self, text, code)
  core.stop "shutdown"
end

local function finishAsAsked(self)
  finish(self, "the supervisor has ended", "gone")
end

-- Ends as a failure, which is the matter of who supervises or spawned this.
local function fail(self, text, code)
  stopAll(self)
  refuseAll(self, text, code)
  core.stop("error", text, text)
end

-- --- Starting and restarting ------------------------------------------------

local function describeEnd(outcome)
  local text = outcome.err and outcome.err.message
  return ("ended with reason '%s'%s"):format(outcome.reason,
    text and ": " .. text or "")
end

-- The children that a failure of [child] concerns, in the order of their start.
local function groupOf(self, child)
  local strategy = self.plan.strategy
  if strategy == "oneForOne" then return { child } end
  local group, isIn = {}, strategy == "oneForAll"
  for _, other in ipairs(self.children) do
    isIn = isIn or other == child
    if isIn then group[#group + 1] = other end
  end
  return group
end

local function stopOthers(self, child)
  local group = groupOf(self, child)
  for i = #group, 1, -1 do
    if group[i] ~= child then self:stop(group[i]) end
  end
end

local restart

-- Starts [child] again, and those that were stopped with it. One that does not
-- start counts as one more failure, of that one.
local function startGroup(self, child)
  child.retry = nil
  stopOthers(self, child)  -- who was started while this waited
  for _, other in ipairs(groupOf(self, child)) do
    if self.isAsked then return end
    local started, text, code = other:start()
    if not started then
      -- The node takes no more spawns: the request to end is on its way.
      if code == "down" then return end
      other.state = "restarting"
      return put(self, restart, other, "did not start: " .. text, true)
    end
    other.restarts = other.restarts + 1
  end
end

-- How many times in a row it has failed, this one included; a life as long as
-- the window begins a new row.
local function countFailures(self, child)
  local startedAt = child.startedAt
  child.startedAt = nil
  if startedAt and core.now() - startedAt >= self.plan.within then
    child.failures = 0
  end
  child.failures = child.failures + 1
  return child.failures
end

-- Counts the failure of [child], whose life is over, and has it started again
-- now or later; or gives up. Nobody has told of one that [isUnsaid].
function restart(self, child, cause, isUnsaid)
  if child.state ~= "restarting" then return end  -- stopped meanwhile
  local isTooMany, count = self.window:add(core.now())
  if isTooMany then
    child.state = "stopped"
    local text = ("gave up after %d failure%s within %g s (maxRestarts is %d): "
      .. "%s %s"):format(count, count == 1 and "" or "s", self.plan.within,
      self.plan.maxRestarts, describe(child), cause)
    core.report(text)
    return fail(self, text, "error")
  end
  if isUnsaid then core.report(describe(child) .. " " .. cause) end
  local delay = policy.delay(self.plan.backoff, countFailures(self, child),
    math.random)
  stopOthers(self, child)
  if delay == 0 then return startGroup(self, child) end
  local retry
  retry = timers.add(core.now() + delay, function()
    put(self, function()
      if child.retry == retry then startGroup(self, child) end
    end)
  end)
  child.retry = retry
end

-- Whether the end of [child] is the one that ends the supervisor.
local function endsSupervisor(self, child)
  local mode = self.plan.autoShutdown
  if mode == "never" or not child.plan.significant then return false end
  if mode == "anySignificant" then return true end
  for _, other in ipairs(self.children) do
    if other.plan.significant and other.state ~= "stopped" then
      return false
    end
  end
  return true
end

local function handleEnd(self, child, ref)
  if child.ref ~= ref then return end  -- it was stopped meanwhile
  local outcome = child.outcome
  child:forget()
  if policy.wantsRestart(child.plan.restart, outcome.reason) then
    child.state = "restarting"
    return restart(self, child, describeEnd(outcome))
  end
  child.state = "stopped"
  if child.plan.restart == "temporary" then remove(self, child) end
  if endsSupervisor(self, child) then finishAsAsked(self) end
end

---A child tells that the life of [ref] has ended, and nobody waited for it.
function Supervisor:ended(child, ref)
  put(self, handleEnd, child, ref)
end

---Adds a child behind all others; it is not started.
---@return isolate_cluster.Child
function Supervisor:add(plan)
  local child = Child.new(self, plan)
  table.insert(self.children, child)
  self.byId[plan.id] = child
  return child
end

Supervisor.remove = remove

-- --- Its life ---------------------------------------------------------------

-- How long the spawner may take from the spawn to its question for the outcome,
-- if it is to hear why there is none.
local SPAWNER_SECONDS = 1

local function awaitSpawner(self)
  if self.isAwaited or self.isAsked then return end
  self.spawnerTicket = loop.ticket()
  loop.await(self.spawnerTicket, SPAWNER_SECONDS)
end

-- Ends that wait.
local function meetSpawner(self)
  if self.spawnerTicket then loop.wake(self.spawnerTicket) end
end

-- Starts all in order. One that does not start ends the supervisor; where the
-- node takes no more spawns, that is as good as being asked to.
local function startAll(self)
  for _, child in ipairs(self.children) do
    if self.isAsked then return end
    local started, text, code = child:start()
    if not started then
      local cause = ("%s did not start: %s"):format(describe(child), text)
      stopAll(self)
      awaitSpawner(self)
      return (code == "down" and finish or fail)(self, cause, code)
    end
  end
end

local function handleCommand(self, value, replyTo)
  answer(self, replyTo, commands[value[1]](self, value[2]))
end

local function listen(self)
  self.context.onShutdownRequest = function()
    self.isAsked = true
    meetSpawner(self)
    put(self, finishAsAsked)
  end
  -- Nobody reads messages; they are not to pile up.
  self.context:onMessage(function() end)
  core.on("command", function(value, replyTo)
    self.asking[replyTo] = true
    put(self, handleCommand, value, replyTo)
    if value[1] == "started" then
      self.isAwaited = true
      meetSpawner(self)
    end
  end)
end

local function new(plan, context)
  local self = setmetatable({
    context = context, handle = core.ownCluster(), plan = plan,
    children = {}, byId = {}, queue = {}, asking = {},
    isAsked = false, isOver = false,
    window = policy.window(plan.maxRestarts, plan.within),
  }, Supervisor)
  for _, child in ipairs(plan.children) do self:add(child) end
  return self
end

local supervisor = {}

---What the isolate of a supervisor runs.
---@param plan table
---@return fun(context: isolate_cluster.Context)
function supervisor.entry(plan)
  return function(context)
    local self = new(plan, context)
    listen(self)
    startAll(self)
    local function handle(fn, ...) fn(self, ...) end
    while not self.isOver do handle(take(self)) end
  end
end

return supervisor
