-- supervisor_races_spec.lua - what comes while a supervisor does something else
-- is handled afterwards, if it means anything then.

local Nursery = require "spec.support.nursery"

local child = Nursery.child

describe("While a supervisor waits for a child to end", function()
  local nursery

  before_each(function()
    nursery = Nursery.started { strategy = "oneForAll", maxRestarts = 1,
      children = { child "a", child "b", child "c" } }
    nursery.stubborn.c = true
    nursery:fails "b"
    assert.equal("ask c", nursery:history())
  end)

  it("the end of one that is restarted with it is no failure", function()
    nursery:fails "a"

    nursery:fails "c"

    assert.equal("start a, start b, start c", nursery:history())
    assert.equal("a running, b running, c running", nursery:states())
  end)

  it("a child is terminated that then does not start", function()
    nursery.failing.b = {}
    local _, answer = nursery:tell("terminateChild", "b")

    nursery:fails "c"

    assert.same({ value = true }, answer())
    assert.equal("ask a, start a, can't start b", nursery:history())
    assert.equal("a running, b stopped, c stopped", nursery:states())
  end)

  it("commands wait for their turn", function()
    local _, answer = nursery:tell "count"
    assert.is_nil(answer())

    nursery:fails "c"

    assert.equal(3, answer().value.active)
  end)
end)
