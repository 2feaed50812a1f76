-- test_runner_spec.lua - which test busted is on, as it tells.

local FakeCore = require "spec.support.fake_core"

describe("The runner", function()
  local runner, handlers, failures, overs
  local real = package.loaded.busted

  -- A busted that remembers who listens.
  local function fakeBusted()
    return {
      subscribe = function(channel, fn)
        handlers[table.concat(channel, " ")] = fn
      end,
      parent = function(element) return element.parent end,
    }
  end

  local function listen(busted)
    package.loaded.busted = busted
    runner.listen {
      failed = function(test, text)
        table.insert(failures, { test and test.name, text })
      end,
      over = function() overs = overs + 1 end,
    }
    package.loaded.busted = real
  end

  -- A test "does" in a block "it" of a file.
  local function element()
    local file = { descriptor = "file", name = "a_spec.lua" }
    local block = { descriptor = "describe", name = "it", parent = file }
    return { descriptor = "it", name = "does", parent = block }, block
  end

  before_each(function()
    runner = FakeCore.new():load "test_runner"
    handlers, failures, overs = {}, {}, 0
  end)

  after_each(function() package.loaded.busted = real end)

  it("knows the test that runs, and the one before", function()
    listen(fakeBusted())
    assert.is_nil(runner.test())
    assert.is_nil(runner.lastTest())

    handlers["test start"](element())
    local test = runner.test()

    assert.equal("it does", test.name)
    assert.equal(test, runner.lastTest())
    handlers["test end"]()
    assert.is_nil(runner.test())
    assert.equal(test, runner.lastTest())
  end)

  it("tells of failures, with the test and the text", function()
    listen(fakeBusted())
    handlers["test start"](element())

    handlers.failure({}, {}, "why")
    handlers["test end"]()
    handlers.error({}, {}, "what it left")

    assert.same({ { "it does", "why" }, { "it does", "what it left" } },
      failures)
  end)

  it("tells that all is over; failures then are no test's", function()
    listen(fakeBusted())
    handlers["test start"](element())
    handlers["test end"]()

    handlers["suite end"]()

    assert.equal(1, overs)
    assert.is_nil(runner.lastTest())
  end)

  it("lets others hear of it, too", function()
    listen(fakeBusted())

    for _, handler in pairs(handlers) do
      assert.same({ nil, true, n = 2 }, table.pack(handler(element())))
    end
  end)

  it("knows nothing where no busted is", function()
    listen(nil)
    listen({})

    assert.same({}, handlers)
    assert.is_nil(runner.test())
  end)
end)
