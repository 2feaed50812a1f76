-- supervisor_plan.lua - what a supervisor is to do: checks its description, and
-- makes a plan of it, which is plain data that can travel to its isolate.
--
-- Functions travel as bytecode, which a state must not be made to load by just
-- anybody. So scripts see of a plan only an object without fields, and a plan's
-- data go from our own code to our own code.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local limits = require "isolate_cluster.limits"
local spawn = require "isolate_cluster.spawn"

local Plan = {}

---What IsolateCluster.supervisor returns: an entry for spawnIsolate.
---@class isolate_cluster.Supervisor
local Token = { __name = "supervisor", __metatable = "supervisor" }
function Token.__tostring() return "supervisor (not started)" end

-- As OTP's supervisor has them, but for the names.
local DEFAULTS = {
  strategy = "oneForOne", maxRestarts = 1, within = 5, autoShutdown = "never",
}
local WORKER_SHUTDOWN_SECONDS = 5
local DEFAULT_BACKOFF = { first = 0.1, max = 30, factor = 2, jitter = 0 }

local KEYS = {
  strategy = true, children = true, maxRestarts = true, within = true,
  backoff = true, autoShutdown = true,
}
local CHILD_KEYS = {
  id = true, path = true, entry = true, properties = true, options = true,
  restart = true, shutdown = true, significant = true,
}

-- A complaint is raised as a table, to be raised again, as a text, for who
-- called us, however deep it was found.
local function refuse(text, ...)
  error({ complaint = text:format(...) })
end

local function isOneOf(value, where, ...)
  local known = { ... }
  for _, name in ipairs(known) do
    if value == name then return end
  end
  local last = table.remove(known)
  refuse("%s must be '%s' or '%s', got %s", where,
    table.concat(known, "', '"), last, check.describe(value))
end

-- The check's own text, without a place: it raises for who calls its caller,
-- which is no Lua code.
local function checkOptions(...)
  check.options(...)
end

local function checkKeys(description, known, where)
  local ok, text = pcall(checkOptions, description, known, where)
  if not ok then refuse("%s", text) end
end

local function checkNumber(value, where, least, what)
  local fits = type(value) == "number" and value >= least  -- false for NaN
  if not fits then
    refuse("%s must be %s, got %s", where, what, check.describe(value))
  end
end

local function backoffOf(description)
  if description == nil then return nil end
  if type(description) ~= "table" then
    refuse("backoff must be a table, got %s", check.describe(description))
  end
  checkKeys(description, DEFAULT_BACKOFF, "backoff")
  local backoff = {}
  for name, default in pairs(DEFAULT_BACKOFF) do
    local value = description[name]
    if value == nil then value = default end
    backoff[name] = value
  end
  checkNumber(backoff.first, "backoff.first", 0, "0 seconds or more")
  checkNumber(backoff.max, "backoff.max", 0, "0 seconds or more")
  checkNumber(backoff.factor, "backoff.factor", 1, "a number from 1 on")
  checkNumber(backoff.jitter, "backoff.jitter", 0, "a number from 0 to 1")
  if backoff.jitter > 1 then
    refuse("backoff.jitter must be a number from 0 to 1, got %s",
      backoff.jitter)
  end
  return backoff
end

-- --- Children ---------------------------------------------------------------

-- Below the supervisor's path, which is not known yet, or absolute.
local function checkPath(path, where)
  if path == nil then return end
  if type(path) ~= "string" then
    refuse("%s.path must be a string or nil, got %s", where,
      check.describe(path))
  end
  local absolute = path:sub(1, 1) == "/" and path or "/" .. path
  local complaint = core.complaint(absolute, path:sub(-1) == "/")
  if complaint then
    refuse("%s: malformed path '%s': %s", where, path, complaint)
  end
end

local function entryOf(entry, where)
  local kind, complaint = spawn.kindOf(entry)
  if not kind then refuse("%s: %s", where, complaint) end
  if kind == "function" then return kind, core.dump(entry) end
  return kind, kind == "supervisor" and spawn.plans[entry] or entry
end

local function shutdownOf(shutdown, kind, where)
  if shutdown == nil then
    return kind == "supervisor" and math.huge or WORKER_SHUTDOWN_SECONDS
  elseif shutdown == "infinity" then
    return math.huge
  elseif shutdown ~= "kill" then
    checkNumber(shutdown, where .. ".shutdown", 0,
      "seconds, 'kill' or 'infinity'")
  end
  return shutdown
end

local function checkSignificant(child, autoShutdown, where)
  if child.significant == nil or child.significant == false then return end
  if child.significant ~= true then
    refuse("%s.significant must be a boolean, got %s", where,
      check.describe(child.significant))
  elseif child.restart == "permanent" then
    refuse("%s: a permanent child can't be significant, as it never ends",
      where)
  elseif autoShutdown == "never" then
    refuse("%s: a child can be significant only where autoShutdown is "
      .. "'anySignificant' or 'allSignificant'", where)
  end
end

-- What a spawn with these options would raise, it raises for its caller.
local function checkSpawnOptions(options)
  check.options(options, spawn.OPTIONS, "spawnIsolate")
  spawn.isShared(options)
  limits.of(options, 2)
  if options.sandbox ~= nil then
    require("isolate_cluster.sandbox").read(options.sandbox, 2)
  end
end

local function checkOptionsOf(child, where)
  if child.options == nil then return end
  local ok, text = pcall(checkSpawnOptions, child.options)
  if not ok then refuse("%s.options: %s", where, text) end
end

local function checkTable(child, name, where)
  local value = child[name]
  if value == nil or type(value) == "table" then return end
  refuse("%s.%s must be a table or nil, got %s", where, name,
    check.describe(value))
end

-- The plan of one child; [where] is how the complaints name it.
local function childOf(description, where)
  if type(description) ~= "table" then
    refuse("%s must be a table, got %s", where, check.describe(description))
  end
  checkKeys(description, CHILD_KEYS, where)
  local id, path = description.id, description.path
  if id ~= nil and type(id) ~= "string" then
    refuse("%s.id must be a string or nil, got %s", where, check.describe(id))
  end
  checkPath(path, where)
  local kind, entry = entryOf(description.entry, where)
  local restart = description.restart
  if restart == nil then restart = "permanent" end
  isOneOf(restart, where .. ".restart", "permanent", "transient", "temporary")
  checkTable(description, "properties", where)
  checkTable(description, "options", where)
  checkOptionsOf(description, where)
  return {
    id = id, path = path, kind = kind, entry = entry, restart = restart,
    properties = description.properties, options = description.options,
    shutdown = shutdownOf(description.shutdown, kind, where),
    significant = description.significant,
  }
end

---Completes a child: its path, where none or only its beginning is given, ends
---in the number, and its id is its path as it is written.
---@param number integer
function Plan.name(child, number)
  local path = child.path or ""
  if path == "" or path:sub(-1) == "/" then path = path .. number end
  child.path = path
  child.id = child.id or path
end

local function childrenOf(descriptions, autoShutdown)
  if descriptions == nil then return {} end
  if type(descriptions) ~= "table" then
    refuse("children must be a list, got %s", check.describe(descriptions))
  end
  local children, taken = {}, {}
  for key in pairs(descriptions) do
    if math.type(key) ~= "integer" or key < 1 or key > #descriptions then
      refuse("children must be a list, it has the key %s",
        check.describe(key))
    end
  end
  for i = 1, #descriptions do
    local where = ("children[%d]"):format(i)
    local child = childOf(descriptions[i], where)
    Plan.name(child, i)
    checkSignificant(child, autoShutdown, where)
    if taken[child.id] then
      refuse("%s has the id '%s' of children[%d]", where, child.id,
        taken[child.id])
    end
    taken[child.id] = i
    children[i] = child
  end
  return children
end

-- --- The whole --------------------------------------------------------------

local function checkFlags(plan)
  isOneOf(plan.strategy, "strategy", "oneForOne", "oneForAll", "restForOne")
  isOneOf(plan.autoShutdown, "autoShutdown", "never", "anySignificant",
    "allSignificant")
  local most = plan.maxRestarts
  if most ~= math.huge and math.type(most) ~= "integer" or most < 0 then
    refuse("maxRestarts must be an integer from 0 on or math.huge, got %s",
      check.describe(most))
  end
  checkNumber(plan.within, "within", 0, "more than 0 seconds")
  if plan.within == 0 then
    refuse "within must be more than 0 seconds, got 0"
  end
end

local function planOf(description)
  if type(description) ~= "table" then
    refuse("IsolateCluster.supervisor wants a table or the ref of a "
      .. "supervisor, got %s", check.describe(description))
  end
  checkKeys(description, KEYS, "IsolateCluster.supervisor")
  local plan = {}
  for name, default in pairs(DEFAULTS) do
    local value = description[name]
    if value == nil then value = default end
    plan[name] = value
  end
  checkFlags(plan)
  plan.backoff = backoffOf(description.backoff)
  plan.children = childrenOf(description.children, plan.autoShutdown)
  return plan
end

-- Raises a complaint for who is [level] calls above.
local function checked(level, ok, result)
  if ok then return result end
  local complaint = type(result) == "table" and result.complaint
  error(complaint or result, complaint and level or 0)
end

---An entry for spawnIsolate that stands for a plan.
---@return isolate_cluster.Supervisor
function Plan.wrap(plan)
  local token = setmetatable({}, Token)
  spawn.plans[token] = plan
  return token
end

---Checks a description; misuse raises for who called the function that ends
---with a call of this.
---@return isolate_cluster.Supervisor
function Plan.new(description)
  local plan = checked(3, pcall(planOf, description))
  return Plan.wrap(plan)
end

---Checks the description of one child, which Plan.name completes; misuse raises
---for who called the method that calls this.
---@return table child
function Plan.checkChild(description)
  local child = checked(4, pcall(childOf, description, "the child"))
  return child
end

---Why a child can't be significant under this supervisor, or nil.
---@return string?
function Plan.complaint(child, autoShutdown)
  local ok, raised = pcall(checkSignificant, child, autoShutdown, "the child")
  return not ok and raised.complaint or nil
end

return Plan
