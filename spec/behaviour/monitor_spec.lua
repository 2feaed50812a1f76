-- monitor_spec.lua - being told of one isolate's end: when, why, how often.

local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

describe("A monitor", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- Ends as it is told to.
  local function spawnMortal(path)
    return probe:spawn(path, function(context)
      context.onError:listen(function() end)
      local how = context.onMessage:next()
      if how == "error" then error("told to", 0) end
      if how == "shutdown" then context:shutdownIsolate() end
      if how == "exit" then os.exit(3) end
    end)
  end

  -- Watches with context:monitor whom it is sent, and tells the probe.
  local function spawnMonitor(path)
    return probe:spawn(path, function(context)
      local report = context:property "probe"
      context:onMessage(function(ref, message)
        context:monitor(ref, function(...)
          report:send(table.pack(...))
        end)
        if message.replyTo then message:reply "monitors" end
      end)
    end)
  end

  it("tells an isolate of the end of another, with the reason", function()
    local monitor = spawnMonitor "/monitor"
    local wanted = {}
    for i, how in ipairs { "done", "shutdown", "error", "exit" } do
      local ref = spawnMortal("/mortal/" .. how)
      assert(monitor:request(ref, { timeout = 10 }))
      ref:send(how)
      probe:heard(i)
      wanted[i] = { ref, how == "exit" and "error" or how }
    end

    for i, heard in ipairs(probe:heard(4)) do
      assert.equal(wanted[i][1], heard[1])
      assert.equal(wanted[i][2], heard[2])
    end
  end)

  it("tells of the error that the isolate ended by", function()
    local monitor = spawnMonitor "/monitor"
    local failing, calm = spawnMortal "/failing", spawnMortal "/calm"
    monitor:request(failing, { timeout = 10 })
    monitor:request(calm, { timeout = 10 })

    failing:send "error"
    probe:heard(1)
    calm:send "done"

    local heard = probe:heard(2)
    assert.equal("told to", heard[1][3].message)
    assert.matches("^told to\nstack traceback:\n", heard[1][3].traceback)
    assert.matches("monitor_spec.lua", heard[1][3].traceback)
    assert.is_nil(heard[2][3])
    assert.equal(3, heard[2].n)
  end)

  it("tells of an end that is past, as the next event", function()
    local ref = spawnMortal "/mortal"
    ref:send "error"
    probe:reasonOf(ref)

    local order, reason, text = probe:inside(function(context)
      local order, reason, text = "", nil, nil
      context:monitor(context:property "ref", function(_, why, err)
        order, reason, text = order .. "told ", why, err.message
        context.isolateRef:send "go on"
      end)
      order = order .. "returned "
      context.onMessage:next(10)
      return order, reason, text
    end, { ref = ref })

    assert.equal("returned told ", order)
    assert.equal("error", reason)
    assert.equal("told to", text)
  end)

  it("tells the host script", function()
    local heard = {}
    local ref = spawnMortal "/mortal"
    local function keep(...) heard[#heard + 1] = table.pack(...) end
    cluster:monitor(ref, keep)
    ref:send "error"
    while #heard < 1 do assert(cluster:settle(10)) end
    cluster:monitor(ref, keep)
    while #heard < 2 do assert(cluster:settle(10)) end

    for _, call in ipairs(heard) do
      assert.equal(ref, call[1])
      assert.equal("error", call[2])
      assert.equal("told to", call[3].message)
    end
  end)

  it("of one isolate is told once to each who monitors it", function()
    local ref = spawnMortal "/mortal"
    for i = 1, 5 do
      local monitor = spawnMonitor("/monitor/" .. i)
      for _ = 1, 3 do monitor:request(ref, { timeout = 10 }) end
    end

    ref:send "done"

    for _, call in ipairs(probe:heard(15)) do
      assert.same({ ref, "done" }, { call[1], call[2] })
    end
    assert.equal(15, #probe:heard(15))
  end)

  it("that is cancelled tells nothing", function()
    local ref = spawnMortal "/mortal"
    local monitor = probe:spawn("/monitor", function(context)
      local report = context:property "probe"
      local target = context.onMessage:next()
      local first = context:monitor(target, function() report:send "first" end)
      context:monitor(target, function() report:send "second" end)
      do
        local _ <close> = context:monitor(target,
          function() report:send "third" end)
      end
      first:cancel()
      first:cancel()
      report:send "ready"
    end)
    monitor:send(ref)
    probe:heard(1)

    ref:send "done"

    assert.equal("done", probe:reasonOf(monitor))
    assert.same({ "ready", "second" }, probe:heard(2))
  end)

  it("that is cancelled while its event waits tells nothing", function()
    local ref = spawnMortal "/mortal"
    ref:send "done"
    probe:reasonOf(ref)

    local calls = probe:inside(function(context)
      local calls = 0
      local target = context:property "ref"
      for _ = 1, 3 do
        context:monitor(target, function() calls = calls + 1 end):cancel()
      end
      context:monitor(target, function() context.isolateRef:send "go on" end)
      context.onMessage:next(10)
      return calls
    end, { ref = ref })

    assert.equal(0, calls)
  end)

  it("keeps its isolate alive until it has told", function()
    local ref = spawnMortal "/mortal"
    local monitor = probe:spawn("/monitor", function(context)
      local report = context:property "probe"
      context:monitor(context:property "ref", function(_, reason)
        report:send(reason)
      end)
    end, { ref = ref })
    assert.is_true(monitor.alive)

    ref:send "done"

    assert.same({ "done" }, probe:heard(1))
    assert.equal("done", probe:reasonOf(monitor))
  end)

  it("that is cancelled keeps nothing alive", function()
    local ref = spawnMortal "/mortal"
    local monitor = probe:spawn("/monitor", function(context)
      context:monitor(context:property "ref", print):cancel()
    end, { ref = ref })

    assert.equal("done", probe:reasonOf(monitor))
  end)

  it("ends with the isolate that has it", function()
    local ref = spawnMortal "/mortal"
    local monitor = spawnMonitor "/monitor"
    monitor:request(ref, { timeout = 10 })
    local ender = probe:spawn("/ender", function(context)
      context:monitor(context:property "ref", print)
      context:shutdownIsolate()
    end, { ref = ref })
    probe:reasonOf(ender)

    ref:send "done"

    assert.equal("done", probe:heard(1)[1][2])
  end)

  it("of the isolate itself never tells", function()
    local ref = probe:spawn("/self", function(context)
      context:monitor(context.isolateRef, print)
      context.onMessage:next()
      context:shutdownIsolate()
    end)

    ref:send "end"

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("may wait in its function", function()
    local ref = spawnMortal "/mortal"
    local slept = probe:spawn("/monitor", function(context)
      context:monitor(context:property "ref", function()
        context:sleep(0.001)
        context:property "probe":send "slept"
      end)
    end, { ref = ref })

    ref:send "done"

    assert.same({ "slept" }, probe:heard(1))
    assert.equal("done", probe:reasonOf(slept))
  end)

  it("reaches into another cluster of the process", function()
    local IsolateCluster = require "isolate_cluster"
    local other = IsolateCluster.singleNode()
    local there = other:spawnIsolate("/there", "spec.support.idle")
    local monitor = spawnMonitor "/monitor"
    assert(monitor:request(there, { timeout = 10 }))

    other:shutdown(10)
    monitor:send(there)

    for _, call in ipairs(probe:heard(2)) do
      assert.same({ "/there", "shutdown" }, { call[1].path, call[2] })
    end
  end)

  it("of an isolate that nobody remembers tells that it is gone", function()
    local IsolateCluster = require "isolate_cluster"
    local bytes
    do
      local ref = spawnMortal "/mortal"
      bytes = IsolateCluster.encode(ref)
      ref:send "error"
      probe:reasonOf(ref)
      probe.downs = {}
    end
    collectgarbage()
    collectgarbage()

    local reason
    local ref = IsolateCluster.decode(bytes)
    cluster:monitor(ref, function(_, why) reason = why end)
    while not reason do assert(cluster:settle(10)) end

    assert.equal("gone", reason)
  end)

  it("tells of what a shutdown stops by force", function()
    local ref = probe:spawn("/endless", function(context)
      context:property "probe":send "runs"
      while true do end
    end)
    local reason, count
    cluster:monitor(ref, function(_, why, ...)
      reason, count = why, select("#", ...)
    end)
    probe:heard(1)

    cluster:shutdown(0.05)

    assert.equal("killed", reason)
    assert.equal(1, count)
  end)

  it("wants a ref and a function", function()
    local ref = spawnMortal "/mortal"

    assert.equal("cluster:monitor wants a ref, got the string '/mortal'",
      refusal.of(function() cluster:monitor("/mortal", print) end))
    assert.equal("what cluster:monitor calls must be a function, got nil",
      refusal.of(function() cluster:monitor(ref) end))
    assert.matches("^cluster:monitor is a method",
      refusal.of(function() cluster.monitor(ref, print) end))
    local text = probe:inside(function(context)
      return require("spec.support.refusal").of(function()
        context:monitor(nil, print)
      end)
    end)
    assert.equal("context:monitor wants a ref, got nil", text)
    local monitor = cluster:monitor(ref, print)
    assert.matches("^monitor:cancel is a method",
      refusal.of(function() monitor.cancel() end))
  end)
end)

describe("onIsolateDown", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("tells of the error that an isolate ended by", function()
    local errors = {}
    probe.cluster.onIsolateDown:listen(function(ref, _, err)
      errors[ref.path] = err or "none"
    end)
    probe:spawn("/watcher", function(context)
      context.onIsolateDown:listen(function(_, reason, err)
        context:property "probe":send { reason, err }
      end)
      context:property "probe":send "listens"
    end)
    probe:heard(1)

    probe:reasonOf(probe:spawn("/failing", function(context)
      context.onError:listen(function() end)
      error { "a table" }
    end))
    probe:reasonOf(probe:spawn("/calm", function() end))

    local heard = probe:heard(3)
    assert.equal("error", heard[2][1])
    assert.equal("(error object is a table value)", heard[2][2].message)
    assert.matches("stack traceback", heard[2][2].traceback)
    assert.same({ "done" }, heard[3])
    assert.equal("(error object is a table value)", errors["/failing"].message)
    assert.equal("none", errors["/calm"])
  end)
end)
