-- cluster_spec.lua - a cluster as the host script sees it, over a node that the
-- spec plays.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

describe("A cluster", function()
  local core, Cluster, cluster, nodes, events

  before_each(function()
    nodes, events = {}, {}
    core = FakeCore.new {
      isPumping = function() return false end,
      newCluster = function(isShared, threads)
        local node = { key = #nodes + 1, up = true, live = 0, agreed = true,
          version = 0, isShared = isShared, threads = threads }
        nodes[node.key] = node
        return node
      end,
      clusterKey = function(node) return node.key end,
      isUp = function(node) return node.up end,
      version = function(node) return node.version end,
      watch = function(node, up, down) node.watches = { up, down } end,
      liveIsolates = function(node) return node.live end,
      beginShutdown = function(node, timeout)
        node.timeout = timeout
        return true
      end,
      endShutdown = function(node)
        assert.is_false(node.up)
        return node.agreed
      end,
      spawn = function(node, path) return { node = node, path = path } end,
      lookup = function(node, path) return { node = node, path = path } end,
      list = function(node, prefix) return { node = node, path = prefix } end,
      stats = function() return { live = 0 } end,
    }
    -- What comes while the host script waits: the next of [events], else time.
    function core.pump(deadline)
      local event = table.remove(events, 1)
      if event then return event() end
      if deadline and deadline <= core.time then return end
      core:moveTo(assert(core.deadline, "waits for ever"))
    end
    Cluster = core:load "cluster"
    cluster = Cluster.new()
  end)

  it("has a field that tells whether it is up, and a text", function()
    assert.is_true(cluster.up)
    assert.equal("cluster (up)", tostring(cluster))

    nodes[1].up = false

    assert.is_false(cluster.up)
    assert.equal("cluster (down)", tostring(cluster))
  end)

  it("is made with what runs its isolates", function()
    Cluster.new(true, 4)

    assert.is_nil(nodes[1].isShared)
    assert.same({ true, 4 }, { nodes[2].isShared, nodes[2].threads })
  end)

  it("has no field that nobody knows", function()
    assert.equal("a cluster has no field the string 'nmae'",
      refusal.of(function() return cluster.nmae, 1 end))
  end)

  it("names what can be set", function()
    assert.equal("can't set cluster.up; onIsolateUp, onIsolateDown, "
      .. "onDeadLetter and onStuck can be set",
      refusal.of(function() cluster.up = false end))
    assert.equal("cluster.onIsolateUp must be a function or nil, got 5",
      refusal.of(function() cluster.onIsolateUp = 5 end))
  end)

  it("spawns and looks up in its own node", function()
    local other = Cluster.new()

    for key, each in ipairs { cluster, other } do
      local node = nodes[key]
      assert.same({ node = node, path = "/a" },
        each:spawnIsolate("/a", function() end))
      assert.same({ node = node, path = "/a" }, each:lookupIsolate "/a")
      assert.same({ node = node, path = "/w/" }, each:lookupIsolates "/w/")
    end
  end)

  describe("that hears of isolates", function()
    local heard

    local function hear(...) heard[#heard + 1] = table.pack(...) end

    before_each(function() heard = {} end)

    it("gives them to the listeners", function()
      cluster.onIsolateUp:listen(hear)
      cluster.onIsolateDown:listen(hear)

      core:raise("up", "ref", 1)
      core:raise("down", "ref", "error", "err", 1)

      assert.same({ { n = 1, "ref" }, { n = 3, "ref", "error", "err" } }, heard)
    end)

    it("gives them to the one callback that was set last", function()
      cluster.onIsolateUp = function() hear "old" end
      cluster.onIsolateUp = hear

      core:raise("up", "ref", 1)
      cluster.onIsolateUp = nil
      core:raise("up", "ref", 1)

      assert.same({ { n = 1, "ref" } }, heard)
    end)

    it("gives them to the callback form", function()
      cluster:onIsolateDown(hear)

      core:raise("down", "ref", "error", "err", 1)

      assert.equal("ref", heard[1][1])
    end)

    it("keeps them between the turns of a loop", function()
      core.isPumping = FakeCore.new().isPumping
      FakeCore.start(function()
        for ref in cluster.onIsolateUp:iter() do
          hear(ref)
          if ref == "first" then core:raise("up", "second", 1) end
        end
      end)

      core:raise("up", "first", 1)

      assert.same({ { n = 1, "first" }, { n = 1, "second" } }, heard)
    end)

    it("keeps two clusters apart", function()
      Cluster.new().onIsolateUp:listen(hear)

      core:raise("up", "of the first", 1)
      core:raise("up", "of the second", 2)

      assert.same({ { n = 1, "of the second" } }, heard)
    end)

    it("asks the node for what it has listeners for", function()
      local up = cluster.onIsolateUp:listen(hear)
      assert.same({ true, false }, nodes[1].watches)
      cluster.onIsolateDown:listen(hear)
      assert.same({ true, true }, nodes[1].watches)

      up:cancel()

      assert.same({ false, true }, nodes[1].watches)
    end)

    it("hears nothing after its shutdown", function()
      cluster.onIsolateUp:listen(hear)
      events = { function()
        nodes[1].up = false
        core:raise("nodeDown", 1)
      end }
      cluster:shutdown()

      core:raise("up", "ref", 1)

      assert.same({}, heard)
    end)
  end)

  describe("that is waited for", function()
    it("is there at once if no isolate is left", function()
      assert.is_true(cluster:wait())
      assert.is_true(cluster:wait(0))
    end)

    it("is there when the last isolate ends", function()
      nodes[1].live = 2
      events = {
        function() nodes[1].live = 1; core:raise("empty", 2) end,
        function() core:raise("empty", 1) end, -- of an earlier emptiness
        function() nodes[1].live = 0; core:raise("empty", 1) end,
      }

      assert.is_true(cluster:wait())
      assert.same({}, events)
    end)

    it("has told its listeners of all that came before", function()
      local heard = {}
      cluster.onIsolateUp:listen(function(ref) table.insert(heard, ref) end)
      events = { function() core:raise("up", "ref", 1) end }

      assert.is_true(cluster:wait())

      assert.same({ "ref" }, heard)
    end)

    it("gives nil, a text and a code when the time is up", function()
      nodes[1].live = 1

      assert.same({ nil, "isolates are left after 2.5 s", "timeout" },
        { cluster:wait(2.5) })
      assert.equal(102.5, core.time)
    end)

    it("has no more time after an event that changes nothing", function()
      nodes[1].live = 1
      events = {
        function() core.time = 101; core:raise("empty", 1) end,
      }

      assert.equal("timeout", (select(3, cluster:wait(2.5))))
      assert.equal(102.5, core.time)
    end)

    it("asks for the colon and for seconds", function()
      assert.equal("cluster:wait is a method: write cluster:wait(...), with a "
        .. "colon (cluster expected before it, got nil)",
        refusal.of(function() cluster.wait() end))
      assert.equal("the timeout must be 0 seconds or more, got -1",
        refusal.of(function() cluster:wait(-1) end))
    end)
  end)

  describe("that is shut down", function()
    before_each(function()
      events = { function()
        nodes[1].up = false
        core:raise("nodeDown", 1)
      end }
    end)

    it("tells that all agreed, and has 5 seconds for it", function()
      assert.is_true(cluster:shutdown())
      assert.equal(5, nodes[1].timeout)
    end)

    it("tells that some had to be stopped", function()
      nodes[1].agreed = false

      assert.is_false(cluster:shutdown(0.5))
      assert.equal(0.5, nodes[1].timeout)
    end)

    it("tells if it can't begin", function()
      function core.beginShutdown() return nil, "no memory", "memory" end

      assert.same({ nil, "no memory", "memory" }, { cluster:shutdown() })
      assert.is_true(cluster.up)
    end)

    it("asks for the colon and for seconds", function()
      assert.matches("^cluster:shutdown is a method",
        refusal.of(function() cluster.shutdown(1) end))
      assert.equal("the timeout must be a number of seconds, got the string "
        .. "'5'", refusal.of(function() cluster:shutdown "5" end))
    end)
  end)

  it("is waited for by the command, as are those of a listener", function()
    nodes[1].live = 1
    local other
    events = {
      function()
        other = Cluster.new()
        nodes[2].live = 1
        nodes[1].live = 0
        core:raise("empty", 1)
      end,
      function()
        nodes[2].live = 0
        core:raise("empty", 2)
      end,
    }

    Cluster.waitForAll()

    assert.is_true(other.up)
    assert.same({}, events)
  end)

  it("is waited for until its listeners have heard of all", function()
    local heard = {}
    cluster.onIsolateUp:listen(function(ref) table.insert(heard, ref) end)
    events = {
      function()
        core:raise("up", "first", 1)
        nodes[1].version = 1
      end,
      function() core:raise("up", "second", 1) end,
    }

    Cluster.waitForAll()

    assert.same({ "first", "second" }, heard)
  end)

  it("says in its figures whether it is up", function()
    assert.same({ live = 0, up = true }, cluster:stats())
  end)

  it("asks for the colon wherever there is a method", function()
    for _, name in ipairs { "spawnIsolate", "lookupIsolate", "lookupIsolates",
      "stats" } do
      assert.equal(("cluster:%s is a method: write cluster:%s(...), with a "
        .. "colon (cluster expected before it, got the string '/a')")
        :format(name, name),
        refusal.of(function() local _ = cluster[name] "/a" end))
    end
  end)
end)
