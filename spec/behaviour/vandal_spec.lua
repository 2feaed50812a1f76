-- vandal_spec.lua - isolates without a sandbox that turn Lua's debug library,
-- their registry or our modules against what runs them: they may spoil
-- themselves, and the process lives.

local Probe = require "spec.support.probe"

describe("a vandal", function()
  local probe

  before_each(function() probe = Probe.new() end)
  after_each(Probe.close)

  it("finds no finalizer of ours that it could call", function()
    local shown = probe:inside(function(context)
      local ref = context.isolateRef
      ref:send "x"
      local _, message = context.onMessage:next()
      local shown = {}
      for i, value in ipairs { ref, message } do
        shown[i] = { debug.getmetatable(value),
          (pcall(debug.setmetatable, value, nil)),
          (pcall(debug.setmetatable, value, {})) }
      end
      return shown
    end)

    assert.same({
      { "isolate ref", false, false }, { "isolate message", false, false },
    }, shown)
  end)

  it("gets a copy of the registry, without what is ours", function()
    local found = probe:inside(function(context)
      local found, registry = {}, debug.getregistry()
      for key in pairs(registry) do
        if type(key) == "userdata" then found[#found + 1] = "a pointer" end
        if math.type(key) == "integer" and key > 2 then
          found[#found + 1] = "a reference"
        end
        if tostring(key):find "isolate" then found[#found + 1] = key end
        registry[key] = nil
      end
      assert(context.isolateRef:send(1) and io.type(io.tmpfile()) == "file")
      assert(debug.getregistry()[2] == _G)
      return found
    end)

    assert.same({}, found)
  end)

  it("sees no upvalues of functions in C", function()
    probe:inside(function(context)
      local functions = { context.isolateRef.send, coroutine.resume, print,
        io.open, coroutine.wrap(print) }
      for _, fn in ipairs(functions) do
        assert(debug.getupvalue(fn, 1) == nil)
        assert(debug.setupvalue(fn, 1, nil) == nil)
        assert(debug.upvalueid(fn, 1) == nil)
      end
    end)
  end)

  it("has the rest of the debug library as Lua has it", function()
    probe:inside(function()
      local secret = 1
      local function get() return secret end
      local function other() return secret end
      assert(debug.getupvalue(get, 1) == "secret")
      assert(debug.getupvalue(get, 2) == nil)
      assert(debug.setupvalue(get, 1, 2) == "secret" and secret == 2)
      assert(debug.upvalueid(get, 1) == debug.upvalueid(other, 1))
      assert(debug.upvalueid(get, 3) == nil)
      local file = io.tmpfile()
      assert(debug.getmetatable(file).__name == "FILE*")
      local meta = { __metatable = "hidden" }
      local object = debug.setmetatable({}, meta)
      assert(debug.getmetatable(object) == meta)
      assert(debug.getmetatable(debug.setmetatable(object, nil)) == nil)
      assert(not pcall(debug.setmetatable, {}, 1))
    end)
  end)

  it("wakes nobody who waits for something else by a forged reply", function()
    local heard = probe:inside(function(context)
      local IsolateCluster = require "isolate_cluster"
      local bytes = IsolateCluster.encode(context.isolateRef)
      for i = 0, 2000 do
        local number = i < 24 and string.char(i)
          or "\x1b" .. string.pack(">I8", i)
        IsolateCluster.decode(bytes:sub(1, -2) .. number):send "forged"
      end
      return { select("#", context:sleep(0.05)),
        select(3, context.onIsolateUp:next(0.05)) }
    end)

    assert.same({ 0, "timeout" }, heard)
    assert.is_true(probe.cluster:stats().lateReplies >= 2000)
  end)

  it("makes no ref of bytes with a path that is longer than any", function()
    local types = probe:inside(function(context)
      local IsolateCluster = require "isolate_cluster"
      local function decode(size)
        return type(IsolateCluster.decode("\xd8\x1b\x85\x67isolate\1\1\x79"
          .. string.pack(">s2", "/" .. ("x"):rep(size - 1)) .. "\0"))
      end
      return { decode(1024), decode(1025), decode(60000), context.path }
    end)

    assert.same({ "userdata", "table", "table" }, { table.unpack(types, 1, 3) })
  end)

  it("can do nothing with what only a host script may", function()
    local left = probe:inside(function()
      local core, left = require "isolate_cluster.core", {}
      for _, name in ipairs { "newCluster", "endShutdown", "shutdownAll",
        "pump", "setDefaultSandbox", "simulate", "trace", "captureRecords" } do
        if core[name] then left[#left + 1] = name end
      end
      return left
    end)

    assert.same({}, left)
  end)
end)

describe("a finalizer", function()
  local probe

  before_each(function() probe = Probe.new() end)
  after_each(Probe.close)

  it("of the isolate's end uses refs, messages and the context", function()
    probe:spawn("/a", function(context)
      local last = setmetatable({}, { __gc = function(last)
        last.probe:send(last.message.content .. last.ref.path)
        last.probe:send(#last.context:lookupIsolates "/")
      end })
      -- Newer than the object, so their finalizers come first.
      last.context, last.ref = context, context.isolateRef
      last.probe = context:property "probe"
      context:onMessage(function(_, message)
        last.message = message
        context:shutdownIsolate()
      end)
      context.isolateRef:send "bye "
    end)

    assert.same({ "bye /a", 2 }, probe:heard(2))
  end)

  it("is told where what it uses was finalized before it", function()
    local heard = probe:inside(function(context)
      local IsolateCluster = require "isolate_cluster"
      local ref = context.isolateRef
      local name = ref.path:sub(2)
      local bytes = IsolateCluster.encode(ref):gsub(name, ("x"):rep(#name))
      local heard = {}
      do
        local last = setmetatable({}, { __gc = function(last)
          for i, use in ipairs {
            function(gone) return gone.path end, tostring,
            function(gone) return gone:send(1) end,
            function(gone) return gone:request(1) end,
            function(gone) return context:monitor(gone, print) end,
          } do
            heard[i] = pcall(use, last.ref)
          end
        end })
        last.ref = IsolateCluster.decode(bytes)
        assert(type(last.ref) == "userdata")
      end
      collectgarbage()
      collectgarbage()
      return heard
    end)

    assert.same({ false, false, false, false, false }, heard)
  end)
end)
