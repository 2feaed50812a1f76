-- probe_spec.lua - what a test can expect of an isolate that records.

local testing = require "isolate_cluster.testing"

local function echo(context)
  context:onMessage(function(value, message) message:reply(value) end)
end

-- The text that fn raises.
local function errorOf(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  return text
end

describe("A probe", function()
  local cluster, probe

  before_each(function()
    cluster = testing.cluster()
    probe = cluster:probe "/probe"
  end)

  after_each(function() testing.finish() end)

  it("is an isolate with a path", function()
    assert.equal(probe.ref, cluster:lookupIsolate "/probe")
    assert.equal("/probe/1", cluster:probe().ref.path)
    assert.equal("probe /probe", tostring(probe))
  end)

  it("finds what equals, whatever came before", function()
    probe.ref:send "other"
    probe.ref:send { name = "a", list = { 1, 2, { 3 } } }

    local value = probe:expect { list = { 1, 2, { 3 } }, name = "a" }

    assert.same({ name = "a", list = { 1, 2, { 3 } } }, value)
    assert.equal("other", probe:expect "other")
  end)

  it("waits for what has not come yet", function()
    cluster:spawnIsolate(function(context)
      context:sleep(0.02)
      context:property "to":send "late"
    end, { to = probe.ref })

    assert.equal("late", probe:expect "late")
  end)

  it("takes a predicate, nil, or anything", function()
    probe.ref:send(nil)
    probe.ref:send(5, { type = "number" })
    probe.ref:send(6)

    local value, message = probe:expect(function(value, message)
      return message.type == "number" and value > 4
    end)
    assert.equal(5, value)
    assert.equal("number", message.type)
    assert.is_nil(probe:expect(nil))
    assert.equal(6, probe:expect())
  end)

  it("gives the envelope, and can answer a request", function()
    local asked = cluster:spawnIsolate("/asking", function(context)
      local to = context:property "to"
      local reply = to:request("question", { type = "ask" })
      to:send { reply = reply }
      context:onMessage(function() end)
    end, { to = probe.ref })

    local _, message = probe:expect "question"
    assert.equal("ask", message.type)
    assert.equal(asked, message.sender)
    message.replyTo:send "answer"

    probe:expect { reply = "answer" }
  end)

  it("compares refs as refs", function()
    local other = cluster:probe()
    probe.ref:send { ref = other.ref }

    probe:expect { ref = other.ref }
  end)

  it("says what came instead, and where it differs", function()
    probe.ref:send({ a = { 1, 2 }, name = "x" }, { type = "kind" })

    local wanted = { a = { 1, 3 }, name = "x" }
    local text = errorOf(probe.expect, probe, wanted, 0.01)

    assert.matches("/probe: expected {a = {1, 3}, name = \"x\"}, which has not "
      .. "come in 0.01 s", text, 1, true)
    assert.matches("1. {a = {1, 2}, name = \"x\"} of type 'kind'", text, 1,
      true)
    assert.matches(".a[2] is 2, not 3", text, 1, true)
    assert.matches("/probe: 0 in the mailbox", text, 1, true)
  end)

  it("names the predicate that nothing satisfied", function()
    local text = errorOf(probe.expect, probe, function() return false end, 0)

    assert.matches("function at .*probe_spec.lua:%d+ takes", text)
    assert.matches("nothing else came", text, 1, true)
  end)

  it("blames the line of the spec", function()
    local text = errorOf(function() probe:expect("never", 0) end)

    assert.matches("^[^\n]*probe_spec.lua:%d+: /probe: expected", text)
  end)

  it("hears nothing more once the cluster has settled", function()
    local back = cluster:spawnIsolate(echo)
    back:send(1, { replyTo = probe.ref })
    probe:expect(1)
    assert.is_true(probe:none())

    back:send(2, { replyTo = probe.ref })

    assert.matches("expected nothing more", errorOf(probe.none, probe), 1, true)
  end)

  it("gives all that has come", function()
    for i = 1, 3 do probe.ref:send(i) end
    probe:expect(2)

    local values, messages = probe:messages()

    assert.same({ 1, 2, 3 }, values)
    assert.equal(3, messages[3].content)
  end)
end)
