-- escape_spec.lua - hostile scripts in a sandbox: each tries to get at what it
-- is not to have, or to turn our own code against its isolate.

local Probe = require "spec.support.probe"

-- Each gets the context and a function escaped(what), which it calls where the
-- trick worked. All have no upvalues.
local TRICKS = {
  ["the metatable of strings"] = function(_, escaped)
    local meta = getmetatable ""
    if type(meta) == "table" then escaped "its metatable" end
    if pcall(setmetatable, "", {}) then escaped "a new metatable" end
    if ("").dump then escaped "string.dump by a method" end
    if ("").__index then escaped "the table of the methods" end
    local methods = _G.string
    methods.format = function() escaped "our own call of format" end
    methods.sub, methods.find = methods.format, methods.format
    if ("%d"):format(5) ~= "5" then escaped "format by a method" end
  end,

  ["binary chunks"] = function(_, escaped)
    local header = "\27Lua\84\0\25\147\r\n\26\n\4\8\8"
    if load(header) then escaped "a binary chunk" end
    if load(header, "x", "b") then escaped "mode b" end
    if load(header, "x", "bt") then escaped "mode bt" end
    local pieces = { "\27", "Lua", "\84\0" }
    if load(function() return table.remove(pieces, 1) end) then
      escaped "a binary chunk in pieces"
    end
    local mode = setmetatable({}, { __tostring = function() return "bt" end })
    if load(header, "x", mode) then escaped "a mode that is an object" end
    if string.dump then escaped "string.dump" end
  end,

  ["metatables of ours"] = function(context, escaped)
    local ref = context.isolateRef
    ref:send "x"
    local _, message = context.onMessage:next()
    local values = { context = context, ref = ref, message = message,
      stream = context.onMessage, group = context:group "/",
      timer = context:after(1e6, print), monitor = context:monitor(ref, print),
      subscription = context.onError:listen(print) }
    for name, value in pairs(values) do
      if type(getmetatable(value)) == "table" then escaped(name) end
      if pcall(setmetatable, value, {}) then escaped(name .. ", replaced") end
      for _, key in ipairs { "__index", "__gc", "__close", "__name", "new",
        "handle", "metatable" } do
        local ok, found = pcall(function() return value[key] end)
        local isInside = ok and type(found) == "table"
          or ok and key:sub(1, 2) == "__" and found ~= nil
        if isInside then escaped(name .. "." .. key) end
      end
    end
    if pcall(rawset, ref, "send", print) then escaped "rawset on a ref" end
    if pcall(rawset, message, "reply", print) then escaped "on a message" end
    values.timer:cancel()
    values.monitor:cancel()
  end,

  ["methods that are replaced"] = function(context, escaped)
    if pcall(function() context.sleep = print end) then escaped "sleep" end
    if pcall(function() context.isolateRef.send = print end) then
      escaped "send"
    end
    local stream = context.onMessage
    rawset(stream, "listen", function() escaped "of this stream only" end)
    context.onError:listen(print):cancel()
    context.onShutdownRequest:listen(print):cancel()
  end,

  ["a finalizer"] = function(_, escaped)
    local function gc() escaped "a finalizer ran" end
    if pcall(setmetatable, {}, { __gc = gc }) then escaped "__gc" end
    if pcall(setmetatable, {}, { __gc = true }) then escaped "__gc = true" end
    local meta = {}
    local object = setmetatable({}, meta)
    meta.__gc = gc
    rawset(meta, "__gc", gc)
    if pcall(setmetatable, object, meta) then escaped "__gc, set again" end
    local hidden = setmetatable({}, { __index = { __gc = gc } })
    setmetatable({}, hidden)
    object = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
  end,

  ["the collector"] = function(_, escaped)
    for _, what in ipairs { "stop", "restart", "setpause", "setstepmul",
      "generational", "incremental", setmetatable({}, {
        __tostring = function() return "stop" end }) } do
      if pcall(collectgarbage, what) then escaped(tostring(what)) end
    end
    if type(collectgarbage "count") ~= "number" then escaped "no count" end
  end,

  ["require"] = function(_, escaped)
    for _, name in ipairs { "io", "os", "debug", "package", "_G.io",
      "isolate_cluster", "isolate_cluster.core", "isolate_cluster.sandbox",
      "spec.support.shell", "string", "_G", "coroutine" } do
      local ok, module = pcall(require, name)
      if ok and type(module) == "table" then
        if module.dump or module.execute or module.popen or module.sethook
          or module.encode or module.apply or module.io then
          escaped(name)
        end
      end
    end
    local name = setmetatable({}, { __tostring = function() return "io" end,
      __eq = function() return true end })
    if pcall(require, name) then escaped "a name that is an object" end
  end,

  ["upvalues of our functions"] = function(context, escaped)
    if debug then escaped "debug" end
    for name, fn in pairs { sleep = context.sleep, load = load,
      listen = context.onMessage.listen, require = require } do
      if pcall(context.spawnIsolate, context, "/child/x", fn) then
        escaped("our function as an entry: " .. name)
      end
    end
  end,

  ["error objects"] = function(context, escaped)
    local depth = 0
    local object = setmetatable({}, {
      __tostring = function(self)
        depth = depth + 1
        return depth < 100 and tostring(self) or error(self)
      end,
      __name = ("x"):rep(1e5), __concat = error, __index = error,
      __metatable = false, __close = error,
    })
    context.onError:listen(function(err)
      if type(err.message) ~= "string" then escaped "message" end
      if type(err.traceback) ~= "string" then escaped "traceback" end
    end)
    context:after(0, function() error(object) end)
    context:after(0, function() error(setmetatable({}, { __tostring =
      function() return 5 end })) end)
    context:sleep(0.001)
    local ok, text = pcall(context.property, object)
    if ok or type(text) ~= "string" then escaped "check.self" end
    pcall(context.onMessage.listen, object, object)
  end,

  ["coroutines"] = function(context, escaped)
    local main = coroutine.running()
    if pcall(coroutine.close, main) then escaped "closed what runs" end
    if coroutine.resume(main) then escaped "resumed what runs" end
    local co = coroutine.wrap(function()
      local outer = main
      if coroutine.resume(outer) then escaped "resumed the outer" end
      if pcall(coroutine.close, outer) then escaped "closed the outer" end
      coroutine.yield(coroutine.running())
    end)
    co()
    local inner = coroutine.create(function() context:sleep(1e6) end)
    coroutine.resume(inner)
    coroutine.resume(inner, "woken by somebody else")
    coroutine.close(inner)
    if pcall(coroutine.wrap(error), inner) then escaped "an error" end
  end,

  ["comparators, patterns and formats"] = function(_, escaped)
    local list = {}
    for i = 1, 200 do list[i] = i end
    pcall(table.sort, list, function() return true end)
    pcall(table.sort, list, function() return math.random() < 0.5 end)
    pcall(table.sort, setmetatable({}, { __len = function() return 2 ^ 31 end,
      __index = function() error "enough" end }))
    pcall(string.rep, "x", 1 << 40)
    pcall(string.rep, "x", math.maxinteger, "y")
    pcall(string.find, ("a"):rep(300), ("(a"):rep(40))
    pcall(string.gsub, "x", "x", setmetatable({}, { __index = error }))
    pcall(string.format, ("%s"):rep(500), table.unpack(list))
    pcall(string.format, "%99.99f", 1e300)
    pcall(string.format, "%1000d", 1)
    pcall(string.pack, "!17i17", 1)
    pcall(string.unpack, "s8", ("\255"):rep(8))
    pcall(utf8.char, -1)
    pcall(utf8.codepoint, ("\xF8"):rep(100), 1, -1)
    for code in ("aAbBcdeEfFgGhHIjklmMnNpqOrRStTuUvVwWxXyYzZ%#+!"):gmatch "." do
      pcall(os.date, "%" .. code)
      pcall(os.date, "%E" .. code)
      pcall(os.date, "%O" .. code)
    end
    pcall(os.date, "*t", 2 ^ 60)
    pcall(os.time, { year = 1 << 40, month = 1, day = 1 })
    pcall(table.concat, setmetatable({}, { __len = function() return 1e9 end,
      __index = error }))
    pcall(table.unpack, {}, 1, 1e8)
    pcall(table.move, {}, 1, math.maxinteger, 2)
    if ("").dump or string.dump then escaped "string.dump" end
  end,

  ["options that change while they are read"] = function(context, escaped)
    local reads = 0
    local fickle = setmetatable({}, {
      __index = function(_, key)
        reads = reads + 1
        if key == "sandbox" then return "none" end
        if key == "globals" then return { "io" } end
        if key == "reach" then return { "/" } end
      end,
      __pairs = function() return next, { globals = { "io" } } end,
    })
    for i, options in ipairs { fickle, { sandbox = fickle },
      { sandbox = { reach = setmetatable({}, { __index = fickle }) } },
      { sandbox = { globals = { "io", "debug" } } } } do
      local child, text, code = context:spawnIsolate("/child/", function(inner)
        local _, question = inner.onMessage:next()
        question:reply { io ~= nil or debug ~= nil,
          inner:lookupIsolate "/probe" ~= nil }
      end, nil, options)
      if child then
        local seen = child:request(1)
        if seen[1] then escaped("globals by options " .. i) end
        if seen[2] then escaped("reach by options " .. i) end
      elseif code ~= "denied" then
        escaped(text)
      end
    end
  end,

  ["a path that goes out of reach"] = function(context, escaped)
    for _, path in ipairs { "/child/../probe", "/child/./../probe",
      "/child//probe", "/child/\0", "/childx", "//probe", "/child" } do
      local ok, found = pcall(context.lookupIsolate, context, path)
      if ok and found then escaped(path) end
      ok, found = pcall(context.spawnIsolate, context, path, function() end)
      if ok and found then escaped("spawned " .. path) end
    end
    local group = context:group "/child/"
    rawset(group, "prefix", "/")
    rawset(group, "handle", nil)
    if pcall(group.list, group) then escaped "a group without a handle" end
    local other = context:group "/child/"
    rawset(other, "prefix", "/")
    for _, ref in ipairs(other:list()) do
      if ref.path == "/probe" then escaped "a group's prefix" end
    end
  end,

  ["values that our calls take"] = function(context)
    local evil = setmetatable({}, { __index = error, __newindex = error,
      __len = error, __eq = error, __call = error, __tostring = error,
      __pairs = error, __name = 5, __close = error, __mode = "k" })
    local ref = context.isolateRef
    for _, call in ipairs { context.sleep, context.after, context.every,
      context.group, context.monitor, context.property, context.spawnIsolate,
      context.lookupIsolate, context.lookupIsolates, context.onMessage.listen,
      context.onMessage.next, context.onMessage.where, ref.send, ref.request,
      ref.property } do
      pcall(call)
      pcall(call, evil)
      pcall(call, evil, evil, evil, evil)
      pcall(call, context, evil)
      pcall(call, ref, evil, evil)
      pcall(call, ref, 1, evil)
      pcall(call, ref, evil, { timeout = evil, type = evil, replyTo = evil })
      pcall(call, context, "/child/x", evil, evil, evil)
      pcall(call, context, 0 / 0, evil)
    end
  end,
}

-- Runs the trick with the functions that it may use for telling.
local function attempt(context)
  local report = context:property "probe"
  local source = context:property "trick"
  local trick = load(source)
  local escapes = {}
  local ok, text = pcall(trick, context,
    function(what) escapes[#escapes + 1] = what end)
  if not ok then escapes[#escapes + 1] = "raised: " .. tostring(text) end
  report:send(escapes)
end

describe("A hostile script in a sandbox", function()
  local probe

  before_each(function() probe = Probe.new() end)
  after_each(function() probe:close() end)

  -- The text of a function without upvalues, whose parameters are as above.
  local function sourceOf(fn)
    local about = debug.getinfo(fn, "S")
    local lines, number = {}, 0
    for line in io.lines(about.short_src) do
      number = number + 1
      if number >= about.linedefined and number <= about.lastlinedefined then
        lines[#lines + 1] = line
      end
    end
    lines[1] = lines[1]:gsub("^.-= function", "return (function")
    lines[#lines] = "end)(...)"
    return table.concat(lines, "\n")
  end

  for name, trick in pairs(TRICKS) do
    it("does not escape by " .. name, function()
      assert(probe.cluster:spawnIsolate("/child/hostile", attempt,
        { probe = probe.ref, trick = sourceOf(trick) },
        { sandbox = { reach = { "/child/" } } }))

      assert.same({}, probe:heard(1)[1])
    end)
  end
end)
