-- supervisor_child.lua - one child of a supervisor: starting it, stopping it,
-- being told of its end.
--
-- A child is "running" (or has ended, and the supervisor has not handled that
-- yet), "restarting" (it failed, and is to be started again), or "stopped".

local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local spawn = require "isolate_cluster.spawn"
local Plan = require "isolate_cluster.supervisor_plan"

---@class isolate_cluster.Child
---@field plan table as supervisor_plan.lua makes it
---@field state "running"|"restarting"|"stopped"
---@field ref isolate_cluster.Ref? of its life, until its end is handled
---@field outcome { reason: string, err: table? }? how that life ended
---@field startedAt number? when that life began
---@field failures integer in a row, for the back-off
---@field restarts integer since the supervisor started
---@field private supervisor isolate_cluster.SupervisorState
---@field private path string
---@field private ticket integer? of who waits for its end
local Child = {}
Child.__index = Child

local function absolute(path, below)
  return path:sub(1, 1) == "/" and path or below .. "/" .. path
end

---@param supervisor isolate_cluster.SupervisorState told of its end, by
---  supervisor:ended(child, ref)
---@return isolate_cluster.Child
function Child.new(supervisor, plan)
  return setmetatable({
    supervisor = supervisor, plan = plan, state = "stopped", failures = 0,
    restarts = 0, path = absolute(plan.path, supervisor.context.path),
  }, Child)
end

-- An entry as spawnIsolate takes it. It is made anew for each life, as there
-- are few.
local function entryOf(plan)
  if plan.kind == "function" then
    return load(plan.entry, "=entry", "b")
  elseif plan.kind == "supervisor" then
    return Plan.wrap(plan.entry)
  end
  return plan.entry
end

-- An isolate that is told of a child's end: of the first that comes.
local function watch(child, ref)
  child.supervisor.context:monitor(ref, function(_, reason, err)
    if child.ref ~= ref or child.outcome then return end
    child.outcome = { reason = reason, err = err }
    if child.ticket then
      loop.wake(child.ticket)
    else
      child.supervisor:ended(child, ref)
    end
  end)
end

---Starts it; that of a module or a supervisor waits.
---@return true? started, string? message, string? code
function Child:start()
  local plan = self.plan
  -- What it raises is for us: a path that gets too long, for example.
  local ok, ref, text, code = pcall(spawn.supervised,
    self.supervisor.handle, self.path, entryOf(plan), plan.properties,
    plan.options)
  if not ok then return nil, tostring(ref), "invalid" end
  if not ref then return nil, text, code end
  self.ref, self.outcome, self.state = ref, nil, "running"
  self.startedAt = core.now()
  watch(self, ref)
  return true
end

-- True once it has ended; false if it has not after [seconds].
local function awaitEnd(child, seconds)
  if child.outcome then return true end
  child.ticket = loop.ticket()
  loop.await(child.ticket, seconds)
  child.ticket = nil
  return child.outcome ~= nil
end

---Stops it and waits for its end: asks it, and after its timeout kills it.
---@return boolean agreed false if it was asked, and had to be killed
function Child:stop()
  local shutdown = self.plan.shutdown
  local agreed = true
  if self.ref and not self.outcome then
    if shutdown ~= "kill" then
      core.askToEnd(self.ref)
      awaitEnd(self, shutdown)
    end
    if not self.outcome then
      agreed = shutdown == "kill"
      core.kill(self.ref)
      awaitEnd(self)
    end
  end
  self:forget()
  self.state = "stopped"
  return agreed
end

---Its life has ended, and that is handled.
function Child:forget()
  self.ref, self.outcome = nil, nil
end

---What a supervisor tells of it.
function Child:describe()
  local plan = self.plan
  return {
    id = plan.id, path = self.path, ref = self.ref, state = self.state,
    kind = plan.kind == "supervisor" and "supervisor" or "worker",
    restart = plan.restart, restarts = self.restarts,
  }
end

return Child
