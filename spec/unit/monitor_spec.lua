-- monitor_spec.lua - what a monitor asks of the core, and whom it calls.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

describe("A monitor", function()
  local core, Monitor, calls

  local function keep(...) calls[#calls + 1] = table.pack(...) end

  before_each(function()
    calls = {}
    core = FakeCore.new { watched = {}, forgotten = {} }
    function core.isRef(value) return value == "ref" end
    function core.watchEnd(ref)
      core.watched[#core.watched + 1] = ref
      return #core.watched
    end
    function core.forgetEnd(number) table.insert(core.forgotten, number) end
    Monitor = core:load "monitor"
  end)

  it("gives the event of its number to its function, once", function()
    Monitor.new("context:monitor", "ref", keep)
    assert.is_true(Monitor.any())

    core:raise("ended", 1, "ref", "error", "err")
    core:raise("ended", 1, "ref", "error", "err")

    assert.same({ { n = 3, "ref", "error", "err" } }, calls)
    assert.is_false(Monitor.any())
  end)

  it("is forgotten by the core once, when it is cancelled", function()
    local monitor = Monitor.new("context:monitor", "ref", keep)

    monitor:cancel()
    monitor:cancel()

    assert.same({ 1 }, core.forgotten)
    assert.is_false(Monitor.any())
  end)

  it("that has told can be cancelled without effect", function()
    local monitor = Monitor.new("context:monitor", "ref", keep)
    core:raise("ended", 1, "ref", "done")

    monitor:cancel()

    assert.same({}, core.forgotten)
  end)

  it("may be made anew while it tells", function()
    Monitor.new("context:monitor", "ref", function()
      Monitor.new("context:monitor", "ref", keep)
    end)

    core:raise("ended", 1, "ref", "done")
    core:raise("ended", 2, "ref", "done")

    assert.equal(1, #calls)
  end)

  it("refuses what is no ref, and what is no function", function()
    assert.equal("context:monitor wants a ref, got 5",
      refusal.of(function() Monitor.new("context:monitor", 5, keep) end))
    assert.equal("what context:monitor calls must be a function, got 5",
      refusal.of(function() Monitor.new("context:monitor", "ref", 5) end))
    assert.same({}, core.watched)
  end)
end)
