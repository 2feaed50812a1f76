-- supervisor_child_spec.lua - one child's lives, with a supervisor, a cluster
-- and a clock that are the spec's.

local FakeCore = require "spec.support.fake_core"

describe("A supervised child", function()
  local core, Child, Plan, spawn, spawned, done, told, refs

  before_each(function()
    spawned, done, told, refs = {}, {}, {}, {}
    core = FakeCore.new {
      spawn = function(handle, path, kind, entry, properties, ticket, isShared,
          isSupervised)
        table.insert(spawned, { handle = handle, path = path, kind = kind,
          entry = entry, properties = properties, isShared = isShared,
          isSupervised = isSupervised, ticket = ticket })
        if kind == "module" then return false end
        local ref = { path = path }
        refs[#refs + 1] = ref
        return ref
      end,
      askToEnd = function(ref) table.insert(done, "ask " .. ref.path) end,
      kill = function(ref) table.insert(done, "kill " .. ref.path) end,
    }
    spawn, Plan, Child =
      core:load("spawn", "supervisor_plan", "supervisor_child")
  end)

  local function childOf(plan)
    plan.shutdown = plan.shutdown or 5
    return Child.new({
      handle = "handle", context = {
        path = "/sup",
        monitor = function(_, ref, fn)
          function ref.fails(reason, err) fn(ref, reason, err) end
        end,
      },
      ended = function(_, child, ref)
        table.insert(told, { child = child, ref = ref })
      end,
    }, plan)
  end

  local function functionChild(path, more)
    local plan = { id = path, path = path, kind = "function",
      entry = string.dump(function() return 7 end) }
    for name, value in pairs(more or {}) do plan[name] = value end
    return childOf(plan)
  end

  -- Runs child:method() in a coroutine, and gives a function for its results.
  local function run(child, method)
    local results
    FakeCore.start(function()
      results = table.pack(child[method](child))
    end)
    return function()
      if results then return table.unpack(results, 1, results.n) end
    end
  end

  it("is spawned below its supervisor, and supervised", function()
    local child = functionChild("a", { properties = { id = 7 },
      options = { thread = "shared" } })

    assert.is_true(child:start())

    local made = spawned[1]
    assert.equal("handle", made.handle)
    assert.equal("/sup/a", made.path)
    assert.equal("function", made.kind)
    assert.equal(7, made.entry())
    assert.same({ id = 7 }, made.properties)
    assert.is_true(made.isShared)
    assert.is_true(made.isSupervised)
    assert.equal("running", child.state)
    assert.equal(refs[1], child.ref)
  end)

  it("may have a path of its own", function()
    functionChild "/elsewhere":start()

    assert.equal("/elsewhere", spawned[1].path)
  end)

  it("may be a module, whose loading is waited for", function()
    local child = childOf { id = "m", path = "m", kind = "module",
      entry = "some.module" }
    local outcome = run(child, "start")
    assert.equal("stopped", child.state)

    core:raise("spawned", spawned[1].ticket, nil, "no such module", "load")

    assert.same({ nil, "no such module", "load" }, { outcome() })
    assert.equal("stopped", child.state)
  end)

  it("may be a supervisor", function()
    local plan = { children = {} }
    local waitedFor
    package.loaded["isolate_cluster.supervisor_handle"] = {
      started = function(ref)
        waitedFor = ref
        return nil, "one of its children did not start", "load"
      end,
    }
    finally(function()
      package.loaded["isolate_cluster.supervisor_handle"] = nil
    end)
    local child = childOf { id = "s", path = "s", kind = "supervisor",
      entry = plan }

    local _, text = child:start()

    assert.equal("supervisor", spawned[1].kind)
    assert.equal(plan, spawned[1].entry)
    assert.equal(refs[1], waitedFor)
    assert.equal("one of its children did not start", text)
    assert.equal("supervisor", child:describe().kind)
  end)

  it("fails to start by what is raised about it, too", function()
    local child = functionChild(("x"):rep(2000))
    core.spawn = function() error "malformed path" end

    local started, text, code = child:start()

    assert.is_nil(started)
    assert.matches("malformed path", text)
    assert.equal("invalid", code)
  end)

  it("tells its supervisor how it ended", function()
    local child = functionChild "a"
    child:start()

    refs[1].fails("error", { message = "boom" })

    assert.same({ { child = child, ref = refs[1] } }, told)
    assert.same({ reason = "error", err = { message = "boom" } },
      child.outcome)
  end)

  it("says nothing of a life that is over already", function()
    local child = functionChild "a"
    child:start()
    child:forget()
    child:start()

    refs[1].fails "error"

    assert.same({}, told)
    assert.is_nil(child.outcome)
  end)

  it("is asked to end, and waited for", function()
    local child = functionChild "a"
    child:start()
    run(child, "stop")
    assert.equal("running", child.state)

    refs[1].fails "shutdown"

    assert.same({ "ask /sup/a" }, done)
    assert.equal("stopped", child.state)
    assert.is_nil(child.ref)
    assert.same({}, told)
  end)

  it("is killed where it takes longer than it may", function()
    local child = functionChild("a", { shutdown = 2 })
    child:start()
    run(child, "stop")

    core:moveTo(102)
    assert.same({ "ask /sup/a", "kill /sup/a" }, done)
    assert.equal("running", child.state)
    refs[1].fails "killed"

    assert.equal("stopped", child.state)
  end)

  it("says whether it ended as it was asked to", function()
    local agreed
    local function stop(child, ending, time)
      child:start()
      FakeCore.start(function() agreed = child:stop() end)
      core:moveTo(core.time + time)
      refs[#refs].fails(ending)
      return agreed
    end

    assert.is_true(stop(functionChild "a", "shutdown", 1))
    assert.is_false(stop(functionChild "a", "killed", 5))
    assert.is_true(stop(functionChild("a", { shutdown = "kill" }), "killed", 0))
    assert.is_true(functionChild("a"):stop())
  end)

  it("is stopped at once where it has ended already", function()
    local child = functionChild "a"
    child:start()
    refs[1].fails "error"

    child:stop()

    assert.same({}, done)
    assert.equal("stopped", child.state)
  end)

  it("tells of itself", function()
    local child = functionChild("a", { restart = "transient" })
    child:start()

    assert.same({ id = "a", path = "/sup/a", ref = refs[1], state = "running",
      kind = "worker", restart = "transient", restarts = 0 },
      child:describe())
  end)

  it("has an entry that can be spawned again", function()
    local plan = { children = {} }

    local token = Plan.wrap(plan)

    assert.equal(plan, spawn.plans[token])
  end)
end)
