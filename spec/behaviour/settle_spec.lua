-- settle_spec.lua - cluster:settle waits for silence, exactly.

local Probe = require "spec.support.probe"

describe("cluster:settle", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  local function countdown(context)
    local other
    context:onMessage(function(value, message)
      if type(value) ~= "number" then
        other = value
      elseif value > 0 then
        (other or message.sender):send(value - 1)
      else
        context:property "probe":send "through"
      end
    end)
  end

  it("is true once what was sent has had all its effects", function()
    local a = probe:spawn("/a", countdown)
    local b = probe:spawn("/b", countdown)
    a:send(b)
    b:send(a)

    for round = 1, 20 do
      a:send(500)
      assert.is_true(cluster:settle(Probe.DEADLINE))
      assert.equal(round, cluster:stats().isolates["/probe"].received)
    end
  end)

  it("waits for a module that still loads, and its entry", function()
    cluster.onIsolateUp:listen(function() end)
    probe:spawn("/a", "spec.support.idle")

    assert.is_true(cluster:settle(Probe.DEADLINE))
    assert.same({ "/a" }, probe.ups)
  end)

  it("does not wait for replies and times that are to come", function()
    local silent = probe:spawn("/silent", "spec.support.idle")
    probe:spawn("/asking", function(context)
      context:property "silent":request(1, { timeout = 3600 })
    end, { silent = silent })
    probe:spawn("/sleeping", function(context) context:sleep(3600) end)

    assert.is_true(cluster:settle(Probe.DEADLINE))
  end)

  it("has had the listeners of the host script called", function()
    local ended = 0
    cluster.onIsolateDown:listen(function() ended = ended + 1 end)
    for i = 1, 20 do probe:spawn("/short/" .. i, function() end) end

    assert.is_true(cluster:settle(Probe.DEADLINE))
    assert.equal(20, ended)
  end)

  it("gives up after its timeout", function()
    local busy = probe:spawn("/busy", function(context)
      repeat local go = context:lookupIsolate "/go" until go
    end)

    local settled, text, code
    repeat  -- on a busy machine the probe may still be at the news of it
      settled, text, code = cluster:settle(0.01)
    until not (text or ""):find "/probe"

    assert.is_nil(settled)
    assert.equal("isolates are busy after 0.01 s: /busy", text)
    assert.equal("timeout", code)
    probe:spawn("/go", "spec.support.idle")
    probe:reasonOf(busy)
  end)

  it("can be called where a listener of the host script waits", function()
    local settled
    cluster.onIsolateUp:listen(function()
      settled = cluster:settle(Probe.DEADLINE)
    end)
    probe:spawn("/a", "spec.support.idle")

    while settled == nil do cluster.onIsolateUp:next(0.001) end
    assert.is_true(settled)
  end)

  it("is true of a cluster without isolates, and of one that is down",
    function()
      probe:close()

      assert.is_true(cluster:settle(0))
    end)

  it("refuses what is no time", function()
    assert.has_error(function() cluster:settle "soon" end,
      "the timeout must be a number of seconds, got the string 'soon'")
    assert.has_error(function() cluster.settle() end)
  end)
end)
