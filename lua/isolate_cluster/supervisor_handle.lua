-- supervisor_handle.lua - a running supervisor, seen from outside.
--
-- Commands travel as messages of a kind of their own, as what they carry (a
-- child's bytecode) must be from our own code.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local Monitor = require "isolate_cluster.monitor"
local Plan = require "isolate_cluster.supervisor_plan"

---@class isolate_cluster.SupervisorHandle
---@field ref isolate_cluster.Ref
local Handle = {}
Handle.__index = Handle
Handle.__name = "supervisor"
Handle.__metatable = "supervisor"

---@return isolate_cluster.SupervisorHandle
function Handle.new(ref)
  return setmetatable({ ref = ref }, Handle)
end

local function outcome(ref, reply, text, code)
  if reply then
    if reply.value ~= nil then return reply.value end
    return nil, reply.message, reply.code
  elseif code == "gone" and ref.alive then
    return nil, ("%s is no supervisor"):format(ref.path), "not found"
  end
  return nil, text, code
end

-- It waits for as long as the supervisor needs, which may be stopping children
-- that take their time; or until it ends.
local function send(ref, ticket, name, argument)
  local sent, text, code =
    core.sendRequest(ref, { name, argument }, ticket, nil, true)
  if not sent then return nil, text, code end
  loop.expectReply(ticket)
  local _ <close> = Monitor.new("supervisor", ref, function()
    loop.wake(ticket, nil, ("the isolate %s has ended"):format(ref.path),
      "gone")
  end)
  return outcome(ref, loop.await(ticket))
end

-- A supervisor may have what a sandboxed isolate is kept from.
local function denied(ref)
  return nil, ("a sandboxed isolate can't command the supervisor %s")
    :format(ref.path), "denied"
end

-- Where nothing can wait this raises for who called the method that ends with
-- a call of it.
local function command(self, name, argument)
  if core.isConfined() then return denied(self.ref) end
  local ticket = loop.ticket()
  return send(self.ref, ticket, name, argument)
end

-- The error that it has ended by, or nil.
local function awaitEnd(ref)
  local ticket = loop.ticket()
  Monitor.new("spawnIsolate", ref, function(_, _, err)
    loop.wake(ticket, err)
  end)
  return loop.await(ticket)
end

---Waits until a supervisor has started its children: its ref; or why it did
---not, once nothing of it is left.
---@param ticket integer where the outcome comes
function Handle.started(ref, ticket)
  local started, text, code = send(ref, ticket, "started")
  if started then return ref end
  local err = awaitEnd(ref)
  -- It was gone before it could answer.
  if code == "gone" and err then return nil, err.message, "error" end
  return nil, text, code
end

local function checkChoice(which)
  if type(which) == "string" or core.isRef(which) then return end
  error(("a child is named by its id or its ref, got %s")
    :format(check.describe(which)), 3)
end

---What it supervises, in the order of the start.
---@return isolate_cluster.ChildInfo[]? children, string? message, string? code
function Handle:children()
  check.self(self, Handle, "supervisor:children")
  return command(self, "children")
end

---How many children are described, run, are supervisors, are workers.
function Handle:count()
  check.self(self, Handle, "supervisor:count")
  return command(self, "count")
end

---Adds a child behind all others and starts it.
---@return isolate_cluster.Ref? ref, string? message, string? code
function Handle:startChild(description)
  check.self(self, Handle, "supervisor:startChild")
  local child = Plan.checkChild(description)
  return command(self, "startChild", child)
end

---Stops a child. It stays known, and stopped; a temporary one is forgotten.
---@param which string|isolate_cluster.Ref
function Handle:terminateChild(which)
  check.self(self, Handle, "supervisor:terminateChild")
  checkChoice(which)
  return command(self, "terminateChild", which)
end

---Starts a child that is stopped.
---@return isolate_cluster.Ref? ref, string? message, string? code
function Handle:restartChild(which)
  check.self(self, Handle, "supervisor:restartChild")
  checkChoice(which)
  return command(self, "restartChild", which)
end

---Forgets a child that is stopped.
function Handle:deleteChild(which)
  check.self(self, Handle, "supervisor:deleteChild")
  checkChoice(which)
  return command(self, "deleteChild", which)
end

---Asks it to end; it stops its children first.
---@return true? asked, string? message, string? code
function Handle:stop()
  check.self(self, Handle, "supervisor:stop")
  if core.isConfined() then return denied(self.ref) end
  return core.askToEnd(self.ref)
end

return Handle
