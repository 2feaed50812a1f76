-- sandbox.lua - what the code of a sandboxed isolate may use.
--
-- A sandbox is an allow-list: what is not in ALLOWED, and was not asked for by
-- name, is not there. The spawner's side reads the option and sees to it that a
-- sandboxed isolate's children get no more than it has; the isolate's side puts
-- the globals into place, before any of its code is loaded. Our own files have
-- globals of their own, so they go on working.
--
-- What is in force also where a script replaces functions is checked in C: the
-- paths (binding/reach.c), and that bytes become no refs.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"

local sandbox = {}

-- The golden list: spec/behaviour/sandbox_spec.lua has it a second time. Each
-- is Lua's own function; four more are ours, see [limited] below.
local ALLOWED = {
  _G = { "_VERSION", "assert", "error", "getmetatable", "ipairs", "next",
    "pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset",
    "select", "tonumber", "tostring", "type", "warn", "xpcall" },
  coroutine = { "close", "create", "isyieldable", "resume", "running",
    "status", "wrap", "yield" },
  math = { "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor",
    "fmod", "huge", "log", "max", "maxinteger", "min", "mininteger", "modf",
    "pi", "rad", "random", "randomseed", "sin", "sqrt", "tan", "tointeger",
    "type", "ult" },
  os = { "clock", "date", "difftime", "time" },
  string = { "byte", "char", "find", "format", "gmatch", "gsub", "len",
    "lower", "match", "pack", "packsize", "rep", "reverse", "sub", "unpack",
    "upper" },
  table = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" },
  utf8 = { "char", "charpattern", "codepoint", "codes", "len", "offset" },
}

local OPTIONS = { base = true, globals = true, require = true, reach = true,
  sourceSize = true, isolates = true }
local SOURCE_SIZE = 1024 * 1024
local ISOLATES = 1000

---What an isolate's sandbox allows besides ALLOWED.
---@class isolate_cluster.Sandbox
---@field globals table<string, true> by name: "io", "os.getenv"
---@field require table<string, true> the modules
---@field reach string[]? prefixes and paths; nil: all
---@field sourceSize integer the most bytes that load takes
---@field isolates integer how many it may have spawned that live

---@type isolate_cluster.Sandbox?
local own  -- this isolate's

-- --- Reading the option -----------------------------------------------------

-- The function or table that a name such as "os.getenv" stands for.
local function find(root, name)
  local library, field = name:match "^([%a_][%w_]*)%.([%a_][%w_]*)$"
  if not library then return rawget(root, name) end
  local fields = rawget(root, library)
  return type(fields) == "table" and rawget(fields, field) or nil
end

local function checkList(list, name, level)
  if list == nil then return {} end
  local isList = type(list) == "table"
  for key, item in next, isList and list or {} do
    isList = isList and math.type(key) == "integer" and type(item) == "string"
  end
  if isList then return list end
  error(("option '%s' of a sandbox must be a list of strings, got %s")
    :format(name, check.describe(list)), level + 1)
end

local function toSet(list, name, level)
  local set = {}
  for _, item in next, checkList(list, name, level + 1) do set[item] = true end
  return set
end

local function readReach(list, level)
  if list == nil then return nil end
  local reach = {}
  for _, path in next, checkList(list, "reach", level + 1) do
    local complaint = core.complaint(path, path:sub(-1) == "/")
    if complaint then
      error(("malformed path '%s' in a sandbox's reach: %s")
        :format(path, complaint), level + 1)
    end
    reach[#reach + 1] = path
  end
  table.sort(reach)
  return reach
end

local function readSourceSize(size, level)
  if size == nil then return SOURCE_SIZE end
  if math.type(size) == "integer" and size >= 0 then return size end
  error(("option 'sourceSize' of a sandbox must be a number of bytes, got %s")
    :format(check.describe(size)), level + 1)
end

local function readIsolates(count, level)
  if count == nil then return ISOLATES end
  local most = math.type(count) and math.tointeger(count)
  if most and most > 0 then return most end
  error(("option 'isolates' of a sandbox must be a positive integer, got %s")
    :format(check.describe(count)), level + 1)
end

local function readGlobals(list, level)
  local set = toSet(list, "globals", level + 1)
  for name in next, set do
    if not own and find(_G, name) == nil then
      error(("a sandbox can't allow '%s', which is no global"):format(name),
        level + 1)
    end
  end
  return set
end

---Reads an option 'sandbox'; raises for who is [level] calls above.
---@param option any "safe", "none", or a table that builds on "safe"
---@return isolate_cluster.Sandbox? nil for "none"
function sandbox.read(option, level)
  if option == "none" then return nil end
  if option == "safe" then option = {} end
  if type(option) ~= "table" then
    error(("option 'sandbox' must be 'safe', 'none' or a table, got %s")
      :format(check.describe(option)), level + 1)
  end
  check.options(option, OPTIONS, "a sandbox", level + 2)
  if option.base ~= nil and option.base ~= "safe" then
    error(("option 'base' of a sandbox must be 'safe', got %s")
      :format(check.describe(option.base)), level + 1)
  end
  return {
    globals = readGlobals(option.globals, level + 1),
    require = toSet(option.require, "require", level + 1),
    reach = readReach(option.reach, level + 1),
    sourceSize = readSourceSize(option.sourceSize, level + 1),
    isolates = readIsolates(option.isolates, level + 1),
  }
end

-- --- What a child gets ------------------------------------------------------

local function meetSets(a, b)
  local both = {}
  for item in next, a do both[item] = b[item] end
  return both
end

-- What two prefixes or paths have in common, or nil.
local function meetPaths(a, b)
  if a == b then return a end
  if a:sub(-1) == "/" and b:sub(1, #a) == a then return b end
  if b:sub(-1) == "/" and a:sub(1, #b) == b then return a end
end

local function meetReach(a, b)
  if not a or not b then return a or b end
  local reach = {}
  for _, first in ipairs(a) do
    for _, second in ipairs(b) do
      reach[#reach + 1] = meetPaths(first, second)
    end
  end
  return reach
end

---What two sandboxes both allow.
---@param a isolate_cluster.Sandbox
---@param b isolate_cluster.Sandbox?
---@return isolate_cluster.Sandbox
function sandbox.meet(a, b)
  if not b then return a end
  return {
    globals = meetSets(a.globals, b.globals),
    require = meetSets(a.require, b.require),
    reach = meetReach(a.reach, b.reach),
    sourceSize = math.min(a.sourceSize, b.sourceSize),
    isolates = math.min(a.isolates, b.isolates),
  }
end

---The sandbox of an isolate that is spawned here, as core.spawn takes it.
---@param option any what the spawn says
---@param level integer whom misuse is told: so many calls above
---@return string|false bytes false: none
function sandbox.ofChild(handle, option, level)
  local wanted
  if option ~= nil then
    wanted = sandbox.read(option, level + 1)
  else
    local bytes = core.defaultSandbox(handle)
    wanted = bytes and core.decode(bytes)
  end
  if own then wanted = sandbox.meet(own, wanted) end
  return wanted and core.encode(wanted) or false
end

---Why a sandboxed isolate may not spawn such an entry, or nil.
---@return string?
function sandbox.complaint(kind, entry)
  if not own then return nil end
  if kind == "file" then return "the sandbox loads no files" end
  if kind == "module" and not own.require[entry] then
    return ("module '%s' is not available in this sandbox"):format(entry)
  end
end

-- --- Inside -----------------------------------------------------------------

-- Functions of ours in place of Lua's, which they get; by name.
local limited = {}

local COLLECTOR = { collect = true, count = true, step = true,
  isrunning = true }

function limited.collectgarbage(collectgarbage)
  return function(option, ...)
    if option == nil then option = "collect" end
    if not COLLECTOR[option] then
      error(("collectgarbage %s is not available in a sandbox")
        :format(check.describe(option)), 2)
    end
    return collectgarbage(option, ...)
  end
end

-- Lua calls a finalizer only where the metatable has it when it is set.
function limited.setmetatable(setmetatable)
  return function(...)
    local _, meta = ...
    if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
      error("__gc is not available in a sandbox", 2)
    end
    return setmetatable(...)
  end
end

-- The pieces that a reader function gives, as one; no more than [most] bytes.
local function readAll(reader, most)
  local pieces, size = {}, 0
  repeat
    local piece = reader()
    local isMore = piece ~= nil and piece ~= ""
    if isMore then
      if type(piece) ~= "string" then
        error("reader function must return a string", 0)
      end
      size = size + #piece
      pieces[#pieces + 1] = piece
    end
  until not isMore or size > most
  return table.concat(pieces)
end

local function tooBig(most)
  return ("the source has more than %d bytes"):format(most)
end

-- Text only; the environment is the sandbox's, or what the script has made.
function limited.load(load, allowed)
  local most = allowed.sourceSize
  return function(chunk, name, mode, ...)
    if type(chunk) == "function" then
      local ok, text = pcall(readAll, chunk, most)
      if not ok then return nil, text end
      chunk = text
      if name == nil then name = "=(load)" end
    elseif type(chunk) ~= "string" then
      error(("bad argument #1 to 'load' (a string or a function expected, got "
        .. "%s)"):format(type(chunk)), 2)
    end
    if #chunk > most then return nil, tooBig(most) end
    if mode ~= nil and not tostring(mode):find("t", 1, true) then
      return nil, "attempt to load a text chunk (a sandbox knows no other)"
    end
    return load(chunk, name, "t", ...)
  end
end

function limited.require(require, allowed, libraries)
  return function(name)
    if libraries[name] then return libraries[name] end
    if type(name) ~= "string" or not allowed.require[name] then
      error(("module %s is not available in this sandbox")
        :format(check.describe(name)), 2)
    end
    return (require(name))
  end
end

local function pick(from, names)
  local picked = {}
  for _, name in ipairs(names) do picked[name] = from[name] end
  return picked
end

-- The globals that a sandbox allows; [original] are Lua's.
local function makeGlobals(original, allowed)
  local globals = pick(original, ALLOWED._G)
  local libraries = { _G = original }  -- whose fields are about to be replaced
  for name, fields in next, ALLOWED do
    if name ~= "_G" then
      globals[name] = pick(original[name], fields)
      libraries[name] = globals[name]
    end
  end
  for name, make in next, limited do
    globals[name] = make(original[name], allowed, libraries)
  end
  return globals
end

-- Lua's own, as whoever made the sandbox asked for it by name.
local function allowGlobals(original, globals, names)
  for name in next, names do
    local library, field = name:match "^([^.]+)%.(.+)$"
    if not library then
      globals[name] = original[name]
    elseif original[library] then
      globals[library] = globals[library] or {}
      globals[library][field] = original[library][field]
    end
  end
end

-- Method calls on strings come to a table that no script can change, nor our
-- own calls be misled by.
local function closeStrings()
  string.dump = nil  -- luacheck: ignore 122
  local meta = debug.getmetatable ""
  meta.__index = string
  meta.__metatable = "string"
end

---Confines this state; [bytes] came with the spawn.
---@param isOption boolean? they are what a C program says, not "none"
function sandbox.apply(bytes, isOption)
  local allowed = core.decode(bytes)
  if isOption then allowed = sandbox.read(allowed, 0) end
  own = allowed --[[@as isolate_cluster.Sandbox]]
  local globals = makeGlobals(_G, own)
  allowGlobals(_G, globals, own.globals)
  globals._G = _G
  for name in next, _G do rawset(_G, name, nil) end
  for name, value in next, globals do rawset(_G, name, value) end
  closeStrings()
  core.confine(own.reach, own.isolates)
end

return sandbox
