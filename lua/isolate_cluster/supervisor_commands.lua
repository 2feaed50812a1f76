-- supervisor_commands.lua - what a running supervisor does when it is told to
-- by a handle (supervisor_handle.lua). Each function returns what the handle's
-- method does.

local Plan = require "isolate_cluster.supervisor_plan"

local commands = {}

-- A child by its id, or by the ref of its life.
local function find(self, which)
  local child = self.byId[which]
  if child then return child end
  for _, other in ipairs(type(which) == "string" and {} or self.children) do
    if other.ref == which then return other end
  end
  return nil, ("no child %s"):format(tostring(which)), "not found"
end

-- A child that is not there at the moment, and is not to be.
local function findStopped(self, which)
  local child, text, code = find(self, which)
  if not child then return nil, text, code end
  if child.state == "stopped" then return child end
  return nil, ("child '%s' is %s"):format(child.plan.id, child.state), "in use"
end

---Answered once all children have been started.
function commands.started()
  return true
end

function commands.children(self)
  local list = {}
  for i, child in ipairs(self.children) do list[i] = child:describe() end
  return list
end

function commands.count(self)
  local counts = { specs = 0, active = 0, supervisors = 0, workers = 0 }
  for _, child in ipairs(self.children) do
    local kind = child.plan.kind == "supervisor" and "supervisors" or "workers"
    counts.specs = counts.specs + 1
    counts[kind] = counts[kind] + 1
    if child.state == "running" then counts.active = counts.active + 1 end
  end
  return counts
end

-- Completes a new child's plan with the first number that makes its id one of
-- its own; the id that it was given, if it was, may be taken.
local function name(self, plan)
  local id, path = plan.id, plan.path
  local number = #self.children
  repeat
    number = number + 1
    plan.id, plan.path = nil, path
    Plan.name(plan, number)
  until plan.path == path or not find(self, plan.id)
  plan.id = id or plan.id
end

---Adds a child and starts it; one that does not start is not added.
function commands.startChild(self, plan)
  local complaint = Plan.complaint(plan, self.plan.autoShutdown)
  if complaint then return nil, complaint, "invalid" end
  name(self, plan)
  local other = find(self, plan.id)
  if other then
    return nil, ("there is a child '%s', which is %s"):format(plan.id,
      other.state), "in use"
  end
  local child = self:add(plan)
  local started, text, code = child:start()
  if started then return child.ref end
  self:remove(child)
  return nil, text, code
end

function commands.terminateChild(self, which)
  local child, text, code = find(self, which)
  if not child then return nil, text, code end
  self:stop(child)
  return true
end

function commands.restartChild(self, which)
  local child, text, code = findStopped(self, which)
  if not child then return nil, text, code end
  local started
  started, text, code = child:start()
  if started then return child.ref end
  return nil, text, code
end

function commands.deleteChild(self, which)
  local child, text, code = findStopped(self, which)
  if not child then return nil, text, code end
  self:remove(child)
  return true
end

return commands
