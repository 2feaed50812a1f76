-- context_spec.lua - an isolate's context: its fields, its events, its timers,
-- with a core that the spec plays.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

describe("A context", function()
  local core, Context, context, watches, calls

  local function note(...) calls[#calls + 1] = table.concat({ ... }, " ") end

  before_each(function()
    calls = {}
    core = FakeCore.new {
      own = function(name)
        local own = { path = "/me", isolateRef = { path = "/me" },
          properties = { id = 7, tags = { "a" } } }
        return own[name]
      end,
      watch = function(_, up, down) watches = { up, down } end,
      setHandler = function(handler) core.handler = handler end,
      spawn = function(handle, path) return handle .. " spawns " .. path end,
      lookup = function(handle, path) return handle .. " finds " .. path end,
      list = function(handle, prefix)
        return { handle .. " lists " .. prefix }
      end,
      stop = function(reason) note("stop", reason) end,
      beginShutdown = function(_, timeout)
        note("shutdown", timeout)
        return true
      end,
    }
    Context = core:load "context"
    context = Context.new "handle"
  end)

  it("knows who it is", function()
    assert.equal("/me", context.path)
    assert.equal("/me", context.isolateRef.path)
    assert.same({ id = 7, tags = { "a" } }, context.properties)
    assert.equal("context of /me", tostring(context))
  end)

  it("gives a property, or nil", function()
    assert.equal(7, context:property "id")
    assert.is_nil(context:property "name")
  end)

  it("wants the key of a property", function()
    assert.equal("context:property wants a key, got nil",
      refusal.of(function() return context:property(), 1 end))
  end)

  it("has no field that nobody knows", function()
    assert.equal("a context has no field the string 'pth'",
      refusal.of(function() return context.pth, 1 end))
  end)

  it("names what can be set", function()
    assert.equal("can't set context.path; onMessage, onIsolateUp, "
      .. "onIsolateDown, onError and onShutdownRequest can be set",
      refusal.of(function() context.path = "/other" end))
    assert.equal("context.onMessage must be a function or nil, got a table",
      refusal.of(function() context.onMessage = {} end))
  end)

  it("spawns and looks up in its own cluster", function()
    assert.equal("handle spawns /a",
      context:spawnIsolate("/a", function() end))
    assert.equal("handle finds /a", context:lookupIsolate "/a")
    assert.same({ "handle lists /w/" }, context:lookupIsolates "/w/")
  end)

  it("makes groups", function()
    assert.equal("/w/", context:group "/w/".prefix)
    assert.equal("malformed path '/w': a prefix must end in '/'",
      refusal.of(function() context:group "/w" end))
  end)

  it("asks for the colon wherever there is a method", function()
    for _, name in ipairs { "property", "spawnIsolate", "lookupIsolate",
      "lookupIsolates", "group", "shutdownIsolate", "shutdownNode", "sleep",
      "after", "every" } do
      assert.equal(("context:%s is a method: write context:%s(...), with a "
        .. "colon (context expected before it, got 1)"):format(name, name),
        refusal.of(function() local _ = context[name](1) end))
    end
  end)

  describe("whose messages are listened to", function()
    it("gives one listener to the C side as it is", function()
      local subscription = context:onMessage(note)
      assert.equal(note, core.handler)

      subscription:cancel()

      assert.is_nil(core.handler)
    end)

    it("gives each message to several", function()
      context:onMessage(function(value) note("first", value) end)
      context.onMessage:listen(function(value) note("second", value) end)

      core.handler("a", "message")

      assert.same({ "first a", "second a" }, calls)
    end)

    it("has one callback that is set", function()
      context.onMessage = function() note "old" end
      context.onMessage = note
      assert.equal(note, core.handler)

      context.onMessage = nil

      assert.is_nil(core.handler)
    end)
  end)

  describe("that starts", function()
    it("asks for no less than all events before", function()
      context.onIsolateUp:listen(note)

      assert.is_nil(watches)
    end)

    it("watches what it listens to from then on", function()
      local subscription = context.onIsolateUp:listen(note)
      Context.started()
      assert.same({ true, false }, watches)
      context.onIsolateDown:listen(note)
      assert.same({ true, true }, watches)

      subscription:cancel()

      assert.same({ false, true }, watches)
    end)
  end)

  it("gives an event to its listeners, and tells if it has none", function()
    assert.is_false(Context.emit("onIsolateDown", "ref", "done"))
    context.onIsolateDown:listen(note)

    assert.is_true(Context.emit("onIsolateDown", "ref", "done"))
    assert.same({ "ref done" }, calls)
  end)

  it("keeps events between the turns of a loop, but for messages", function()
    for _, name in ipairs { "onIsolateUp", "onIsolateDown", "onError",
      "onShutdownRequest" } do
      FakeCore.start(function()
        for value in context[name]:iter() do
          note(name, value)
          if value == "first" then Context.emit(name, "second") end
        end
      end)
      Context.emit(name, "first")
      assert.same({ name .. " first", name .. " second" }, calls)
      calls = {}
    end

    FakeCore.start(function()
      for value in context.onMessage:iter() do
        if value == "first" then note(tostring(core.handler)) end
      end
    end)
    core.handler "first"
    assert.same({ "nil" }, calls)
  end)

  describe("lives on", function()
    it("only while it listens for something that may come", function()
      assert.is_false(Context.isAlive())

      for _, name in ipairs { "onMessage", "onIsolateUp", "onIsolateDown",
        "onShutdownRequest" } do
        local subscription = context[name]:listen(note)
        assert.is_true(Context.isAlive(), name)
        subscription:cancel()
        assert.is_false(Context.isAlive(), name)
      end
    end)

    it("not for listening to errors, which nothing can cause", function()
      context.onError:listen(note)

      assert.is_false(Context.isAlive())
    end)

    it("while something waits or a timer is set", function()
      FakeCore.start(function() context:sleep(1) end)
      assert.is_true(Context.isAlive())
      core:moveTo(101)
      assert.is_false(Context.isAlive())

      local timer = context:after(1, note)
      assert.is_true(Context.isAlive())
      timer:cancel()
      assert.is_false(Context.isAlive())
    end)
  end)

  it("sleeps as long as it is told", function()
    FakeCore.start(function()
      context:sleep(1.5)
      note "awake"
    end)

    core:moveTo(101.4)
    assert.same({}, calls)
    core:moveTo(101.5)

    assert.same({ "awake" }, calls)
  end)

  it("sleeps for a number of seconds only", function()
    assert.equal("the time to sleep must be a number of seconds, got nil",
      refusal.of(function() context:sleep() end))
  end)

  describe("that calls something later", function()
    it("does it once, in a coroutine that may wait", function()
      context:after(1, function()
        context:sleep(2)
        note(core.time)
      end)

      core:moveTo(200)

      assert.same({ "103" }, calls)
    end)

    it("does not if it was cancelled", function()
      local timer = context:after(1, note)

      timer:cancel()
      timer:cancel()
      core:moveTo(102)

      assert.same({}, calls)
    end)

    it("reports an error and calls the others", function()
      context:after(1, function() error "it broke" end)
      context:after(1, function() note "next" end)

      core:moveTo(101)

      assert.same({ "next" }, calls)
      assert.matches("it broke", core.reports[1])
    end)

    it("wants seconds and a function, in the caller's line", function()
      assert.equal("the delay must be a number of seconds, got a function",
        refusal.of(function() context:after(note) end))
      assert.equal("what context:after calls must be a function, got nil",
        refusal.of(function() context:after(1) end))
    end)
  end)

  describe("that repeats something", function()
    it("does it at each interval until it is cancelled", function()
      local timer = context:every(2, function() note(core.time) end)
      core:moveTo(107)

      timer:cancel()
      core:moveTo(200)

      assert.same({ "102.0", "104.0", "106.0" },
        { ("%.1f"):format(calls[1]), ("%.1f"):format(calls[2]),
          ("%.1f"):format(calls[3]) })
      assert.equal(3, #calls)
    end)

    it("can be cancelled by what it calls", function()
      local timer
      timer = context:every(1, function()
        note "tick"
        timer:cancel()
      end)

      core:moveTo(110)

      assert.same({ "tick" }, calls)
    end)

    it("goes on after an error", function()
      context:every(1, function() error "it broke" end)

      core:moveTo(103)

      assert.equal(3, #core.reports)
    end)

    it("does not drift", function()
      context:every(1, function()
        note(core.time)
        core.time = core.time + 0.25
      end)

      core:moveTo(103)

      assert.same({ "101", "102", "103" }, { calls[1]:match "%d+",
        calls[2]:match "%d+", calls[3]:match "%d+" })
      assert.equal(3, #calls)
    end)

    it("leaves out the times that were missed, and keeps step", function()
      context:every(1, function() note(core.time // 1 | 0) end)
      core.time = 104.5
      core:raise "timer"

      core:moveTo(106)

      assert.same({ "104", "105", "106" }, calls)
    end)

    it("as often as it can lets others have their turn", function()
      local count = 0
      context:every(0, function() count = count + 1 end)

      core:raise "timer"
      core:raise "timer"

      assert.equal(2, count)
    end)

    it("wants seconds and a function, in the caller's line", function()
      assert.equal("the interval must be 0 seconds or more, got -1",
        refusal.of(function() context:every(-1, note) end))
      assert.equal("what context:every calls must be a function, got 5",
        refusal.of(function() context:every(1, 5) end))
    end)
  end)

  it("gives timers that ask for the colon", function()
    local timer = context:after(1, note)

    assert.equal("timer:cancel is a method: write timer:cancel(...), with a "
      .. "colon (timer expected before it, got nil)",
      refusal.of(function() timer.cancel() end))
  end)

  it("ends its isolate, or its node", function()
    context:shutdownIsolate()
    context:shutdownNode()
    context:shutdownNode(0.5)

    assert.same({ "stop shutdown", "shutdown 5", "shutdown 0.5" }, calls)
    assert.equal("the timeout must be 0 seconds or more, got -1",
      refusal.of(function() context:shutdownNode(-1) end))
  end)
end)
