-- supervisor_policy_spec.lua - what is a failure, what is too many, how long a
-- wait is.

local FakeCore = require "spec.support.fake_core"

local function never() return 0 end

describe("A supervisor's policy", function()
  local policy

  before_each(function()
    policy = FakeCore.new():load "supervisor_policy"
  end)

  it("restarts by type and reason", function()
    local wanted = {
      permanent = { done = true, shutdown = true, error = true, killed = true,
        memory = true, cpu = true, stack = true, gone = true },
      transient = { done = false, shutdown = false, error = true,
        killed = true, memory = true, cpu = true, stack = true, gone = true },
      temporary = { done = false, shutdown = false, error = false,
        killed = false, memory = false, cpu = false, stack = false,
        gone = false },
    }

    for restart, reasons in pairs(wanted) do
      for reason, isWanted in pairs(reasons) do
        assert.equal(isWanted, policy.wantsRestart(restart, reason),
          restart .. " " .. reason)
      end
    end
  end)

  it("takes as many failures in the window as are allowed", function()
    local window = policy.window(2, 5)

    assert.same({ false, 1 }, { window:add(10) })
    assert.same({ false, 2 }, { window:add(11) })
    assert.same({ true, 3 }, { window:add(12) })
  end)

  it("takes none where none is allowed", function()
    assert.same({ true, 1 }, { policy.window(0, 5):add(10) })
  end)

  it("counts a failure for the whole window, its end included", function()
    local atTheEnd, later = policy.window(1, 5), policy.window(1, 5)
    atTheEnd:add(10)
    later:add(10)

    assert.is_true((atTheEnd:add(15)))
    assert.same({ false, 1 }, { later:add(15.001) })
  end)

  it("never finds an infinite number to be too many", function()
    local window = policy.window(math.huge, 5)
    for _ = 1, 100 do assert.is_false((window:add(10))) end
  end)

  it("waits for ever longer times, up to the longest", function()
    local backoff = { first = 0.5, factor = 2, max = 3, jitter = 0 }
    local delays = {}

    for count = 1, 5 do
      delays[count] = policy.delay(backoff, count, never)
    end

    assert.same({ 0.5, 1, 2, 3, 3 }, delays)
    assert.equal(3, policy.delay(backoff, 100000, never))
  end)

  it("shortens a wait by chance, by no more than the jitter", function()
    local backoff = { first = 8, factor = 1, max = 10, jitter = 0.25 }
    local function delay(chance)
      return policy.delay(backoff, 1, function() return chance end)
    end

    assert.equal(8, delay(0))
    assert.equal(7, delay(0.5))
    assert.is_true(delay(0.999999) > 6)
  end)

  it("does not wait without a back-off, or from 0 on", function()
    local backoff = { first = 0, factor = 2, max = 3, jitter = 0 }

    assert.equal(0, policy.delay(nil, 7, never))
    assert.equal(0, policy.delay(backoff, 1, never))
    assert.equal(0, policy.delay(backoff, 100000, never))
  end)
end)
