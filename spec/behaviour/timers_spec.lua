-- timers_spec.lua - sleep, after and every: their order and their end, but not
-- their speed.

local Probe = require "spec.support.probe"

describe("A timer", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("calls its function once after a time", function()
    local ref = probe:spawn("/a", function(context)
      context:after(0.001, function(...)
        context:property "probe":send(select("#", ...))
      end)
    end)

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ 0 }, probe:heard(1))
  end)

  it("repeats after next to no time", function()
    local ref = probe:spawn("/a", function(context)
      local ticks = 0
      context:every(5e-324, function()
        ticks = ticks + 1
        if ticks == 10 then context:shutdownIsolate() end
      end)
    end)

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("calls its function no sooner than that", function()
    local early = probe:inside(function(context)
      local Clock = os.time
      local before, fired = Clock(), nil
      context:after(1.01, function() fired = Clock() end)
      while not fired do context:sleep(0.1) end
      return fired - before < 1
    end)

    assert.is_false(early)
  end)

  it("is called when it is due, not when it was set", function()
    local order = probe:inside(function(context)
      local order = {}
      local function mark(name)
        return function() order[#order + 1] = name end
      end
      local late = context:after(3600, mark "late")
      for i = 1, 3 do context:after(i / 1000, mark(i)) end
      while #order < 3 do context:sleep(0.001) end
      late:cancel()
      return order
    end)

    assert.same({ 1, 2, 3 }, order)
  end)

  it("can be cancelled, again and too late too", function()
    local order = probe:inside(function(context)
      local order = {}
      local function mark(name)
        return function() order[#order + 1] = name end
      end
      local never = context:after(0.001, mark "never")
      local first = context:after(0.002, mark "first")
      context:after(0.01, mark "second")
      never:cancel()
      never:cancel()
      while #order < 2 do context:sleep(0.001) end
      first:cancel()
      return order
    end)

    assert.same({ "first", "second" }, order)
  end)

  it("that was cancelled keeps no isolate alive", function()
    local ref = probe:spawn("/a", function(context)
      local timer = context:after(3600, function() end)
      local other = context:every(3600, function() end)
      context:after(0, function()
        timer:cancel()
        other:cancel()
      end)
    end)

    assert.equal("done", probe:reasonOf(ref))
  end)

  it("can cancel another that is due at the same time", function()
    local order = probe:inside(function(context)
      local order, second = {}, nil
      context:after(0, function()
        order[#order + 1] = "first"
        second:cancel()
      end)
      second = context:after(0, function() order[#order + 1] = "second" end)
      context:after(0.005, function() order[#order + 1] = "third" end)
      while order[#order] ~= "third" do context:sleep(0.001) end
      return order
    end)

    assert.same({ "first", "third" }, order)
  end)

  it("repeats until it is cancelled", function()
    local ref = probe:spawn("/a", function(context)
      local count, timer = 0, nil
      timer = context:every(0.001, function(...)
        count = count + 1
        context:property "probe":send { count, select("#", ...) }
        if count == 3 then timer:cancel() end
      end)
    end)

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ { 1, 0 }, { 2, 0 }, { 3, 0 } }, probe:heard(3))
  end)

  it("that repeats survives an error in what it calls", function()
    local ref = probe:spawn("/a", function(context)
      local count, timer = 0, nil
      context.onError:listen(function(err)
        context:property "probe":send(err.message)
      end)
      timer = context:every(0.001, function()
        count = count + 1
        if count == 2 then timer:cancel() end
        error("tick " .. count, 0)
      end)
    end)

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ "tick 1", "tick 2" }, probe:heard(2))
  end)

  it("lets what it calls wait", function()
    local order = probe:inside(function(context)
      local order = {}
      context:after(0, function()
        order[#order + 1] = "begins"
        context:sleep(0.02)
        order[#order + 1] = "ends"
      end)
      context:after(0.001, function() order[#order + 1] = "other" end)
      while #order < 3 do context:sleep(0.001) end
      return order
    end)

    assert.same({ "begins", "other", "ends" }, order)
  end)

  it("with no delay does not stop messages from being handled", function()
    local ref = probe:spawn("/a", function(context)
      context:every(0, function() end)
      context:onMessage(function(value)
        context:property "probe":send(value)
      end)
    end)

    ref:send "heard"

    assert.same({ "heard" }, probe:heard(1))
  end)

  it("may be one of thousands", function()
    local result = probe:inside(function(context)
      local fired, timers = 0, {}
      for i = 1, 5000 do
        timers[i] = context:after((i * 7919 % 100) / 10000, function()
          fired = fired + 1
        end)
      end
      for i = 1, 5000, 2 do timers[i]:cancel() end
      while fired < 2500 do context:sleep(0.001) end
      context:sleep(0.015)
      return fired
    end)

    assert.equal(2500, result)
  end)
end)

describe("A sleep", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("returns when its time is up, with nothing", function()
    local count = probe:inside(function(context)
      return select("#", context:sleep(0.001)), nil
    end)

    assert.equal(0, count)
  end)

  it("may be of no time, in which others have a turn", function()
    local order = probe:inside(function(context)
      local order = {}
      local subscription = context.onMessage:listen(function(value)
        order[#order + 1] = value
      end)
      context.isolateRef:send "message"
      while #order == 0 do context:sleep(0) end
      order[#order + 1] = "awake"
      subscription:cancel()
      return order
    end)

    assert.same({ "message", "awake" }, order)
  end)

  it("suspends only the coroutine that calls it", function()
    local order = probe:inside(function(context)
      local order = {}
      for i, seconds in ipairs { 3600, 0.001 } do
        coroutine.wrap(function()
          order[#order + 1] = "sleeps " .. i
          context:sleep(seconds)
          order[#order + 1] = "wakes " .. i
        end)()
      end
      while #order < 3 do context:sleep(0.001) end
      return order
    end)

    assert.same({ "sleeps 1", "sleeps 2", "wakes 2" }, order)
  end)

  it("that never ends is ended by a shutdown", function()
    local ref = probe:spawn("/a", function(context)
      context:property "probe":send "sleeps"
      context:sleep(math.huge)
    end)
    probe:heard(1)

    local agreed = probe.cluster:shutdown(10)

    assert.is_true(agreed)
    assert.equal("shutdown", probe:reasonOf(ref))
  end)
end)

describe("Misuse of timers", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("is refused with what was expected and what came", function()
    local texts = probe:inside(function(context)
      local raised = require("spec.support.refusal").of
      local function nothing() end
      local timer = context:after(3600, nothing)
      local texts = {
        raised(function() context:sleep() end),
        raised(function() context:sleep "1" end),
        raised(function() context:sleep(-1) end),
        raised(function() context:sleep(0 / 0) end),
        raised(function() context.sleep(1) end),
        raised(function() context:after(nothing, 1) end),
        raised(function() context:after(1) end),
        raised(function() context:after(-1, nothing) end),
        raised(function() context.after(1, nothing) end),
        raised(function() context:every(nil, nothing) end),
        raised(function() context:every(1, "name") end),
        raised(function() context.every(1, nothing) end),
        raised(function() timer.cancel() end),
      }
      timer:cancel()
      return texts
    end)

    texts[4] = texts[4]:gsub("got %-?nan", "got nan")
    assert.same({
      "the time to sleep must be a number of seconds, got nil",
      "the time to sleep must be a number of seconds, got the string '1'",
      "the time to sleep must be 0 seconds or more, got -1",
      "the time to sleep must be 0 seconds or more, got nan",
      "context:sleep is a method: write context:sleep(...), with a colon "
        .. "(context expected before it, got 1)",
      "the delay must be a number of seconds, got a function",
      "what context:after calls must be a function, got nil",
      "the delay must be 0 seconds or more, got -1",
      "context:after is a method: write context:after(...), with a colon "
        .. "(context expected before it, got 1)",
      "the interval must be a number of seconds, got nil",
      "what context:every calls must be a function, got the string 'name'",
      "context:every is a method: write context:every(...), with a colon "
        .. "(context expected before it, got 1)",
      "timer:cancel is a method: write timer:cancel(...), with a colon "
        .. "(timer expected before it, got nil)",
    }, texts)
  end)
end)
