-- stream_spec.lua - listening, deriving and waiting, on a stream whose source
-- is the spec.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

describe("A stream", function()
  local core, Stream, loop, stream, demands, heard

  local function hear(...) heard[#heard + 1] = table.concat({ ... }, " ") end

  before_each(function()
    core, demands, heard = FakeCore.new(), {}, {}
    loop, Stream = core:load("loop", "stream")
    stream = Stream.new("context.onEvent", function(changed)
      demands[#demands + 1] = #changed.listeners
    end)
  end)

  describe("that is listened to", function()
    it("gives each event to the listener", function()
      stream:listen(hear)

      stream:emit("a", 1)
      stream:emit "b"

      assert.same({ "a 1", "b" }, heard)
    end)

    it("gives each event to all listeners, in their order", function()
      stream:listen(function(value) hear("first", value) end)
      stream:listen(function(value) hear("second", value) end)

      stream:emit "a"
      stream:emit "b"

      assert.same({ "first a", "second a", "first b", "second b" }, heard)
    end)

    it("calls its one listener as it is", function()
      stream:listen(error)

      assert.has_error(function() stream:emit "through" end, "through")
    end)

    it("reports the error of one of many, and calls the others", function()
      stream:listen(function() error "it broke" end)
      stream:listen(hear)

      stream:emit "a"

      assert.same({ "a" }, heard)
      assert.matches("it broke", core.reports[1])
    end)

    it("does not make one of many wait for another", function()
      local ticket = loop.ticket()
      stream:listen(function(value) hear(value, loop.await(ticket)) end)
      stream:listen(hear)

      stream:emit "a"
      loop.wake(ticket, "later")

      assert.same({ "a", "a later" }, heard)
    end)

    it("gives an event to nobody who began to listen meanwhile", function()
      stream:listen(function() stream:listen(hear) end)

      stream:emit "a"
      assert.same({}, heard)

      stream:emit "b"
      assert.same({ "b" }, heard)
    end)

    it("gives an event to nobody who was cancelled meanwhile", function()
      local second
      stream:listen(function() second:cancel() end)
      second = stream:listen(hear)
      stream:listen(function(value) hear("third", value) end)

      stream:emit "a"

      assert.same({ "third a" }, heard)
    end)

    it("tells its source of each change", function()
      local first = stream:listen(hear)
      local second = stream:listen(hear)
      first:cancel()
      second:cancel()

      assert.same({ 1, 2, 1, 0 }, demands)
    end)

    it("can have the same listener twice", function()
      local first = stream:listen(hear)
      stream:listen(hear)
      stream:emit "a"

      first:cancel()
      stream:emit "b"

      assert.same({ "a", "a", "b" }, heard)
    end)

    it("asks for a function, in the caller's line", function()
      assert.equal("the listener must be a function, got nil",
        refusal.of(function() stream:listen() end))
      assert.equal("stream:listen is a method: write stream:listen(...), "
        .. "with a colon (stream expected before it, got a function)",
        refusal.of(function() stream.listen(hear) end))
    end)
  end)

  describe("of which a subscription is cancelled", function()
    it("gives it nothing more", function()
      local subscription = stream:listen(hear)
      stream:emit "a"

      subscription:cancel()
      stream:emit "b"

      assert.same({ "a" }, heard)
    end)

    it("doesn't mind a second cancel", function()
      local subscription = stream:listen(hear)
      stream:listen(hear)

      subscription:cancel()
      subscription:cancel()

      assert.same({ 1, 2, 1 }, demands)
    end)

    it("is content with a cancel by the listener itself", function()
      local subscription
      subscription = stream:listen(function(value)
        hear(value)
        subscription:cancel()
      end)

      stream:emit "a"
      stream:emit "b"

      assert.same({ "a" }, heard)
    end)

    it("closes it where its variable is closed", function()
      do
        local _ <close> = stream:listen(hear)
        stream:emit "a"
      end
      stream:emit "b"

      assert.same({ "a" }, heard)
    end)

    it("asks for the colon", function()
      local subscription = stream:listen(hear)

      assert.equal("subscription:cancel is a method: write "
        .. "subscription:cancel(...), with a colon (subscription expected "
        .. "before it, got nil)",
        refusal.of(function() subscription.cancel() end))
    end)
  end)

  describe("whose callback is set", function()
    it("has one, however often that is", function()
      stream:assign(function(value) hear("old", value) end)
      stream:assign(function(value) hear("new", value) end)

      stream:emit "a"

      assert.same({ "new a" }, heard)
    end)

    it("is never without a listener in between", function()
      stream:assign(hear)
      stream:assign(hear)
      stream:assign(nil)

      assert.same({ 1, 2, 1, 0 }, demands)
    end)

    it("leaves the other listeners alone", function()
      stream:listen(hear)
      stream:assign(hear)
      stream:assign(nil)

      stream:emit "a"

      assert.same({ "a" }, heard)
    end)
  end)

  describe("that is called", function()
    local owner = {}

    before_each(function() stream.owner = owner end)

    it("as its owner's method listens", function()
      local subscription = stream(owner, hear)
      stream:emit "a"
      subscription:cancel()
      stream:emit "b"

      assert.same({ "a" }, heard)
    end)

    it("with a dot says how to write it", function()
      local text = "write context:onEvent(fn), with a colon, "
        .. "or context.onEvent:listen(fn)"

      assert.equal(text, refusal.of(function() stream(hear) end))
      assert.equal(text, refusal.of(function() stream() end))
    end)

    it("wants one function", function()
      assert.equal("the listener must be a function, got a table",
        refusal.of(function() stream(owner, {}) end))
      assert.equal("context.onEvent takes one function",
        refusal.of(function() stream(owner, hear, hear) end))
    end)
  end)

  describe("that is filtered by where", function()
    it("gives the events for which the predicate is true", function()
      stream:where(function(value, more) return value > 1 and more end)
        :listen(hear)

      stream:emit(1, "one")
      stream:emit(2, "two")
      stream:emit(3, nil)

      assert.same({ "2 two" }, heard)
    end)

    it("listens to its source only while it has listeners", function()
      local derived = stream:where(function() return true end)
      assert.same({}, demands)

      local first = derived:listen(hear)
      local second = derived:listen(hear)
      first:cancel()
      second:cancel()

      assert.same({ 1, 0 }, demands)
    end)

    it("can be listened to again", function()
      local derived = stream:where(function() return true end)
      derived:listen(hear):cancel()
      stream:emit "a"

      derived:listen(hear)
      stream:emit "b"

      assert.same({ "b" }, heard)
    end)

    it("asks for a function, in the caller's line", function()
      assert.equal("the predicate must be a function, got true",
        refusal.of(function() stream:where(true) end))
    end)
  end)

  describe("that is mapped", function()
    it("gives what the mapping gives, and the rest as it was", function()
      stream:map(function(value, more) return value .. more, "lost" end)
        :listen(hear)

      stream:emit("a", "b")

      assert.same({ "ab b" }, heard)
    end)

    it("can be filtered and mapped again", function()
      stream:map(function(value) return value * 2 end)
        :where(function(value) return value > 2 end)
        :map(function(value) return value + 1 end)
        :listen(hear)

      for i = 1, 3 do stream:emit(i) end

      assert.same({ "5", "7" }, heard)
    end)

    it("asks for a function, in the caller's line", function()
      assert.equal("the mapping must be a function, got nil",
        refusal.of(function() stream:map() end))
    end)
  end)

  describe("that is waited for by next", function()
    it("gives one event, and asks its source for no more", function()
      FakeCore.start(function() hear(stream:next()) end)

      stream:emit("a", "b")
      stream:emit "c"

      assert.same({ "a b" }, heard)
      assert.same({ 1, 0 }, demands)
    end)

    it("stops listening before who waited goes on", function()
      local listeners
      FakeCore.start(function()
        stream:next()
        listeners = #stream.listeners
      end)

      stream:emit "a"

      assert.equal(0, listeners)
    end)

    it("gives nil, a text and a code when the time is up", function()
      local got
      FakeCore.start(function() got = table.pack(stream:next(1.5)) end)

      core:moveTo(101.5)

      assert.same({ n = 3, nil, "nothing came from context.onEvent in 1.5 s",
        "timeout" }, got)
      assert.same({ 1, 0 }, demands)
    end)

    it("gives the event to all who wait", function()
      for i = 1, 3 do
        FakeCore.start(function() hear(i, stream:next()) end)
      end

      stream:emit "a"

      assert.same({ "1 a", "2 a", "3 a" }, heard)
      assert.equal(0, #stream.listeners)
    end)

    it("by a host script takes no second event", function()
      core.isPumping = function() return false end
      function core.pump()
        stream:emit "a"
        stream:emit "b"
      end

      assert.equal("a", stream:next())
      assert.same({ 1, 0 }, demands)
    end)

    it("takes nothing once the coroutine was closed", function()
      local co = FakeCore.start(function() stream:next() end)

      coroutine.close(co)

      assert.same({ 1, 0 }, demands)
    end)

    it("takes nothing where it can't wait", function()
      local text
      FakeCore.start(function()
        table.sort({ 2, 1 }, function()
          text = refusal.of(function()
            local _ = stream:next()
          end)
          return false
        end)
      end)

      assert.matches("^can't wait here", text)
      assert.same({}, demands)
    end)

    it("wants a number of seconds, or nothing", function()
      assert.equal("the timeout must be a number of seconds, got a table",
        refusal.of(function() stream:next {} end))
    end)
  end)

  describe("that a loop iterates over", function()
    it("gives event after event", function()
      FakeCore.start(function()
        for value, more in stream:iter() do hear(value, more) end
      end)

      stream:emit("a", 1)
      stream:emit("b", 2)

      assert.same({ "a 1", "b 2" }, heard)
    end)

    it("asks its source for nothing between the turns", function()
      local ticket = loop.ticket()
      FakeCore.start(function()
        for _ in stream:iter() do loop.await(ticket) end
      end)
      stream:emit "a"
      assert.same({ 1, 0 }, demands)

      loop.wake(ticket)

      assert.same({ 1, 0, 1 }, demands)
    end)

    it("listens no more when the loop is left", function()
      FakeCore.start(function()
        for value in stream:iter() do
          if value == "last" then break end
        end
      end)

      stream:emit "first"
      stream:emit "last"

      assert.equal(0, #stream.listeners)
    end)
  end)

  describe("that buffers, when a loop iterates over it,", function()
    local buffering

    before_each(function()
      buffering = Stream.new("context.onEvent", function() end, true)
    end)

    it("keeps what comes between the turns, in order", function()
      local ticket = loop.ticket()
      FakeCore.start(function()
        for value, more in buffering:iter() do
          hear(value, more)
          if value == "a" then loop.await(ticket) end
        end
      end)
      buffering:emit("a", 1)
      buffering:emit("b", 2)
      buffering:emit("c", 3)
      assert.same({ "a 1" }, heard)

      loop.wake(ticket)
      buffering:emit("d", 4)

      assert.same({ "a 1", "b 2", "c 3", "d 4" }, heard)
    end)

    it("listens no more when the loop is left", function()
      FakeCore.start(function()
        for value in buffering:iter() do
          if value == "a" then break end
        end
      end)

      buffering:emit "a"

      assert.equal(0, #buffering.listeners)
    end)

    it("listens no more when the loop fails, or is closed", function()
      FakeCore.start(function()
        for _ in buffering:iter() do error "it broke" end
      end)
      local co = FakeCore.start(function()
        for value in buffering:iter() do hear(value) end
      end)

      buffering:emit "a"
      coroutine.close(co)

      assert.equal(0, #buffering.listeners)
      assert.same({ "a" }, heard)
    end)

    it("keeps what came to a coroutine that no longer waits", function()
      local co = FakeCore.start(function()
        local each = buffering:iter()
        hear(tostring((each())))
        coroutine.yield()
        hear(each())
      end)
      coroutine.resume(co) -- while it waits
      buffering:emit "a"

      coroutine.resume(co)

      assert.same({ "nil", "a" }, heard)
    end)

    it("does so too when it is filtered", function()
      local ticket = loop.ticket()
      local even = buffering:where(function(i) return i % 2 == 0 end)
      FakeCore.start(function()
        for value in even:iter() do
          hear(value)
          loop.await(ticket)
        end
      end)
      for i = 1, 4 do buffering:emit(i) end

      loop.wake(ticket)

      assert.same({ "2", "4" }, heard)
    end)
  end)

  it("asks for the colon wherever there is a method", function()
    for _, name in ipairs { "listen", "where", "map", "next", "iter" } do
      assert.equal(("stream:%s is a method: write stream:%s(...), with a "
        .. "colon (stream expected before it, got nil)"):format(name, name),
        refusal.of(function() stream[name]() end))
    end
  end)

  it("is written as its name", function()
    assert.equal("context.onEvent", tostring(stream))
  end)
end)
