-- fake_core.lua - isolate_cluster.core for the specs of single Lua files: a
-- clock that the spec moves, and events that it raises.
--
-- What is not faked is the real function. A spec adds its own fakes as fields.

require "isolate_cluster" -- makes the real one known
local real = require "isolate_cluster.core"

local FakeCore = {}

-- Makes what binding/context.c has begun.
local function addShells(core)
  local streamMeta, subscriptionMeta = { __metatable = "stream" }, {}
  local contextMeta = { __metatable = "context" }
  local context = setmetatable({}, contextMeta)
  local onMessage = setmetatable({}, streamMeta)
  function core.streamShells() return streamMeta, subscriptionMeta end
  function core.contextShells() return context, contextMeta, onMessage end
  function core.isEntry() return false end
  function core.property(self, key)
    local isRight = self == context and key ~= nil
    if isRight then return core.own("properties")[key] end
    local Context = core.modules["isolate_cluster.context"]
    return Context.rest.refuseProperty(self, key)
  end
end

-- Makes a core of an isolate, whose code is what runs in coroutines; [fakes]
-- are added to it.
---@param fakes table?
function FakeCore.new(fakes)
  local core = setmetatable({
    time = 100, handlers = {}, reports = {}, lateReplies = 0,
  }, { __index = function(_, name) return FakeCore[name] or real[name] end })

  function core.on(event, handler) core.handlers[event] = handler end
  function core.now() return core.time end
  function core.setDeadline(deadline) core.deadline = deadline end
  function core.report(text) table.insert(core.reports, text) end
  function core.countLateReply() core.lateReplies = core.lateReplies + 1 end
  function core.isPumping() return not select(2, coroutine.running()) end
  function core.leaveSimulation() end
  core.yield = coroutine.yield
  addShells(core)

  for name, fake in pairs(fakes or {}) do core[name] = fake end
  return core
end

-- Raises an event, as the C side does.
function FakeCore:raise(event, ...)
  return self.handlers[event](...)
end

-- Moves the clock to [time], and raises the event "timer" for each deadline on
-- the way, at its own time.
function FakeCore:moveTo(time)
  while self.deadline and self.deadline <= time do
    self.time = math.max(self.time, self.deadline)
    self.deadline = nil
    self:raise "timer"
  end
  self.time = time
end

-- Loads new instances of our files, which see this core and each other, and
-- returns those that are named. What a spec has put into package.loaded stays.
---@param ... string "loop", "stream"
function FakeCore:load(...)
  local modules = { ["isolate_cluster.core"] = self }
  self.modules = modules
  local function ours(name)
    local isGiven = package.loaded[name] and name ~= "isolate_cluster.core"
    if isGiven or not name:find "^isolate_cluster" then return require(name) end
    if modules[name] == nil then
      local path = "lua/" .. name:gsub("%.", "/") .. ".lua"
      local env = setmetatable({ require = ours }, { __index = _G })
      local chunk = assert(loadfile(path, "t", env))
      modules[name] = chunk(name) or true
    end
    return modules[name]
  end
  local wanted = {}
  for i, name in ipairs { ... } do
    wanted[i] = ours("isolate_cluster." .. name)
  end
  return table.unpack(wanted)
end

-- Runs fn(...) in a coroutine, where it may wait; an error is the spec's.
---@return thread
function FakeCore.start(fn, ...)
  local co = coroutine.create(fn)
  local ok, text = coroutine.resume(co, ...)
  if not ok then error(debug.traceback(co, text), 0) end
  return co
end

return FakeCore
