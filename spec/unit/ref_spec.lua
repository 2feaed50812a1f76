-- ref_spec.lua - requests: what is sent, and what the wait for the reply gives.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

local KEY = 1 -- of the cluster that a reply comes from

describe("A ref's request", function()
  local core, ref, sent

  before_each(function()
    sent = {}
    core = FakeCore.new {
      refMethods = {},
      isRef = function(value) return value == ref end,
      sendRequest = function(_, value, ticket, kind)
        if value == print then return nil, "it can't be sent", "unsendable" end
        table.insert(sent, { value = value, ticket = ticket, type = kind })
        return true
      end,
    }
    local methods = core:load "ref"
    ref = setmetatable({ path = "/a" }, { __index = methods })
  end)

  -- Asks in a coroutine; returns a table that the outcome comes into.
  local function ask(...)
    local outcome = {}
    FakeCore.start(function(...)
      local got = table.pack(ref:request(...))
      table.move(got, 1, got.n, 1, outcome)
      outcome.n = got.n
    end, ...)
    return outcome
  end

  it("sends the value and its type", function()
    ask("question", { type = "t" })

    assert.equal("question", sent[1].value)
    assert.equal("t", sent[1].type)
  end)

  it("gives the reply to the request that it answers", function()
    local first, second = ask "1", ask "2"

    core:raise("reply", sent[2].ticket, KEY, "second")
    core:raise("reply", sent[1].ticket, KEY, "first")

    assert.same({ { n = 1, "first" }, { n = 1, "second" } }, { first, second })
  end)

  it("gives a reply that is nil, and one that tells of a failure", function()
    local empty, failed = ask "1", ask "2"

    core:raise("reply", sent[1].ticket, KEY, nil)
    core:raise("reply", sent[2].ticket, KEY, nil, "it has ended", "gone")

    assert.same({ n = 1 }, empty)
    assert.same({ n = 3, nil, "it has ended", "gone" }, failed)
  end)

  it("times out after 5 seconds", function()
    local outcome = ask "question"

    core:moveTo(104.999)
    assert.same({}, outcome)
    core:moveTo(105)

    assert.same({ n = 3, nil, "no reply from /a in 5 s", "timeout" }, outcome)
  end)

  it("times out after the seconds that are given", function()
    local outcome = ask("question", { timeout = 0.5 })

    core:moveTo(100.5)

    assert.same({ n = 3, nil, "no reply from /a in 0.5 s", "timeout" }, outcome)
  end)

  it("waits for ever if that is what is given", function()
    local outcome = ask("question", { timeout = math.huge })

    core:moveTo(1e9)
    core:raise("reply", sent[1].ticket, KEY, "at last")

    assert.same({ n = 1, "at last" }, outcome)
  end)

  it("counts a reply that comes too late", function()
    local outcome = ask("question", { timeout = 1 })
    core:moveTo(101)

    core:raise("reply", sent[1].ticket, KEY, "late")

    assert.equal("timeout", outcome[3])
    assert.equal(1, core.lateReplies)
  end)

  it("does not wait if nothing was sent", function()
    assert.same({ n = 3, nil, "it can't be sent", "unsendable" }, ask(print))
  end)

  it("sends nothing where it can't wait", function()
    local text
    FakeCore.start(function()
      table.sort({ 2, 1 }, function()
        text = refusal.of(function()
          local _ = ref:request "question"
        end)
        return false
      end)
    end)

    assert.matches("^can't wait here", text)
    assert.same({}, sent)
  end)

  it("refuses what it does not know, in the caller's line", function()
    local function complaintOf(options)
      return refusal.of(function()
        local _ = ref:request("question", options)
      end)
    end

    assert.equal("unknown option the string 'after' of ref:request; "
      .. "it knows timeout, type", complaintOf { after = 1 })
    assert.equal("option 'timeout' must be a number of seconds, "
      .. "got the string 'x'", complaintOf { timeout = "x" })
    assert.equal("option 'timeout' must be 0 seconds or more, got -1",
      complaintOf { timeout = -1 })
    assert.equal("option 'type' must be a string or nil, got 5",
      complaintOf { type = 5 })
    assert.same({}, sent)
  end)

  it("wants a value, which may be nil", function()
    assert.equal("ref:request wants a value to send, got nothing",
      refusal.of(function() ref:request() end))
    assert.same({}, ask(nil))
    assert.equal(1, #sent)
  end)

  it("asks for the colon", function()
    assert.equal("ref:request wants a ref before the colon, "
      .. "got the string 'question'",
      refusal.of(function() ref.request "question" end))
  end)
end)
