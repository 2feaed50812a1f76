-- supervisor_spec.lua - supervisors in a simulated cluster: hours of back-off,
-- and what holds in whatever order things happen.

local IsolateCluster = require "isolate_cluster"
local core = require "isolate_cluster.core"
local testing = require "isolate_cluster.testing"

local HOUR = 3600

-- Ends as it is told: by itself, by an error, or not when it is asked to.
local function worker(context)
  context.onError = function() end
  local probe = context:property "probe"
  if probe then probe:send(context.path) end
  context.onShutdownRequest = function()
    if not context:property "stubborn" then context:shutdownIsolate() end
  end
  for order in context.onMessage:iter() do
    if order == "crash" then error "as it was told" end
    if order == "leave" then return context:shutdownIsolate() end
  end
end

local function child(path, more)
  local made = { path = path, entry = worker }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function spawn(cluster, path, description)
  return assert(cluster:spawnIsolate(path,
    IsolateCluster.supervisor(description)))
end

describe("In virtual time a supervisor", function()
  local cluster, probe

  before_each(function()
    cluster = testing.cluster { time = "virtual" }
    probe = cluster:probe "/probe"
  end)

  after_each(function() testing.finish() end)

  it("waits for its back-off, however long", function()
    spawn(cluster, "/sup", {
      maxRestarts = math.huge, within = HOUR,
      backoff = { first = 60, factor = 10, max = HOUR },
      children = { child("a", { properties = { probe = probe.ref } }) },
    })
    probe:expect "/sup/a"

    for _, delay in ipairs { 60, 600, HOUR, HOUR } do
      cluster:lookupIsolate("/sup/a"):send "crash"
      cluster:advance(delay - 1)
      probe:none()
      cluster:advance(1)
      probe:expect "/sup/a"
    end
  end)

  it("begins its back-off anew for a child that was stable", function()
    spawn(cluster, "/sup", {
      maxRestarts = math.huge, within = HOUR,
      backoff = { first = 60, factor = 10, max = HOUR },
      children = { child("a", { properties = { probe = probe.ref } }) },
    })
    cluster:lookupIsolate("/sup/a"):send "crash"
    cluster:advance(60 + HOUR)
    cluster:lookupIsolate("/sup/a"):send "crash"
    cluster:advance(60)

    assert.same({ "/sup/a", "/sup/a", "/sup/a" }, (probe:messages()))
    probe:expect "/sup/a"
    probe:expect "/sup/a"
    probe:expect "/sup/a"
  end)

  it("takes as many failures as it may, and one more ends it", function()
    local ref = spawn(cluster, "/sup", { maxRestarts = 3, within = HOUR,
      children = { child "a" } })

    for _ = 1, 3 do
      cluster:lookupIsolate("/sup/a"):send "crash"
      cluster:advance(HOUR / 4)
      assert.is_true(ref.alive)
    end
    cluster:lookupIsolate("/sup/a"):send "crash"
    cluster:settle()

    assert.is_false(ref.alive)
    assert.matches("gave up after 4 failures within 3600 s",
      cluster:errors("/sup")[1].text)
  end)

  it("forgets failures that are long ago", function()
    local ref = spawn(cluster, "/sup", { maxRestarts = 1, within = HOUR,
      children = { child "a" } })

    for _ = 1, 100 do
      cluster:lookupIsolate("/sup/a"):send "crash"
      cluster:advance(HOUR + 1)
    end

    assert.is_true(ref.alive)
    assert.is_true(cluster:lookupIsolate("/sup/a").alive)
  end)

  it("kills a child that takes longer to end than it may", function()
    local ref = spawn(cluster, "/sup", { children = {
      child("a", { shutdown = HOUR, properties = { stubborn = true } }) } })
    local a = cluster:lookupIsolate "/sup/a"
    local reason
    cluster:monitor(a, function(_, why) reason = why end)

    IsolateCluster.supervisor(ref):stop()
    cluster:advance(HOUR - 1)
    assert.is_nil(reason)
    cluster:advance(2)

    assert.equal("killed", reason)
    assert.is_false(ref.alive)
  end)
end)

-- --- Whatever the order -----------------------------------------------------

local STRATEGIES = { "oneForOne", "oneForAll", "restForOne" }
local RESTARTS = { "permanent", "transient", "temporary" }

local function pick(list) return list[math.random(#list)] end

local function describeTree(depth)
  local children = {}
  for i = 1, math.random(1, 3) do
    local isTree = depth > 0 and math.random() < 0.4
    children[i] = { path = "c" .. i, restart = pick(RESTARTS),
      shutdown = not isTree and 1 or nil,
      properties = { stubborn = math.random() < 0.1 },
      entry = isTree and IsolateCluster.supervisor(describeTree(depth - 1))
        or worker }
  end
  return { strategy = pick(STRATEGIES), children = children, within = 5,
    maxRestarts = pick { 1, 5, math.huge },
    backoff = pick { { first = 0.5, max = 2 }, false } or nil }
end

-- Does something to somebody.
local function disturb(cluster, handle)
  local refs = cluster:lookupIsolates "/sup/"
  local victim = #refs > 0 and pick(refs)
  if victim and math.random() < 0.2 then
    core.kill(victim)
  elseif victim then
    victim:send(pick { "crash", "leave", "hello" })
  end
  local id = "c" .. math.random(4)
  local what = math.random(12)
  if what == 1 then handle:terminateChild(id) end
  if what == 2 then handle:restartChild(id) end
  if what == 3 then handle:deleteChild(id) end
  if what == 4 then
    handle:startChild(child(id, { restart = pick(RESTARTS) }))
  end
  if what == 5 then cluster:advance(math.random()) end
end

-- Of every supervisor that lives: who it says runs is who has the path, and a
-- group has only members that run, where none has ended for good.
local function check(cluster, ref)
  local children, text, code = IsolateCluster.supervisor(ref):children()
  if not children then
    assert.equal("gone", code, text)
    return
  end
  for _, info in ipairs(children) do
    if info.state == "running" then
      assert.is_true(info.ref.alive)
      assert.equal(info.ref, (cluster:lookupIsolate(info.path)))
      if info.kind == "supervisor" then check(cluster, info.ref) end
    else
      assert.is_nil(info.ref)
      assert.is_nil((cluster:lookupIsolate(info.path)))
    end
  end
end

describe("In whatever order things happen, supervisors", function()
  after_each(function() testing.finish() end)

  it("know their children, and leave nobody behind", function()
    testing.seeds(1000, function(cluster, seed)
      math.randomseed(seed)
      local ups, downs = {}, {}
      cluster.onIsolateUp:listen(function(ref)
        ups[#ups + 1] = ref.path
      end)
      cluster.onIsolateDown:listen(function(ref)
        downs[#downs + 1] = ref.path
      end)
      local ref = spawn(cluster, "/sup", describeTree(2))
      local handle = IsolateCluster.supervisor(ref)

      for _ = 1, 15 do disturb(cluster, handle) end
      if math.random() < 0.3 then core.kill(ref) end
      cluster:advance(60)

      if ref.alive then
        check(cluster, ref)
        handle:stop()
        cluster:advance(60)
      end
      assert.is_false(ref.alive)
      assert.same({}, cluster:lookupIsolates "/sup/")
      table.sort(ups)
      table.sort(downs)
      assert.same(ups, downs)
    end)
  end)
end)
