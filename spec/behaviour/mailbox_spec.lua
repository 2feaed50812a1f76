-- mailbox_spec.lua - a mailbox with a bound: what a sender meets, what is
-- dropped, and what passes in any case.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"

-- Listens, and tells the probe of each message, once the gate has replied: by
-- then nothing is in the mailbox but what the spec has sent.
local function slow(context)
  local probe = context:property "probe"
  context:property "gate":request("ready", { timeout = 1e6 })
  context:onMessage(function(value) probe:send(value) end)
end

describe("A mailbox with a bound", function()
  local probe, cluster, gates

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
    gates = {}
  end)

  after_each(function() probe:close() end)

  -- An isolate that does not listen before open(ref).
  local function bounded(mailbox, entry)
    local gate = assert(cluster:spawnIsolate(function(context)
      local waiting
      context:onMessage(function(value, message)
        if value == "ready" then waiting = message end
        if value == "open" then
          waiting:reply "go"
          message:reply "opened"
          context:shutdownIsolate()
        end
        if value == "is it there" then message:reply(waiting ~= nil) end
      end)
    end))
    local ref = assert(cluster:spawnIsolate("/bounded/", entry or slow,
      { probe = probe.ref, gate = gate }, { mailbox = mailbox }))
    repeat until gate:request("is it there", { timeout = Probe.DEADLINE })
    gates[ref] = gate
    return ref
  end

  local function open(ref)
    gates[ref]:request("open", { timeout = Probe.DEADLINE })
  end

  local function figures(ref) return cluster:stats().isolates[ref.path] end

  it("fails the send that it has no room for", function()
    local ref = bounded { messages = 3 }
    for i = 1, 3 do assert.is_true(ref:send(i)) end

    local sent, text, code = ref:send(4)

    assert.is_nil(sent)
    assert.equal("the mailbox of " .. ref.path .. " is full", text)
    assert.equal("full", code)
    open(ref)
    assert.same({ 1, 2, 3 }, probe:heard(3))
    assert.is_true(ref:send(5))
    assert.same({ 1, 2, 3, 5 }, probe:heard(4))
    assert.equal(0, cluster:stats().dropped)
  end)

  it("fails requests too, at once", function()
    local ref = bounded { messages = 1 }
    ref:send(1)

    local reply, text, code = ref:request(2, { timeout = 1e6 })

    assert.is_nil(reply)
    assert.equal("the mailbox of " .. ref.path .. " is full", text)
    assert.equal("full", code)
    open(ref)
  end)

  it("counts bytes, and never has room for what is larger", function()
    local ref = bounded { bytes = 1000 }

    assert.equal("full", select(3, ref:send(("x"):rep(1000))))
    assert.is_true(ref:send(("x"):rep(500)))
    assert.equal("full", select(3, ref:send(("x"):rep(500))))
    assert.is_true(ref:send(("x"):rep(400)))
    open(ref)
    assert.equal(2, #probe:heard(2))
  end)

  it("drops the newest, and answers a request that it drops", function()
    local ref = bounded { messages = 2, whenFull = "dropNewest" }
    for i = 1, 5 do assert.is_true(ref:send(i)) end

    local _, _, code = ref:request(6, { timeout = 1e6 })

    assert.equal("full", code)
    assert.equal(4, figures(ref).dropped)
    assert.equal(2, figures(ref).mailbox)
    open(ref)
    assert.same({ 1, 2 }, probe:heard(2))
    assert.equal(4, cluster:stats().dropped)
  end)

  it("drops the oldest, and answers a request that it drops", function()
    local ref = bounded { messages = 2, whenFull = "dropOldest" }
    local asker = assert(cluster:spawnIsolate("/asker", function(context)
      local full = context:property "full"
      local _, _, code = full:request(0, { timeout = 1e6 })
      context:property "probe":send(code)
    end, { full = ref, probe = probe.ref }))
    while figures(ref).mailbox < 1 do cluster:wait(0.001) end
    for i = 1, 5 do assert.is_true(ref:send(i)) end

    assert.same({ "full" }, probe:heard(1))
    assert.equal("done", probe:reasonOf(asker))
    assert.equal(4, figures(ref).dropped)
    open(ref)
    assert.same({ "full", 4, 5 }, probe:heard(3))
  end)

  it("keeps the total of what was dropped when the isolate ends", function()
    local ref = bounded { messages = 1, whenFull = "dropOldest" }
    for i = 1, 11 do ref:send(i) end
    open(ref)
    probe:heard(1)
    assert(cluster:shutdown(Probe.DEADLINE))

    assert.equal(10, cluster:stats().dropped)
  end)

  it("lets senders wait for room, in order", function()
    local ref = bounded { messages = 1, whenFull = "wait" }
    for name = 1, 3 do
      local sender = assert(cluster:spawnIsolate("/sender/", function(context)
        local full, me = context:property "full", context:property "name"
        context:onMessage(function(value, message)
          if value == "are you there" then return message:reply "yes" end
          for i = 1, 50 do assert(full:send { me, i }) end
          context:property "probe":send { "done", me }
        end)
      end, { full = ref, name = name, probe = probe.ref }))
      sender:send "begin"
      -- It handles other messages while it waits.
      assert.equal("yes", sender:request("are you there", { timeout = 10 }))
    end
    assert.equal(1, figures(ref).mailbox)

    open(ref)

    local last, done = { 0, 0, 0 }, 0
    for _, value in ipairs(probe:heard(153)) do
      if value[1] == "done" then
        done = done + 1
      else
        assert.equal(last[value[1]] + 1, value[2])
        last[value[1]] = value[2]
      end
    end
    assert.same({ 50, 50, 50 }, last)
    assert.equal(3, done)
  end)

  it("lets a host script wait", function()
    local ref = bounded { messages = 1, whenFull = "wait" }
    ref:send(1)
    gates[ref]:send "open"
    for i = 2, 100 do assert.is_true(ref:send(i)) end

    local heard = probe:heard(100)

    for i = 1, 100 do assert.equal(i, heard[i]) end
  end)

  it("lets a request wait, and forgets one whose time is up", function()
    local ref = bounded({ messages = 1, whenFull = "wait" }, function(context)
      context:property "gate":request("ready", { timeout = 1e6 })
      context:onMessage(function(value, message)
        context:property "probe":send(value)
        message:reply(value)
      end)
    end)
    ref:send(1)

    assert.equal("timeout", select(3, ref:request(2, { timeout = 0.01 })))
    gates[ref]:send "open"
    assert.equal(3, ref:request(3, { timeout = Probe.DEADLINE }))
    assert.same({ 1, 3 }, probe:heard(2))
  end)

  it("tells who waits that the isolate has ended", function()
    local ref = bounded({ messages = 1, whenFull = "wait" }, function(context)
      context:property "gate":request("ready", { timeout = 1e6 })
    end)
    ref:send(1)
    for _, how in ipairs { "send", "request" } do
      cluster:spawnIsolate("/" .. how, function(context)
        local full, call = context:property "full", context:property "call"
        local _, _, code = full[call](full, "x")
        context:property "probe":send { call, code }
      end, { full = ref, call = how, probe = probe.ref })
    end
    cluster:spawnIsolate("/ready", function(context)
      context:property "probe":send "ready"
    end, { probe = probe.ref })
    probe:heard(1)

    open(ref)

    local heard = probe:heard(3)
    table.remove(heard, 1)
    table.sort(heard, function(a, b) return a[1] < b[1] end)
    assert.same({ { "request", "gone" }, { "send", "gone" } }, heard)
    assert.equal("gone", select(3, ref:send "late"))
  end)

  it("raises where a sender can't wait", function()
    local ref = bounded { messages = 1, whenFull = "wait" }
    ref:send(1)
    local text = probe:inside(function(context)
      local full = context:property "full"
      local _, raised = pcall(table.sort, { 1, 2 }, function()
        full:send(2)
        return true
      end)
      return raised
    end, { full = ref })

    assert.matches("can't wait here", text)
    open(ref)
    assert.same({ 1 }, probe:heard(1))
  end)

  it("lets replies, ends and a shutdown pass", function()
    local ref = bounded({ messages = 1 }, function(context)
      local probe_ = context:property "probe"
      context.onIsolateDown:listen(function(down) probe_:send(down.path) end)
      context.onShutdownRequest = function()
        probe_:send "asked"
        context:shutdownIsolate()
      end
      context:property "gate":request("ready", { timeout = 1e6 })
    end)
    ref:send "fills it"
    cluster:spawnIsolate("/short", function() end)

    assert.same({ "/short" }, probe:heard(1))
    assert.equal("full", select(3, ref:send "more"))
    open(ref)
    assert(cluster:shutdown(Probe.DEADLINE))
    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("can be the cluster's default", function()
    local own = IsolateCluster.singleNode {
      limits = { mailbox = { messages = 2 } } }
    local ref = own:spawnIsolate(function(context)
      context.onShutdownRequest = function() context:shutdownIsolate() end
    end)

    assert.is_true(ref:send(1) and ref:send(2))
    assert.equal("full", select(3, ref:send(3)))
    assert(own:shutdown(Probe.DEADLINE))
  end)
end)
