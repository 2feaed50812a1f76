-- supervisor_spec.lua - supervisors with real children: that they come, come
-- back and go in order. What they decide: spec/unit/supervisor_spec.lua.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"

-- A child that tells the probe of itself, and does what it is sent.
local function worker(context)
  local probe = context:property "probe"
  if probe then probe:send("+" .. context.path) end
  context:onMessage(function(order)
    if order == "fail" then context:shutdownIsolate() end
  end)
  context.onShutdownRequest = function()
    if probe then probe:send("-" .. context.path) end
    context:shutdownIsolate()
  end
end

describe("A supervisor", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  local function child(path, more)
    local made = { path = path, entry = worker,
      properties = { probe = probe.ref } }
    for name, value in pairs(more or {}) do made[name] = value end
    return made
  end

  local function spawn(description, path)
    return assert(cluster:spawnIsolate(path or "/sup",
      IsolateCluster.supervisor(description)))
  end

  -- The isolate that has [path] now, other than [old].
  local function next(path, old)
    local ref = cluster:lookupIsolate(path)
    while not ref or ref == old do
      assert(cluster.onIsolateUp:next(Probe.DEADLINE))
      ref = cluster:lookupIsolate(path)
    end
    return ref
  end

  local function namesOf(handle)
    local names = {}
    for i, info in ipairs(assert(handle:children())) do
      names[i] = info.id .. " " .. info.state
    end
    return names
  end

  it("has started its children, in order, when its spawn returns", function()
    local ref = spawn { children = { child "a", child "b",
      child "/else/where" } }

    local heard = probe:heardSorted(3)
    assert.same({ "+/else/where", "+/sup/a", "+/sup/b" }, heard)
    assert.is_true(cluster:lookupIsolate("/sup/a").alive)
    assert.same({ "a running", "b running", "/else/where running" },
      namesOf(IsolateCluster.supervisor(ref)))
  end)

  it("takes functions, modules, files and supervisors for children",
    function()
      spawn { children = {
        child "function",
        { path = "module", entry = "spec.support.echo" },
        { path = "file", entry = "spec/support/echo.lua" },
        { path = "tree", entry = IsolateCluster.supervisor {
          children = { child "leaf", { entry = "spec.support.echo" } } } },
      } }

      for _, path in ipairs { "/sup/module", "/sup/file", "/sup/tree/2" } do
        local echo = cluster:lookupIsolate(path)
        assert.equal(path, echo:request(path, { timeout = Probe.DEADLINE }))
      end
      assert.same({ "+/sup/function", "+/sup/tree/leaf" },
        probe:heardSorted(2))
    end)

  it("runs its children by what their options say", function()
    spawn { children = { child("a", { options = { thread = "own" } }),
      child("b", { options = { thread = "shared" } }) } }

    assert.same({ "+/sup/a", "+/sup/b" }, probe:heardSorted(2))
  end)

  it("can be spawned in an isolate too", function()
    local paths = probe:inside(function(context)
      local supervisor = require("isolate_cluster").supervisor
      local ref = assert(context:spawnIsolate("/inner", supervisor {
        children = { { path = "a", entry = function(inner)
          inner:onMessage(function(_, message)
            message:reply(inner.path)
          end)
        end } },
      }))
      local a = context:lookupIsolate "/inner/a"
      return { ref.path, (a:request(nil, { timeout = 10 })) }
    end)

    assert.same({ "/inner", "/inner/a" }, paths)
  end)

  it("is not spawned if a child has what can't be sent", function()
    local ref, text, code = cluster:spawnIsolate("/sup",
      IsolateCluster.supervisor { children = {
        child("a", { properties = { callback = print } }) } })

    assert.is_nil(ref)
    assert.matches("^supervisor%.children%[1%]%.properties%.callback: ", text)
    assert.equal("unsendable", code)
    assert.is_nil((cluster:lookupIsolate "/sup"))
  end)

  it("is not spawned if a child does not start", function()
    local ref, text, code = cluster:spawnIsolate("/sup",
      IsolateCluster.supervisor { children = {
        child "a", { path = "b", entry = "no.such.module" }, child "c" } })

    assert.is_nil(ref)
    assert.matches("^child 'b' %(/sup/b%) did not start: module "
      .. "'no.such.module' not found", text)
    assert.equal("load", code)
    assert.same({}, cluster:lookupIsolates "/sup/")
    assert.is_nil((cluster:lookupIsolate "/sup"))
    assert.same({ "+/sup/a", "-/sup/a" }, probe:heard(2))
  end)

  it("tells each spawner why it was not, however soon that was", function()
    local answers = probe:inside(function(context)
      local Supervisor = require("isolate_cluster").supervisor
      local answers = {}
      for i = 1, 100 do
        local _, text, code = context:spawnIsolate("/sup" .. i,
          Supervisor { children = { { path = "x", entry = "none.lua" } } })
        answers[code .. " " .. text:match "^child 'x' %(/sup"] = true
      end
      return answers
    end)

    assert.same({ ["load child 'x' (/sup"] = true }, answers)
  end)

  it("is not spawned if one of a child's children does not start", function()
    local ref, text = cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
      children = { child "a", { path = "tree",
        entry = IsolateCluster.supervisor { children = {
          child "leaf", { path = "bad", entry = "no.such.module" } } } } } })

    assert.is_nil(ref)
    assert.matches("^child 'tree' %(/sup/tree%) did not start: child 'bad' "
      .. "%(/sup/tree/bad%) did not start: module 'no.such.module'", text)
    assert.same({ "+/sup/a", "+/sup/tree/leaf", "-/sup/a", "-/sup/tree/leaf" },
      probe:heardSorted(4))
  end)

  it("restarts a child at its path, with its properties", function()
    spawn { children = { child "a" } }
    local first = cluster:lookupIsolate "/sup/a"

    first:send "fail"
    local second = next("/sup/a", first)

    assert.is_false(first.alive)
    assert.equal(probe.ref, second:property "probe")
    assert.same({ "+/sup/a", "+/sup/a" }, probe:heard(2))
  end)

  it("restarts the rest with it, the last stopped first", function()
    spawn { strategy = "restForOne", children = {
      child "a", child "b", child "c", child "d" } }
    local last = cluster:lookupIsolate "/sup/d"
    probe:heard(4)

    cluster:lookupIsolate "/sup/b":send "fail"
    next("/sup/d", last)

    local heard = probe:heard(9)
    assert.same({ "-/sup/d", "-/sup/c" }, { heard[5], heard[6] })
    assert.same({ "+/sup/b", "+/sup/c", "+/sup/d" }, (function()
      local rest = table.move(heard, 7, 9, 1, {})
      table.sort(rest)
      return rest
    end)())
  end)

  it("gives up with an error that says why, and stops the others", function()
    local ref = spawn { maxRestarts = 0, children = {
      child "a", child "b", child "c" } }
    local outcome
    cluster:monitor(ref, function(_, reason, err) outcome = { reason, err } end)
    probe:heard(3)

    cluster:lookupIsolate "/sup/a":send "fail"

    assert.equal("error", probe:reasonOf(ref))
    assert.same({ "-/sup/c", "-/sup/b" },
      table.move(probe:heard(5), 4, 5, 1, {}))
    while not outcome do cluster:wait(0) end
    assert.equal("error", outcome[1])
    assert.matches("^gave up after 1 failure within 5 s %(maxRestarts is "
      .. "0%): child 'a' %(/sup/a%) ended with reason 'shutdown'$",
      outcome[2].message)
  end)

  it("is restarted by its own supervisor when it gives up", function()
    spawn { children = { { path = "tree", entry = IsolateCluster.supervisor {
      maxRestarts = 0, children = { child "leaf" } } } } }
    local tree = cluster:lookupIsolate "/sup/tree"
    local leaf = cluster:lookupIsolate "/sup/tree/leaf"

    leaf:send "fail"

    assert.is_true(next("/sup/tree/leaf", leaf).alive)
    assert.is_false(tree.alive)
    assert.is_true(cluster:lookupIsolate("/sup/tree").alive)
  end)

  it("stops its children at a shutdown, the last first, and none comes back",
    function()
      spawn { strategy = "oneForAll", children = { child "a",
        { path = "tree", entry = IsolateCluster.supervisor {
          children = { child "x", child "y" } } },
        child "b" } }
      probe:heard(4)

      assert.is_true(cluster:shutdown(Probe.DEADLINE))

      local paths = {}
      for _, down in ipairs(probe.downs) do
        if down.ref.path ~= "/probe" then paths[#paths + 1] = down.ref.path end
      end
      assert.same({ "/sup/b", "/sup/tree/y", "/sup/tree/x", "/sup/tree",
        "/sup/a", "/sup" }, paths)
    end)

  it("ends at a shutdown in the middle of a back-off", function()
    spawn { backoff = { first = 3600, max = 3600 }, children = {
      child "a", child "b" } }
    local a = cluster:lookupIsolate "/sup/a"
    a:send "fail"
    probe:reasonOf(a)

    assert.is_true(cluster:shutdown(Probe.DEADLINE))
  end)

  it("ends when its handle says so, with its children", function()
    local ref = spawn { children = { child "a", child "b" } }

    assert.is_true(IsolateCluster.supervisor(ref):stop())

    assert.equal("shutdown", probe:reasonOf(ref))
    assert.same({}, cluster:lookupIsolates "/sup/")
  end)

  it("ends itself with a significant child", function()
    local ref = spawn { autoShutdown = "anySignificant", children = {
      child "a", child("b", { restart = "transient", significant = true }) } }

    cluster:lookupIsolate "/sup/b":send "fail"

    assert.equal("shutdown", probe:reasonOf(ref))
    assert.is_nil((cluster:lookupIsolate "/sup/a"))
  end)

  it("takes messages, and does nothing for them", function()
    local ref = spawn { children = { child "a" } }

    assert.is_true(ref:send { "terminateChild", "a" })
    assert.is_true(ref:send("terminateChild", { type = "command" }))

    assert.same({ "a running" }, namesOf(IsolateCluster.supervisor(ref)))
  end)

  describe("can be told to", function()
    local handle

    before_each(function()
      handle = IsolateCluster.supervisor(spawn { children = { child "a" } })
    end)

    it("start, terminate, restart and delete a child", function()
      local b = assert(handle:startChild(child "b"))
      assert.equal("/sup/b", b.path)
      assert.is_true(handle:terminateChild "b")
      assert.is_false(b.alive)
      assert.same({ "a running", "b stopped" }, namesOf(handle))

      local again = assert(handle:restartChild "b")
      assert.is_true(again.alive)
      assert.is_true(handle:terminateChild(again))
      assert.is_true(handle:deleteChild "b")

      assert.same({ "a running" }, namesOf(handle))
      assert.same({ specs = 1, active = 1, supervisors = 0, workers = 1 },
        handle:count())
    end)

    it("do so by an isolate", function()
      local texts = probe:inside(function(context)
        local supervisor = require("isolate_cluster").supervisor
        local inner = supervisor(context:lookupIsolate "/sup")
        local ref = assert(inner:startChild { path = "echo",
          entry = "spec.support.echo" })
        local echo = ref:request("hello", { timeout = 10 })
        local _, _, code = inner:deleteChild "echo"
        return { ref.path, echo, code }
      end)

      assert.same({ "/sup/echo", "hello", "in use" }, texts)
    end)

    it("start a child that does not start, which it forgets", function()
      local ref, text, code = handle:startChild { path = "b",
        entry = "no.such.module" }

      assert.is_nil(ref)
      assert.matches("no%.such%.module", text)
      assert.equal("load", code)
      assert.same({ "a running" }, namesOf(handle))
    end)
  end)

  describe("and a sandbox", function()
    -- Whether io is there.
    local function open(context)
      context:onMessage(function(_, message) message:reply(io ~= nil) end)
    end

    local function isOpen(path)
      local ref = assert(cluster:lookupIsolate(path))
      return ref:request(nil, { timeout = Probe.DEADLINE })
    end

    it("confine its children, whatever their options say", function()
      local ref = cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
        children = { { path = "a", entry = open },
          { path = "b", entry = open, options = { sandbox = "none" } },
          { path = "tree", entry = IsolateCluster.supervisor {
            children = { { path = "leaf", entry = open } } } } } },
        nil, { sandbox = "safe" })
      local handle = IsolateCluster.supervisor(ref)
      assert(handle:startChild { path = "c", entry = open,
        options = { sandbox = "none" } })

      for _, path in ipairs { "a", "b", "c", "tree/leaf" } do
        assert.is_false(isOpen("/sup/" .. path), path)
      end
      assert.same({ nil, "the sandbox loads no files", "denied" },
        { handle:startChild { entry = "spec/support/echo.lua" } })
    end)

    it("confine one child where its options say so", function()
      spawn { children = { { path = "a", entry = open },
        { path = "b", entry = open, options = { sandbox = "safe" } } } }

      assert.is_true(isOpen "/sup/a")
      assert.is_false(isOpen "/sup/b")
    end)

    it("are not left by way of another supervisor", function()
      spawn({ children = {} }, "/open")
      cluster:spawnIsolate("/confined", function(context)
        local supervisor = require("isolate_cluster").supervisor
        local other = supervisor(context:lookupIsolate "/open")
        local _, _, code = other:startChild { entry = function() end }
        local own = context:spawnIsolate("/confined/sup", supervisor {
          children = { { path = "a", entry = function(inner)
            inner:onMessage(function(_, message)
              message:reply(io ~= nil)
            end)
          end } } })
        context:property "probe":send(code .. " " .. own.path)
      end, { probe = probe.ref }, { sandbox = {
        require = { "isolate_cluster" } } })

      assert.same({ "denied /confined/sup" }, probe:heard(1))
      assert.is_false(isOpen "/confined/sup/a")
    end)
  end)

  it("is what a handle wants", function()
    local idle = probe:spawn("/idle", "spec.support.idle")

    local count, text, code = IsolateCluster.supervisor(idle):count()

    assert.same({ nil, "/idle is no supervisor", "not found" },
      { count, text, code })
  end)

  it("that has ended tells so", function()
    local ref = spawn {}
    local handle = IsolateCluster.supervisor(ref)
    handle:stop()
    probe:reasonOf(ref)

    local _, _, code = handle:children()

    assert.equal("gone", code)
    assert.same({ nil, "the isolate /sup has ended", "gone" },
      { handle:stop() })
  end)
end)
