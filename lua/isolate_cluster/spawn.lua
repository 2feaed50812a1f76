-- spawn.lua - spawning and looking up: the same for contexts and clusters.
--
-- Their methods end in a call of these, which therefore raise misuse for who
-- called the method. The handle is the cluster's.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"

local spawn = {}

local OPTIONS = { thread = true }
local WANTED = "a function, a module name or a .lua file"

local function checkPath(path, isPrefix)
  local complaint = core.complaint(path, isPrefix)
  if not complaint then return end
  error(("malformed path '%s': %s"):format(path, complaint), 3)
end

-- The path is optional: the second of two leading strings, or a function behind
-- a string, is the entry.
local function sortArguments(first, second, ...)
  if type(second) == "function" or type(second) == "string" then
    return first, second, ...
  end
  local isPath = type(first) == "string" and first:sub(1, 1) == "/"
    and not first:find "%.lua$"
  if isPath then
    error(("an entry must follow the path '%s': %s, got %s")
      :format(first, WANTED, check.describe(second)), 3)
  end
  return nil, first, second, ...
end

-- Returns the kind of the entry, as core.spawn names it.
local function checkEntry(entry)
  if type(entry) == "string" then
    if entry == "" then error("the entry is an empty string", 3) end
    if entry:find("\0", 1, true) then
      error("the entry's name holds a byte 0", 3)
    end
    return entry:find "%.lua$" and "file" or "module"
  elseif type(entry) ~= "function" then
    error(("the entry must be %s, got %s")
      :format(WANTED, check.describe(entry)), 3)
  end
  local captured, where = core.captured(entry)
  if captured == false then
    error("the entry is a function of C, which can't be sent", 3)
  elseif captured then
    error(("entry captures '%s' (%s); pass it as a property or require it "
      .. "inside"):format(captured, where), 3)
  end
  return "function"
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

---Spawns an isolate: [path,] entry [, properties [, options]]. A module is
---loaded by its isolate's thread, and this waits until it is.
---@return isolate_cluster.Ref? ref, string? message, string? code
function spawn.isolate(handle, ...)
  local path, entry, properties, options = sortArguments(...)
  if path ~= nil then
    check.is(path, "string", "a path")
    checkPath(path, path:sub(-1) == "/")
  end
  local kind = checkEntry(entry)
  check.optional(properties, "table", "the properties")
  check.options(options, OPTIONS, "spawnIsolate")
  local isShared = spawn.isShared(options)
  local ticket = kind == "module" and loop.ticket() or 0
  local ref, text, code =
    core.spawn(handle, path, kind, entry, properties, ticket, isShared)
  if code == "invalid" then
    error(("malformed path '%s': with a generated segment it has more than "
      .. "1,024 bytes"):format(path), 2)
  end
  if ref ~= false then return ref, text, code end
  loading[ticket] = handle
  return loaded(ticket, loop.await(ticket))
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
