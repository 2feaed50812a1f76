-- spawn.lua - spawning and looking up: the same for contexts and clusters.
--
-- Their methods end in a call of these, which therefore raise misuse for who
-- called the method. The handle is the cluster's.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local limits = require "isolate_cluster.limits"
local loop = require "isolate_cluster.loop"

local spawn = {}

---The options of a spawn.
spawn.OPTIONS = { thread = true, sandbox = true, memory = true, cpu = true,
  cpuTotal = true, mailbox = true }
local WANTED = "a function, a module name, a .lua file or a supervisor"

---What IsolateCluster.supervisor has returned, and the plans that it stands
---for. They are kept here so that only those can be spawned.
spawn.plans = setmetatable({}, { __mode = "k" })

local function checkPath(path, isPrefix)
  local complaint = core.complaint(path, isPrefix)
  if not complaint then return end
  error(("malformed path '%s': %s"):format(path, complaint), 3)
end

local function isEntry(value)
  return type(value) == "function" or type(value) == "string"
    or spawn.plans[value] ~= nil
end

-- The path is optional: the second of two leading strings, or a function behind
-- a string, is the entry.
local function sortArguments(first, second, ...)
  if second ~= nil and isEntry(second) then return first, second, ... end
  local isPath = type(first) == "string" and first:sub(1, 1) == "/"
    and not first:find "%.lua$"
  if isPath then
    error(("an entry must follow the path '%s': %s, got %s")
      :format(first, WANTED, check.describe(second)), 3)
  end
  return nil, first, second, ...
end

local function kindOfFunction(entry)
  local captured, where = core.captured(entry)
  if captured == false then
    return nil, "the entry is a function of C, which can't be sent"
  elseif captured then
    return nil, ("entry captures '%s' (%s); pass it as a property or require "
      .. "it inside"):format(captured, where)
  end
  return "function"
end

---The kind of an entry, as core.spawn names it, or what is wrong with it.
---@return string? kind, string? complaint
function spawn.kindOf(entry)
  if type(entry) == "function" then return kindOfFunction(entry) end
  if entry ~= nil and spawn.plans[entry] then return "supervisor" end
  if type(entry) ~= "string" then
    return nil, ("the entry must be %s, got %s")
      :format(WANTED, check.describe(entry))
  elseif entry == "" then
    return nil, "the entry is an empty string"
  elseif entry:find("\0", 1, true) then
    return nil, "the entry's name holds a byte 0"
  end
  return entry:find "%.lua$" and "file" or "module"
end

local function checkEntry(entry)
  local kind, complaint = spawn.kindOf(entry)
  if not kind then error(complaint, 3) end
  return kind
end

---Checks an option 'thread' for the caller's caller.
---@return boolean? isShared nil where it is left to the cluster
function spawn.isShared(options)
  local thread = options and options.thread
  if thread ~= nil and thread ~= "own" and thread ~= "shared" then
    error(("option 'thread' must be 'own' or 'shared', got %s")
      :format(check.describe(thread)), 3)
  end
  return thread and thread == "shared"
end

-- The tickets of the spawns that wait, each with its cluster.
local loading = {} ---@type table<integer, userdata>

core.on("spawned", function(ticket, ...)
  loop.wake(ticket, ...)
end)

---Ends the spawns that wait for a cluster that is down: if their isolate had to
---be left behind while it loaded, nobody else would.
function spawn.nodeDown(handle)
  local tickets = {}
  for ticket, other in pairs(loading) do
    if other == handle then tickets[#tickets + 1] = ticket end
  end
  for _, ticket in ipairs(tickets) do
    loop.wake(ticket, nil, "the node is down", "down")
  end
end

local function loaded(ticket, ...)
  loading[ticket] = nil
  return ...
end

-- The sandbox of the new isolate (nil: the cluster's, false: none), and why the
-- spawner's own refuses it, if it does.
local function sandboxOf(handle, kind, entry, option)
  if option == nil and not core.isConfined() then return nil end
  local sandbox = require "isolate_cluster.sandbox"
  return sandbox.ofChild(handle, option, 3), sandbox.complaint(kind, entry)
end

-- Its callers end in a call of it.
local function start(handle, isSupervised, ...)
  local path, entry, properties, options = sortArguments(...)
  if path ~= nil then
    check.is(path, "string", "a path")
    checkPath(path, path:sub(-1) == "/")
  end
  local kind = checkEntry(entry)
  check.optional(properties, "table", "the properties")
  check.options(options, spawn.OPTIONS, "spawnIsolate")
  local isShared = spawn.isShared(options)
  local sandbox, refusal =
    sandboxOf(handle, kind, entry, options and options.sandbox)
  if refusal then return nil, refusal, "denied" end
  local waits = kind == "module" or kind == "supervisor"
  local ticket = waits and loop.ticket() or 0
  local ref, text, code = core.spawn(handle, path, kind,
    spawn.plans[entry] or entry, properties, ticket, isShared, isSupervised,
    sandbox, limits.of(options, 2))
  if code == "invalid" then
    error(("malformed path '%s': with a generated segment it has more than "
      .. "1,024 bytes"):format(path), 2)
  end
  if ref and kind == "supervisor" then
    return require("isolate_cluster.supervisor_handle").started(ref, ticket)
  end
  if ref ~= false then return ref, text, code end
  loading[ticket] = handle
  return loaded(ticket, loop.await(ticket))
end

---Spawns an isolate: [path,] entry [, properties [, options]]. A module is
---loaded by its isolate's thread, and this waits until it is; of a supervisor,
---until its children have been started.
---@return isolate_cluster.Ref? ref, string? message, string? code
function spawn.isolate(handle, ...)
  return start(handle, false, ...)
end

---Likewise one that ends with the calling isolate, and is asked to end by it
---alone.
---@return isolate_cluster.Ref? ref, string? message, string? code
function spawn.supervised(handle, ...)
  return start(handle, true, ...)
end

---The isolate that has [path] now.
---@return isolate_cluster.Ref? ref, string? message, string? code
function spawn.lookup(handle, path)
  check.is(path, "string", "a path")
  checkPath(path, false)
  return core.lookup(handle, path)
end

---All isolates beneath [prefix], sorted by path.
---@return isolate_cluster.Ref[]? refs, string? message, string? code
function spawn.list(handle, prefix)
  check.is(prefix, "string", "a prefix")
  checkPath(prefix, true)
  return core.list(handle, prefix)
end

return spawn
