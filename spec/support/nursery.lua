-- nursery.lua - a supervisor whose children, clock and chance are the spec's.
--
-- Everything is written down: "start a", "can't start a", "ask a", "kill a",
-- "end shutdown" or "end error". A child ends when the spec says so; asked to
-- end it does so at once, unless it is stubborn.

local FakeCore = require "spec.support.fake_core"

local Nursery = {}
Nursery.__index = Nursery

local function entry() end

-- A child named [path], with what else is said of it.
function Nursery.child(path, more)
  local child = { path = path, entry = entry }
  for name, value in pairs(more or {}) do child[name] = value end
  return child
end

-- "/sup/a" as "a".
local function nameOf(path)
  return (path:gsub("^/sup/", ""))
end

local function note(self, ...)
  table.insert(self.log, table.concat({ ... }, " "))
end

local function fakesOf(self)
  local fakes = {}
  function fakes.ownCluster() return "handle" end
  function fakes.spawn(_, path, _, _, properties)
    local name = nameOf(path)
    local failure = self.failing[name]
    if failure then
      note(self, "can't start", name)
      return nil, failure.text or "broken", failure.code or "load"
    end
    note(self, "start", name)
    local ref = { path = path, isRef = true, properties = properties }
    self.refs[name] = ref
    return ref
  end
  function fakes.isRef(value)
    return type(value) == "table" and value.isRef == true
  end
  function fakes.askToEnd(ref)
    local name = nameOf(ref.path)
    note(self, "ask", name)
    if not self.stubborn[name] then
      table.insert(self.pending, { name, "shutdown" })
    end
  end
  function fakes.kill(ref)
    note(self, "kill", nameOf(ref.path))
    table.insert(self.pending, { nameOf(ref.path), "killed" })
  end
  function fakes.stop(reason, text)
    note(self, "end", reason)
    self.text = text
  end
  return fakes
end

-- Describes a supervisor, which is not started yet.
function Nursery.new(description)
  local self = setmetatable({
    log = {}, refs = {}, failing = {}, stubborn = {}, pending = {},
    chance = 0, answers = {},
  }, Nursery)
  local core = FakeCore.new(fakesOf(self))
  local spawn, Plan, supervisor =
    core:load("spawn", "supervisor_plan", "supervisor")
  self.core = core
  self.entry = supervisor.entry(spawn.plans[Plan.new(description)])
  self.context = {
    path = "/sup",
    monitor = function(_, ref, fn) ref.onEnd = fn end,
    onMessage = function() end,
  }
  return self
end

-- Starts it, and forgets how it started its children.
function Nursery.started(description)
  local self = Nursery.new(description)
  self:start()
  self.log = {}
  return self
end

function Nursery:start()
  FakeCore.start(self.entry, self.context)
  self:settle()
end

-- Lets those end who are to, one after the other.
function Nursery:settle()
  while self.pending[1] do
    local name, reason = table.unpack(table.remove(self.pending, 1))
    local ref = self.refs[name]
    self.refs[name] = nil
    ref.onEnd(ref, reason)
  end
end

-- A child ends by itself.
function Nursery:fails(name, reason, text)
  local ref = self.refs[name]
  self.refs[name] = nil
  ref.onEnd(ref, reason or "error", { message = text or "boom" })
  self:settle()
end

-- The supervisor is asked to end.
function Nursery:ask()
  self.context.onShutdownRequest()
  self:settle()
end

-- What a command is answered, { value = } or { message =, code = }; nil while
-- it is not. And a function that gives the answer later.
function Nursery:tell(name, argument)
  local answer
  local replyTo = {}
  function replyTo.send(_, value) answer = value end
  self.core:raise("command", { name, argument }, replyTo)
  self:settle()
  return answer, function() return answer end
end

-- Moves the clock by so many seconds.
function Nursery:wait(seconds)
  self.core:moveTo(self.core.time + seconds)
  self:settle()
end

-- What has happened since this was asked for last, as one line.
function Nursery:history()
  local text = table.concat(self.log, ", ")
  self.log = {}
  return text
end

-- The states of the children: "a running, b stopped".
function Nursery:states()
  local texts = {}
  for i, child in ipairs(self:tell("children").value) do
    texts[i] = child.id .. " " .. child.state
  end
  return table.concat(texts, ", ")
end

return Nursery
