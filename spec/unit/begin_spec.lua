-- begin_spec.lua - what an isolate has at once, and how it comes to the rest;
-- inside of isolates, with what they have loaded.

local Probe = require "spec.support.probe"

describe("An isolate that has just begun", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("knows who it is, listens and sends", function()
    local ref = probe:spawn("/a", function(context)
      local told = context:property "probe"
      context:onMessage(function(value, message)
        told:send { value, context.path, context.isolateRef,
          message.sender == nil }
      end)
    end)

    ref:send "first"

    assert.same({ { "first", "/a", ref, true } }, probe:heard(1))
  end)

  it("tells misuse at the line of the call, the first as any other", function()
    local texts = probe:inside(function(context)
      local texts = {}
      local function note(fn)
        local ok, text = pcall(fn)
        texts[#texts + 1] = not ok and text:gsub("^.-:%d+: ", "LINE ")
      end
      for _ = 1, 2 do
        note(function() return (context.nothing) end)
        note(function() context.nothing = 1 end)
        note(function() return (context:onMessage(1)) end)
        note(function() return (context.onMessage(nil, print)) end)
        note(function() return (context.property()) end)
        note(function() return (context:property()) end)
        note(function() return (context:property "probe":request()) end)
      end
      return texts
    end)

    for i = 1, 7 do
      assert.matches("^LINE ", texts[i])
      assert.equal(texts[i], texts[i + 7])
    end
  end)

  it("has all else when it is used", function()
    local kinds = probe:inside(function(context)
      local kinds = {}
      local subscription = context:onMessage(function() end)
      kinds[1] = type(subscription.cancel)
      kinds[2] = type(context.onMessage.where)
      kinds[3] = tostring(context) == "context of " .. context.path
      kinds[4] = tostring(context.onMessage)
      subscription:cancel()
      kinds[5] = type(context.after(context, 0, function() end).cancel)
      return kinds
    end)

    assert.same({ "function", "function", true, "context.onMessage",
      "function" }, kinds)
  end)

  it("goes on with its first listener when there are more", function()
    local ref = probe:spawn("/a", function(context)
      local told = context:property "probe"
      local first = context:onMessage(function(value)
        told:send("first " .. value)
      end)
      context:onMessage(function(value)
        told:send("second " .. value)
        first:cancel()
      end)
    end)

    ref:send "a"
    ref:send "b"

    assert.same({ "first a", "second a", "second b" }, probe:heard(3))
  end)

  it("gives a subscription that a closed variable ends", function()
    local kept = probe:inside(function(context)
      do
        local _ <close> = context:onMessage(function() end)
      end
      return { pcall(context.onMessage.next, context.onMessage, 0) }
    end)

    assert.is_true(kept[1])
    assert.equal("timeout", kept[4])
  end)

  it("is the same in all of its coroutines", function()
    local path = probe:inside(function(context)
      return coroutine.wrap(function()
        return coroutine.wrap(function() return context.path end)()
      end)()
    end)

    assert.matches("^/", path)
  end)

  it("needs none of its script's globals for that", function()
    local text = probe:inside(function(context)
      for _, name in ipairs { "type", "error", "setmetatable", "next",
        "select", "require", "table", "string", "coroutine", "debug" } do
        _G[name] = nil
      end
      package.searchers, package.loaded = {}, {}
      local got = {}
      context:after(0, function() got.timer = true end)
      context:sleep(0.001)
      return got.timer
    end)

    assert.is_true(text)
  end)

  it("reports an error that is its first use of the rest", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function() end)
      error("at once", 0)
    end)

    assert.equal("error", probe:reasonOf(ref))
  end)

  it("is done if nothing can call it, and ends when it is asked to", function()
    local done = probe:spawn("/a", function() end)
    local asked = probe:spawn("/b", function(context)
      context:onMessage(function() end)
    end)

    assert.equal("done", probe:reasonOf(done))
    assert.is_true(probe.cluster:shutdown(10))
    assert.equal("shutdown", probe:reasonOf(asked))
  end)
end)
