-- loop_spec.lua - coroutines that wait, and errors that nobody caught, with
-- events that the spec raises.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

local function failing(text)
  return setmetatable({}, { __tostring = function() error(text) end })
end

describe("An error value", function()
  local loop = FakeCore.new():load "loop"

  it("that is a string or a number is its own text", function()
    assert.equal("text", loop.describeError "text")
    assert.equal("1.5", loop.describeError(1.5))
  end)

  it("speaks for itself by its __tostring", function()
    local value = setmetatable({}, { __tostring = function() return "me" end })

    assert.equal("me", loop.describeError(value))
  end)

  it("is named by its type if it can't speak", function()
    assert.equal("(error object is a table value)", loop.describeError {})
    assert.equal("(error object is a nil value)", loop.describeError(nil))
    assert.equal("(error object is a table value)",
      loop.describeError(failing "no text"))
  end)
end)

describe("A coroutine of the loop", function()
  local core, loop

  before_each(function()
    core = FakeCore.new()
    loop = core:load "loop"
  end)

  it("gets the arguments, nils included", function()
    local got

    loop.run(function(...) got = table.pack(...) end, nil, "b", nil)

    assert.same({ n = 3, nil, "b", nil }, got)
  end)

  it("whose error nobody catches is reported with a traceback", function()
    local function guilty() error "it broke" end

    loop.run(function() guilty() end)

    assert.equal(1, #core.reports)
    assert.matches("it broke.*stack traceback:.*guilty", core.reports[1])
  end)

  it("closes its variables after an error", function()
    local closed = 0

    loop.run(function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = closed + 1 end })
      error "it broke"
    end)

    assert.equal(1, closed)
  end)

  it("is reported too where the error came outside of the loop", function()
    local co = coroutine.create(error)
    coroutine.resume(co, "far away")

    core:raise("error", co, "far away")

    assert.matches("^far away", core.reports[1])
  end)
end)

describe("A wait", function()
  local core, loop, got

  -- Waits in a coroutine, and notes what the wait gives.
  local function wait(ticket, seconds, text)
    return FakeCore.start(function()
      got = table.pack(loop.await(ticket, seconds, text))
    end)
  end

  before_each(function()
    core, got = FakeCore.new(), nil
    loop = core:load "loop"
  end)

  it("has a ticket of its own", function()
    assert.are_not.equal(loop.ticket(), loop.ticket())
  end)

  it("gives the outcome, nils included", function()
    local ticket = loop.ticket()
    wait(ticket)
    assert.is_nil(got)

    local taken = loop.wake(ticket, nil, "b", nil)

    assert.is_true(taken)
    assert.same({ n = 3, nil, "b", nil }, got)
  end)

  it("takes one outcome only", function()
    local ticket = loop.ticket()
    wait(ticket)
    loop.wake(ticket, "first")

    assert.is_false(loop.wake(ticket, "second"))
    assert.same({ n = 1, "first" }, got)
  end)

  it("is not there for a ticket that nobody took", function()
    assert.is_false(loop.wake(4711, "outcome"))
  end)

  it("ends with a timeout when its time is up", function()
    wait(loop.ticket(), 5, "nothing came")

    core:moveTo(104.9)
    assert.is_nil(got)
    core:moveTo(105)

    assert.same({ n = 3, nil, "nothing came", "timeout" }, got)
  end)

  it("takes its timer back when the outcome comes", function()
    local ticket = loop.ticket()
    wait(ticket, 5)

    loop.wake(ticket, "in time")

    assert.is_nil(core.deadline)
    assert.is_false(loop.isBusy())
  end)

  it("of endless time sets no timer", function()
    wait(loop.ticket(), math.huge)

    assert.is_nil(core.deadline)
  end)

  it("keeps the isolate busy, as a timer does", function()
    assert.is_false(loop.isBusy())
    local ticket = loop.ticket()
    wait(ticket)
    assert.is_true(loop.isBusy())

    loop.wake(ticket)

    assert.is_false(loop.isBusy())
  end)

  it("whose coroutine was closed is over", function()
    local first, second = loop.ticket(), loop.ticket()

    coroutine.close(wait(first))
    coroutine.close(wait(second))

    assert.is_false(loop.wake(first, "too late"))
    assert.is_false(loop.isBusy())
    assert.is_nil(got)
    assert.same({}, core.reports)
  end)

  it("whose coroutine was closed has no timeout to report", function()
    local co = wait(loop.ticket(), 5, "nothing came")

    coroutine.close(co)
    core:moveTo(105)

    assert.is_nil(got)
    assert.same({}, core.reports)
  end)

  it("whose coroutine the script itself resumed is over", function()
    local ticket = loop.ticket()
    local co = FakeCore.start(function()
      got = table.pack(loop.await(ticket, 5))
      coroutine.yield()
    end)

    coroutine.resume(co, "from the script")

    assert.same({ n = 1, "from the script" }, got)
    assert.is_false(loop.wake(ticket, "too late"))
    assert.equal("suspended", coroutine.status(co))
    assert.is_nil(core.deadline)
  end)

  it("reports the error that follows it", function()
    local ticket = loop.ticket()
    FakeCore.start(function() error(loop.await(ticket)) end)

    assert.is_true(loop.wake(ticket, "after the wait"))

    assert.matches("after the wait", core.reports[1])
  end)

  it("is refused where a C function can't be suspended", function()
    local text
    FakeCore.start(function()
      table.sort({ 2, 1 }, function()
        local function request() loop.ticket() end
        text = refusal.of(function() request() end)
        return false
      end)
    end)

    assert.matches("^can't wait here: a C function", text)
  end)
end)

describe("A wait of the host script", function()
  local core, loop

  before_each(function()
    core = FakeCore.new { isPumping = function() return false end }
    loop = core:load "loop"
  end)

  it("handles events until the outcome is there", function()
    local ticket, events = loop.ticket(), 0
    function core.pump()
      events = events + 1
      if events == 3 then loop.wake(ticket, nil, "b", nil) end
    end

    local got = table.pack(loop.await(ticket))

    assert.equal(3, events)
    assert.same({ n = 3, nil, "b", nil }, got)
  end)

  it("takes one outcome only", function()
    local ticket, taken = loop.ticket(), {}
    function core.pump()
      taken[1] = loop.wake(ticket, "first")
      taken[2] = loop.wake(ticket, "second")
    end

    assert.equal("first", loop.await(ticket))
    assert.same({ true, false }, taken)
  end)

  it("ends with a timeout", function()
    function core.pump() core:moveTo(core.deadline) end

    local got = table.pack(loop.await(loop.ticket(), 2, "nothing came"))

    assert.same({ n = 3, nil, "nothing came", "timeout" }, got)
    assert.equal(102, core.time)
  end)

  it("may be where a coroutine could not be suspended", function()
    function core.pump() core:moveTo(core.deadline) end
    local code

    table.sort({ 2, 1 }, function()
      code = select(3, loop.await(loop.ticket(), 0))
      return false
    end)

    assert.equal("timeout", code)
  end)
end)

describe("The end of an isolate", function()
  local core, loop

  before_each(function()
    core = FakeCore.new()
    loop = core:load "loop"
  end)

  -- Starts a coroutine that waits, and calls fn when it is closed.
  local function waitAndClose(fn)
    FakeCore.start(function()
      local _ <close> = setmetatable({}, { __close = fn })
      loop.await(loop.ticket())
    end)
  end

  it("closes the variables of all that wait", function()
    local closed = 0
    for _ = 1, 10 do
      waitAndClose(function() closed = closed + 1 end)
    end

    core:raise "ending"

    assert.equal(10, closed)
    assert.is_false(loop.isBusy())
  end)

  it("reports an error in a __close, and closes the rest", function()
    local closed = 0
    waitAndClose(function() error "while closing" end)
    waitAndClose(function() closed = closed + 1 end)

    core:raise "ending"

    assert.equal(1, closed)
    assert.equal(1, #core.reports)
    assert.matches("while closing", core.reports[1])
  end)

  it("does not wait for what is started by closing", function()
    local started, ended = 0, 0
    for _ = 1, 50 do
      waitAndClose(function()
        loop.run(function()
          started = started + 1
          loop.await(loop.ticket())
          ended = ended + 1
        end)
      end)
    end

    core:raise "ending"

    assert.same({ 50, 0 }, { started, ended })
  end)
end)

describe("A reply", function()
  local CLUSTER = 1
  local core, loop, counted

  before_each(function()
    counted = {}
    core = FakeCore.new {
      countLateReply = function(key) table.insert(counted, key) end,
    }
    loop = core:load "loop"
  end)

  it("wakes who waits for it", function()
    local ticket, got = loop.ticket(), nil
    loop.expectReply(ticket)
    FakeCore.start(function() got = loop.await(ticket) end)

    core:raise("reply", ticket, CLUSTER, "answer")

    assert.equal("answer", got)
    assert.same({}, counted)
  end)

  it("wakes nobody who waits for something else", function()
    local ticket, got = loop.ticket(), nil
    FakeCore.start(function() got = loop.await(ticket) end)

    core:raise("reply", ticket, CLUSTER, "answer")

    assert.is_nil(got)
    assert.same({ CLUSTER }, counted)
  end)

  it("that nobody waits for any more is counted for its cluster", function()
    core:raise("reply", 4711, CLUSTER, "answer")
    core:raise("reply", 4711, CLUSTER, nil)

    assert.same({ CLUSTER, CLUSTER }, counted)
  end)

  it("that only tells of a failure too late is none", function()
    core:raise("reply", 4711, CLUSTER, nil, "it has ended", "gone")

    assert.same({}, counted)
  end)
end)
