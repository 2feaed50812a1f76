-- shutdown_spec.lua - the end of a node: who is asked, who agrees, what the
-- caller is told, and what is left of the cluster then.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"

local DEADLINE = Probe.DEADLINE

local function ignoring(context)
  context.onShutdownRequest = function() end
end

local function listening(context)
  context:onMessage(function() end)
end

describe("cluster:shutdown", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() cluster:shutdown(0) end)

  it("is true when there is no isolate", function()
    local empty = IsolateCluster.singleNode()

    assert.is_true(empty:shutdown())
  end)

  it("is true when all agree", function()
    local refs = {}
    for i = 1, 20 do refs[i] = cluster:spawnIsolate(listening) end

    assert.is_true(cluster:shutdown(DEADLINE))

    for i = 1, 20 do
      assert.is_false(refs[i].alive)
      assert.equal("shutdown", probe:reasonOf(refs[i]))
    end
  end)

  it("is false when one had to be stopped", function()
    local agreeing = cluster:spawnIsolate(listening)
    local stopped = cluster:spawnIsolate(ignoring)

    assert.is_false(cluster:shutdown(0.05))

    assert.equal("shutdown", probe:reasonOf(agreeing))
    assert.equal("killed", probe:reasonOf(stopped))
  end)

  it("with a timeout of 0 stops who does not agree at once", function()
    cluster:spawnIsolate(ignoring)

    assert.is_false(cluster:shutdown(0))

    assert.is_false(cluster.up)
  end)

  it("does not wait for the timeout when all have ended", function()
    cluster:spawnIsolate(listening)

    assert.is_true(cluster:shutdown(math.huge))
  end)

  it("tells again what it told when it is called again", function()
    cluster:spawnIsolate(ignoring)
    cluster:shutdown(0.05)

    assert.is_false(cluster:shutdown())
    assert.is_false(cluster:shutdown())
  end)

  it("lets what was sent before be handled", function()
    local ref = cluster:spawnIsolate(function(context)
      local count = 0
      context:onMessage(function() count = count + 1 end)
      context.onShutdownRequest = function()
        if count == 100 then context:shutdownIsolate() end
      end
    end)
    for i = 1, 100 do ref:send(i) end

    assert.is_true(cluster:shutdown(DEADLINE))
  end)

  it("lets an isolate agree after work that waits", function()
    local ref = cluster:spawnIsolate(function(context)
      context.onShutdownRequest = function()
        context:sleep(0.05)
        local echo = context:lookupIsolate "/echo"
        assert(echo:request("last words", { timeout = 10 }))
        echo:send "bye"
        context:shutdownIsolate()
      end
    end)
    cluster:spawnIsolate("/echo", function(context)
      context:onMessage(function(value, message)
        if value == "bye" then return context:shutdownIsolate() end
        message:reply(value)
      end)
      context.onShutdownRequest = function() end
    end)

    assert.is_true(cluster:shutdown(DEADLINE))

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("asks each isolate once, though it is called again", function()
    cluster:spawnIsolate(function(context)
      local asked = 0
      context.onShutdownRequest = function()
        asked = asked + 1
        context:shutdownNode(10)
        context:after(0.05, function()
          if asked == 1 then context:shutdownIsolate() end
        end)
      end
    end)

    assert.is_true(cluster:shutdown(DEADLINE))
  end)

  it("asks an isolate whose entry has not returned", function()
    local ref = cluster:spawnIsolate(function(context)
      context:onMessage(function() end)
      context:sleep(3600)
    end)

    assert.is_true(cluster:shutdown(DEADLINE))

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("counts an isolate that ends meanwhile as agreed", function()
    local ref = cluster:spawnIsolate(function(context)
      context.onShutdownRequest = function() error "on purpose" end
      context:onError(function() context:shutdownIsolate() end)
    end)

    assert.is_true(cluster:shutdown(DEADLINE))

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("refuses everything afterwards", function()
    local ref = cluster:spawnIsolate("/gone", listening)
    cluster:shutdown(DEADLINE)

    local function assertDown(...)
      assert.same({ nil, "the node is down", "down", n = 3 },
        table.pack(...))
    end

    assert.is_false(cluster.up)
    assertDown(cluster:spawnIsolate(listening))
    assertDown(cluster:spawnIsolate("/again", listening))
    assertDown(cluster:spawnIsolate "spec.support.idle")
    assertDown(cluster:spawnIsolate "spec/support/idle.lua")
    assertDown(cluster:lookupIsolate "/gone")
    assertDown(cluster:lookupIsolates "/")
    assert.is_true(cluster:wait())
    assert.equal("gone", select(3, ref:send "x"))
    assert.equal("gone", select(3, ref:request "x"))
    assert.equal("cluster (down)", tostring(cluster))
    assert.is_false(cluster:stats().up)
    assert.equal(0, cluster:stats().live)
  end)

  it("refuses spawns from when it begins", function()
    cluster:spawnIsolate(function(context)
      context.onShutdownRequest = function()
        local _, _, byFunction = context:spawnIsolate(function() end)
        local _, _, byModule = context:spawnIsolate "spec.support.idle"
        if byFunction == "down" and byModule == "down" then
          context:shutdownIsolate()
        end
      end
    end)

    assert.is_true(cluster:shutdown(DEADLINE))
  end)

  it("can be called by several at once", function()
    for _ = 1, 8 do
      cluster:spawnIsolate(function(context)
        context:onMessage(function() context:shutdownNode(10) end)
      end)
    end
    for _, ref in ipairs(cluster:lookupIsolates "/") do
      if ref ~= probe.ref then ref:send "now" end
    end

    assert.is_true(cluster:shutdown(DEADLINE))
  end)

  it("takes the shortest of several timeouts", function()
    cluster:spawnIsolate(ignoring)
    cluster:spawnIsolate("/impatient", function(context)
      context:onMessage(function() end)
      context.onShutdownRequest = function()
        context:shutdownNode(0.05)
        context:shutdownIsolate()
      end
    end)

    assert.is_false(cluster:shutdown(3600))
  end)

  it("is heard of while spawns go on", function()
    for _ = 1, 4 do
      cluster:spawnIsolate(function(context)
        context.onShutdownRequest = function() end
        while context:spawnIsolate(function() end) do end
        context:shutdownIsolate()
      end)
    end
    for _ = 1, 4 do
      cluster:spawnIsolate(function(context)
        while context:spawnIsolate "spec.support.idle" do end
      end)
    end
    cluster.onIsolateUp:next(DEADLINE)

    cluster:shutdown(DEADLINE)

    assert.equal(0, cluster:stats().live)
    assert.equal(cluster:stats().spawned, cluster:stats().ended)
  end)

  it("answers the requests that nobody has read", function()
    local silent = cluster:spawnIsolate("/silent", function(context)
      context.onShutdownRequest = function() context:shutdownIsolate() end
    end)
    cluster:spawnIsolate("/asker", function(context)
      context.onShutdownRequest = function() end
      local ref = context:property "silent"
      local _, _, code = ref:request("?", { timeout = 3600 })
      if code == "gone" then context:shutdownIsolate() end
    end, { silent = silent })

    assert.is_true(cluster:shutdown(DEADLINE))
  end)

  it("wants a number of seconds", function()
    for _, wrong in ipairs { "1", -1, 0 / 0, {} } do
      assert.error_matches(function() cluster:shutdown(wrong) end,
        "timeout must be")
    end
    assert.error_matches(function() cluster.shutdown(1) end, "with a colon")
    assert.is_true(cluster.up)
  end)

  it("leaves the other clusters of the process alone", function()
    local other = Probe.new()
    local ref = other.cluster:spawnIsolate("/other", listening)
    cluster:shutdown(DEADLINE)

    assert.is_true(other.cluster.up)
    assert.is_true(ref.alive)
    assert.is_true(ref:send "x")
    other:close()
  end)
end)

describe("context:shutdownNode", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() cluster:shutdown(0) end)

  it("ends all isolates, the caller's too", function()
    local ref = cluster:spawnIsolate(function(context)
      context:shutdownNode(10)
      context:onMessage(function() end)
    end)

    assert.is_true(cluster:wait(DEADLINE))

    assert.equal("shutdown", probe:reasonOf(ref))
    assert.equal("shutdown", probe:reasonOf(probe.ref))
    assert.is_true(cluster:shutdown())
    assert.is_false(cluster.up)
  end)

  it("answers at once, and the caller goes on", function()
    local begun, still = probe:inside(function(context)
      local begun = context:shutdownNode(10)
      return begun, context.isolateRef.alive
    end)

    assert.is_true(begun)
    assert.is_true(still)
  end)

  it("stops the caller if that goes on for too long", function()
    local ref = cluster:spawnIsolate(function(context)
      context:shutdownNode(0.05)
      while true do end
    end)

    assert.is_true(cluster:wait(DEADLINE))

    assert.equal("killed", probe:reasonOf(ref))
    assert.is_false(cluster:shutdown())
  end)

  it("wants a number of seconds", function()
    local ok, text = probe:inside(function(context)
      return pcall(context.shutdownNode, context, "soon")
    end)

    assert.is_false(ok)
    assert.matches("timeout must be a number of seconds", text)
  end)
end)

describe("context.onShutdownRequest", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() cluster:shutdown(0) end)

  it("replaces the agreement, in the callback form too", function()
    for name, entry in pairs {
      assigned = function(context) context.onShutdownRequest = print end,
      called = function(context) context:onShutdownRequest(function() end) end,
      listened = function(context)
        context.onShutdownRequest:listen(function() end)
      end,
    } do
      local other = IsolateCluster.singleNode()
      other:spawnIsolate("/x", entry)
      assert.is_false(other:shutdown(0.05), name)
    end
  end)

  it("gives the agreement back when it is taken away", function()
    local ref = cluster:spawnIsolate(function(context)
      context:onMessage(function() end)
      context.onShutdownRequest = function() end
      context.onShutdownRequest = nil
    end)

    assert.is_true(cluster:shutdown(DEADLINE))

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("is followed by what was sent to the isolate meanwhile", function()
    local ref = probe:spawn("/listener", function(context)
      context.onShutdownRequest = function() end
      context:onMessage(function(value)
        if value == "end" then context:shutdownIsolate() end
      end)
    end)
    cluster:spawnIsolate(function(context)
      context.onShutdownRequest = function()
        context:lookupIsolate "/listener":send "end"
        context:shutdownIsolate()
      end
    end)

    assert.is_true(cluster:shutdown(DEADLINE))

    assert.equal("shutdown", probe:reasonOf(ref))
  end)
end)
