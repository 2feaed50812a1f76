-- check.lua - refuses misuse, with a sentence that says what was expected.
--
-- Every check raises for the caller of the function that called it (level 3),
-- as the standard libraries do.

local check = {}

---A value as a sentence of a complaint has it: "nil", "5", "the string 'x'",
---"a table".
---@return string
local function describe(value)
  local kind = type(value)
  if kind == "string" then return ("the string '%s'"):format(value) end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return kind == "nil" and "nil" or "a " .. kind
end
check.describe = describe

---Checks that a method was called on an object of its class.
---@param class table the object's metatable, which is hidden from scripts
---@param call string the call as it is written: "cluster:wait"
function check.self(self, class, call)
  if debug.getmetatable(self) == class then return end
  local object = call:match("^(%a+):")
  error(("%s is a method: write %s(...), with a colon (%s expected before it, "
    .. "got %s)"):format(call, call, object, describe(self)), 3)
end

---Checks that a value has a type.
---@param kind type
---@param what string what the value is for: "the listener"
function check.is(value, kind, what)
  if type(value) == kind then return end
  error(("%s must be a %s, got %s"):format(what, kind, describe(value)), 3)
end

---Checks that a value is nil or has a type.
---@param kind type
---@param what string
function check.optional(value, kind, what)
  if value == nil or type(value) == kind then return end
  error(("%s must be a %s or nil, got %s")
    :format(what, kind, describe(value)), 3)
end

---Checks a number of seconds: 0 or more, not NaN. nil passes if [optional].
---@param what string
---@param optional boolean?
function check.seconds(value, what, optional)
  if value == nil and optional then return end
  if type(value) ~= "number" then
    error(("%s must be a number of seconds, got %s")
      :format(what, describe(value)), 3)
  elseif value < 0 or value ~= value then
    error(("%s must be 0 seconds or more, got %s"):format(what, value), 3)
  end
end

local function listOf(known)
  local names = {}
  for name in next, known do names[#names + 1] = name end
  if #names == 0 then return "it has none yet" end
  table.sort(names)
  return "it knows " .. table.concat(names, ", ")
end

---Checks that a table of options has known keys only.
---@param options table?
---@param known table<string, any> the keys that may be there
---@param what string the call that takes them
---@param level integer? whom misuse is told: 3, or so many calls above
function check.options(options, known, what, level)
  if options == nil then return end
  if type(options) ~= "table" then
    error(("the options of %s must be a table, got %s")
      :format(what, describe(options)), level or 3)
  end
  for key in next, options do
    if known[key] == nil then
      error(("unknown option %s of %s; %s")
        :format(describe(key), what, listOf(known)), level or 3)
    end
  end
end

return check
