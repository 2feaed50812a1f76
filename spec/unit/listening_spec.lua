-- listening_spec.lua - streams before stream.lua is loaded, with a core that
-- the spec plays.

local FakeCore = require "spec.support.fake_core"

describe("A stream that is only listened to", function()
  local listening, stream, demands

  before_each(function()
    listening = FakeCore.new():load "listening"
    demands = {}
    stream = setmetatable({
      name = "the stream", listeners = {}, owner = "owner",
      demand = function(it) demands[#demands + 1] = it.listeners end,
    }, listening.stream)
  end)

  it("tells its source of each listener, in a new list", function()
    local function first() end
    local function second() end

    stream("owner", first)
    stream("owner", second)

    assert.same({ { first }, { first, second } }, demands)
  end)

  it("gives a subscription", function()
    local function fn() end

    local subscription = listening.add(stream, fn)

    assert.equal(stream, rawget(subscription, "stream"))
    assert.equal(fn, rawget(subscription, "fn"))
  end)

  it("leaves all else to what is loaded then", function()
    local asked = {}
    function listening.rest()
      return {
        field = function(_, name) asked[#asked + 1] = name end,
        refuse = function(...) asked[#asked + 1] = select("#", ...) end,
        describe = function() return "described" end,
      }
    end

    local _ = stream.where
    stream("another", print)
    stream("owner", print, 1)
    stream("owner")

    assert.same({ "where", 3, 4, 3 }, asked)
    assert.equal("described", tostring(stream))
    assert.same({}, demands)
  end)
end)
