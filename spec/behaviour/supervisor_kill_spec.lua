-- supervisor_kill_spec.lua - supervisors and force: children that do not agree
-- to end, and supervisors that are killed.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"
local core = require "isolate_cluster.core"

-- Children that don't end when they are asked to.
local function stubborn(context)
  context.onShutdownRequest = function() end
end

local function busy()
  while true do end
end

local function child(path, entry, shutdown)
  return { path = path, entry = entry, shutdown = shutdown }
end

describe("A supervisor stops by force", function()
  local probe, cluster, sup, handle

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
    sup = assert(cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
      children = {
        child("idle", "spec.support.idle"),
        child("stubborn", stubborn, 0.01),
        child("busy", busy, 0.01),
        child("at-once", "spec.support.idle", "kill"),
      },
    }))
    handle = IsolateCluster.supervisor(sup)
  end)

  after_each(function() probe:close() end)

  for _, id in ipairs { "stubborn", "busy", "at-once" } do
    it("the child that is " .. id, function()
      local ref = cluster:lookupIsolate("/sup/" .. id)

      assert.is_true(handle:terminateChild(id))

      assert.equal("killed", probe:reasonOf(ref))
      assert.is_true(cluster:lookupIsolate("/sup/idle").alive)
    end)
  end

  it("at its own end, each in its turn", function()
    assert.is_true(handle:stop())

    assert.equal("shutdown", probe:reasonOf(sup))
    local downs = {}
    for i, down in ipairs(probe.downs) do
      downs[i] = down.ref.path .. " " .. down.reason
    end
    assert.same({ "/sup/at-once killed", "/sup/busy killed",
      "/sup/stubborn killed", "/sup/idle shutdown", "/sup shutdown" }, downs)
  end)
end)

describe("A supervisor that is killed", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- All that are beneath [prefix] now.
  local function refsBeneath(prefix)
    return assert(cluster:lookupIsolates(prefix))
  end

  it("takes its children with it, whatever they do", function()
    local sup = assert(cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
      children = {
        child("idle", "spec.support.idle"),
        child("stubborn", stubborn),
        child("busy", busy),
        child("tree", IsolateCluster.supervisor {
          children = { child("leaf", "spec.support.idle") } }),
      },
    }))
    local children = refsBeneath "/sup/"
    assert.equal(5, #children)

    core.kill(sup)

    assert.equal("killed", probe:reasonOf(sup))
    for _, ref in ipairs(children) do
      assert.equal("killed", probe:reasonOf(ref))
    end
    assert.same({}, refsBeneath "/sup/")
  end)

  it("is restarted with its children by the one above it", function()
    assert(cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
      maxRestarts = 100, within = 1,
      children = { child("tree", IsolateCluster.supervisor {
        children = { child("leaf", "spec.support.idle") } }) },
    }))
    local tree = cluster:lookupIsolate "/sup/tree"
    local leaf = cluster:lookupIsolate "/sup/tree/leaf"

    core.kill(tree)

    local again
    repeat
      assert(cluster.onIsolateUp:next(Probe.DEADLINE))
      again = cluster:lookupIsolate "/sup/tree/leaf"
    until again and again ~= leaf
    assert.equal("killed", probe:reasonOf(leaf))
    assert.is_true(again.alive)
  end)

  it("is waited for by nobody", function()
    local sup = assert(cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
      children = { child("stubborn", stubborn, "infinity") },
    }))
    local handle = IsolateCluster.supervisor(sup)
    cluster:spawnIsolate("/killer", function(context)
      local isolate = require "isolate_cluster.core"
      context.onIsolateDown:next()
      isolate.kill(context:property "sup")
    end, { sup = sup })
    -- The supervisor waits for its child, and this for the supervisor.
    cluster:spawnIsolate("/signal", function() end)

    local done, _, code = handle:terminateChild "stubborn"

    assert.is_nil(done)
    assert.equal("gone", code)
    assert.equal("killed", probe:reasonOf(sup))
  end)
end)
