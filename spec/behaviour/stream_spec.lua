-- stream_spec.lua - listening, filtering and waiting; callbacks.

local Probe = require "spec.support.probe"

describe("A stream", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("calls its listener until that is cancelled", function()
    local heard = probe:inside(function(context)
      local heard = {}
      local subscription = context.onMessage:listen(function(value)
        heard[#heard + 1] = value
      end)
      context.isolateRef:send(1)
      context.isolateRef:send(2)
      while #heard < 2 do context:sleep(0.001) end
      subscription:cancel()
      subscription:cancel()
      context.isolateRef:send(3)
      heard[#heard + 1] = (context.onMessage:next(10))
      return heard
    end)

    assert.same({ 1, 2, 3 }, heard)
  end)

  it("calls all its listeners, in their order", function()
    local ref = probe:spawn("/a", function(context)
      for i = 1, 3 do
        context.onMessage:listen(function(value)
          context:property "probe":send { i, value }
        end)
      end
    end)

    ref:send "x"
    ref:send "y"

    assert.same({ { 1, "x" }, { 2, "x" }, { 3, "x" },
      { 1, "y" }, { 2, "y" }, { 3, "y" } }, probe:heard(6))
  end)

  it("calls one function twice that listens twice", function()
    local ref = probe:spawn("/a", function(context)
      local function tell(value) context:property "probe":send(value) end
      local first = context.onMessage:listen(tell)
      context.onMessage:listen(tell)
      context.onIsolateUp:listen(function() first:cancel() end)
    end)

    ref:send "both"
    probe:heard(2)
    probe:spawn("/up", function() end)
    -- The isolate has heard of /up before it gets this.
    ref:send "one"

    assert.same({ "both", "both", "one" }, probe:heard(3))
  end)

  it("calls a listener that the others don't hold up", function()
    local ref = probe:spawn("/a", function(context)
      context.onError:listen(function(err)
        context:property "probe":send(err.message)
      end)
      context.onMessage:listen(function() context:sleep(3600) end)
      context.onMessage:listen(function() error("broken", 0) end)
      context.onMessage:listen(function(value)
        context:property "probe":send(value)
      end)
    end)

    ref:send "x"

    assert.same({ "broken", "x" }, probe:heard(2))
  end)

  it("lets a listener cancel itself and add another", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      local subscription
      subscription = context.onMessage:listen(function(value)
        report:send { "first", value }
        subscription:cancel()
        context.onMessage:listen(function(later)
          report:send { "second", later }
        end)
      end)
    end)

    ref:send "x"
    ref:send "y"

    assert.same({ { "first", "x" }, { "second", "y" } }, probe:heard(2))
  end)

  it("is filtered by where", function()
    local ref = probe:spawn("/a", function(context)
      context.onMessage
        :where(function(value) return value % 2 == 0 end)
        :where(function(value, message) return message.type == "number" end)
        :listen(function(value, message)
          context:property "probe":send { value, message.type }
        end)
    end)

    for i = 1, 6 do
      ref:send(i, { type = i == 4 and "other" or "number" })
    end

    assert.same({ { 2, "number" }, { 6, "number" } }, probe:heard(2))
  end)

  it("is changed by map", function()
    local ref = probe:spawn("/a", function(context)
      context.onMessage
        :map(function(value, message) return value .. message.type end)
        :map(function(value) return value:upper() end)
        :listen(function(value, message)
          context:property "probe":send { value, message.content }
        end)
    end)

    ref:send("a", { type = "b" })

    assert.same({ { "AB", "a" } }, probe:heard(1))
  end)

  it("may be mapped to nil", function()
    local ref = probe:spawn("/a", function(context)
      context.onMessage
        :map(function() return nil end)
        :listen(function(value) context:property "probe":send(type(value)) end)
    end)

    ref:send(1)

    assert.same({ "nil" }, probe:heard(1))
  end)

  it("derived from another can be cancelled and waited for", function()
    local heard = probe:inside(function(context)
      local even = context.onMessage:where(function(v) return v % 2 == 0 end)
      local heard = {}
      local subscription = even:listen(function(v) heard[#heard + 1] = v end)
      for i = 1, 4 do context.isolateRef:send(i) end
      while #heard < 2 do context:sleep(0.001) end
      subscription:cancel()
      for i = 5, 8 do context.isolateRef:send(i) end
      heard[3] = even:next(10)
      heard[4] = even:next(10)
      return heard
    end)

    assert.same({ 2, 4, 6, 8 }, heard)
  end)

  it("gives the next event, with its message", function()
    local got = probe:inside(function(context)
      context.isolateRef:send("hello", { type = "t" })
      local value, message = context.onMessage:next()
      return { value, message.type, message.content }
    end)

    assert.same({ "hello", "t", "hello" }, got)
  end)

  it("gives nil, a text and a code when nothing comes in time", function()
    local got = probe:inside(function(context)
      return { context.onMessage:next(0.01) }
    end)

    assert.same({ nil, "nothing came from context.onMessage in 0.01 s",
      "timeout" }, got)
  end)

  it("loses nothing to a wait that was too short", function()
    local got = probe:inside(function(context)
      local timedOut = select(3, context.onMessage:next(0))
      context.isolateRef:send "later"
      return { timedOut, (context.onMessage:next(10)) }
    end)

    assert.same({ "timeout", "later" }, got)
  end)

  it("tells a message that is nil from the end of the time", function()
    local got = probe:inside(function(context)
      context.isolateRef:send(nil)
      local value, message, code = context.onMessage:next(10)
      return { value == nil, message.content == nil, code == nil }
    end)

    assert.same({ true, true, true }, got)
  end)

  it("can be iterated, and no message is lost between the turns", function()
    local ref = probe:spawn("/a", function(context)
      local heard = {}
      for value, message in context.onMessage:iter() do
        heard[#heard + 1] = value .. message.type
        context:sleep(0)
        if value == 100 then break end
      end
      context:property "probe":send(heard)
      for value in context.onMessage:iter() do
        context:property "probe":send(value)
        if value == 102 then break end
      end
    end)

    for i = 1, 102 do ref:send(i, { type = "t" }) end

    local heard = probe:heard(3)
    local wanted = {}
    for i = 1, 100 do wanted[i] = i .. "t" end
    assert.same({ wanted, 101, 102 }, heard)
    assert.equal("done", probe:reasonOf(ref))
  end)

  it("of a filter can be iterated", function()
    local ref = probe:spawn("/a", function(context)
      local odd = context.onMessage:where(function(v) return v % 2 == 1 end)
      local sum = 0
      for value in odd:iter() do
        sum = sum + value
        context:sleep(0)
        if value == 9 then break end
      end
      context:property "probe":send(sum)
    end)

    for i = 1, 10 do ref:send(i) end

    assert.same({ 25 }, probe:heard(1))
  end)

  it("gives each message to every one that waits for the next", function()
    local got = probe:inside(function(context)
      local got = {}
      for i = 1, 2 do
        coroutine.wrap(function()
          got[i] = (context.onMessage:next(10))
        end)()
      end
      context.isolateRef:send "x"
      while not (got[1] and got[2]) do context:sleep(0.001) end
      return got
    end)

    assert.same({ "x", "x" }, got)
  end)

  it("keeps other events for a loop's next turn too", function()
    probe:spawn("/watcher", function(context)
      local report = context:property "probe"
      report:send "watches"
      local seen = {}
      for ref in context.onIsolateUp:iter() do
        seen[#seen + 1] = ref.path
        context:sleep(0)
        if #seen == 3 then break end
      end
      report:send(seen)
    end)
    probe:heard(1)

    for i = 1, 3 do
      probe.cluster:spawnIsolate("/up/" .. i, "spec.support.idle")
    end

    assert.same({ "/up/1", "/up/2", "/up/3" }, probe:heard(2)[2])
  end)
end)

describe("A callback", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("is set with a call, a listen or an assignment", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      local subscription = context:onMessage(function(value, message)
        report:send { "call", value, message.type }
      end)
      context.onMessage:listen(function(value, message)
        report:send { "listen", value, message.type }
      end)
      context.onMessage = function(value, message)
        report:send { "assignment", value, message.type }
        subscription:cancel()
      end
    end)

    ref:send("x", { type = "t" })
    ref:send("y", { type = "t" })

    assert.same({ { "call", "x", "t" }, { "listen", "x", "t" },
      { "assignment", "x", "t" }, { "listen", "y", "t" },
      { "assignment", "y", "t" } }, probe:heard(5))
  end)

  it("replaces the one that was set in the same way, and no other", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      context:onMessage(function(value) report:send { "call", value } end)
      context.onMessage = function(value) report:send { "first", value } end
      context.onMessage = function(value) report:send { "second", value } end
    end)

    ref:send "x"
    ref:send "y"

    local heard = probe:heard(4)
    assert.same({ { "call", "x" }, { "second", "x" }, { "call", "y" },
      { "second", "y" } }, heard)
  end)

  it("is taken back with nil", function()
    local ref = probe:spawn("/a", function(context)
      context.onMessage = function(value)
        context:property "probe":send(value)
        context.onMessage = nil
      end
    end)

    ref:send "only"
    ref:send "never"

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ "only" }, probe:heard(1))
  end)

  it("can be set for every event", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      context.onIsolateUp = function(other)
        report:send { "up", other.path }
        error("of a handler", 0)
      end
      context.onIsolateDown = function(other, reason)
        report:send { "down", other.path, reason }
        context.isolateRef:send "message"
      end
      context.onError = function(err) report:send { "error", err.message } end
      context.onMessage = function(value) report:send { "message", value } end
      context.onShutdownRequest = function()
        report:send { "shutdown" }
        context:shutdownIsolate()
      end
      report:send "ready"
    end)
    probe:heard(1)

    probe:spawn("/b", function() end)
    local heard = probe:heard(5)
    probe.cluster:shutdown(10)

    assert.same({ "ready", { "up", "/b" }, { "error", "of a handler" },
      { "down", "/b", "done" }, { "message", "message" } }, heard)
    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("of the cluster can be set too", function()
    local cluster = probe.cluster
    local heard = {}
    cluster.onIsolateUp = function() heard[#heard + 1] = "never" end
    cluster.onIsolateUp = function(ref) heard[#heard + 1] = "up " .. ref.path end
    cluster.onIsolateDown = function(ref, reason)
      heard[#heard + 1] = reason .. " " .. ref.path
    end

    local ref = probe:spawn("/a", function() end)
    probe:reasonOf(ref)
    cluster.onIsolateUp, cluster.onIsolateDown = nil, nil
    probe:reasonOf(probe:spawn("/b", function() end))

    assert.same({ "up /a", "done /a" }, heard)
  end)
end)
