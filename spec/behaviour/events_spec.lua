-- events_spec.lua - who hears of isolates that come up and go down, and when;
-- and of errors.

local Probe = require "spec.support.probe"

describe("onIsolateUp and onIsolateDown", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- Tells the probe of all that comes up and goes down.
  local function spawnWatcher(path)
    local ref = probe:spawn(path, function(context)
      local report = context:property "probe"
      context.onIsolateUp:listen(function(ref)
        report:send("up " .. ref.path)
      end)
      context.onIsolateDown:listen(function(ref, reason)
        report:send("down " .. ref.path .. " " .. reason)
      end)
      context:onMessage(function(_, message) message:reply "listens" end)
    end)
    assert(ref:request(nil, { timeout = 10 }))
    return ref
  end

  it("are told of every isolate that comes up later, in order", function()
    spawnWatcher "/watcher"

    for i = 1, 4 do cluster:spawnIsolate("/i/" .. i, "spec.support.idle") end

    assert.same({ "up /i/1", "up /i/2", "up /i/3", "up /i/4" },
      probe:heard(4))
  end)

  it("are told that it is up before that it is down", function()
    spawnWatcher "/watcher"

    for i = 1, 10 do
      probe:reasonOf(probe:spawn("/short/" .. i, function() end))
    end

    local wanted = {}
    for i = 1, 10 do
      table.insert(wanted, "up /short/" .. i)
      table.insert(wanted, "down /short/" .. i .. " done")
    end
    assert.same(wanted, probe:heard(20))
  end)

  it("are told it in that order though both happen at once", function()
    spawnWatcher "/watcher"

    local last
    for i = 1, 50 do last = probe:spawn("/short/" .. i, function() end) end
    probe:reasonOf(last)

    local state = {}
    for _, text in ipairs(probe:heard(100)) do
      local what, path = text:match "^(%a+) (%S+)"
      assert.equal(what == "up" and "none" or "up", state[path] or "none")
      state[path] = what
    end
    for i = 1, 50 do assert.equal("down", state["/short/" .. i]) end
  end)

  it("tell the same order to all", function()
    spawnWatcher "/a"
    local heard = {}
    cluster.onIsolateUp:listen(function(ref)
      heard[#heard + 1] = "up " .. ref.path
    end)

    probe:spawn("/spawner/1", function(context)
      for _ = 1, 10 do
        context:spawnIsolate("/x/", "spec.support.idle")
      end
    end)
    probe:spawn("/spawner/2", function(context)
      for _ = 1, 10 do
        context:spawnIsolate("/y/", "spec.support.idle")
      end
    end)

    local ups = {}
    for _, text in ipairs(probe:heard(24)) do
      if text:match "^up" then ups[#ups + 1] = text end
    end
    while #heard < 22 do assert(cluster.onIsolateUp:next(10)) end
    assert.same(ups, heard)
  end)

  it("are not told of the isolate itself, nor of earlier ones", function()
    cluster:spawnIsolate("/earlier", "spec.support.idle")
    spawnWatcher "/watcher"

    cluster:spawnIsolate("/later", "spec.support.idle")

    assert.same({ "up /later" }, probe:heard(1))
  end)

  it("are told of what came while the entry still ran", function()
    probe:spawn("/busy", function(context)
      repeat local go = context:lookupIsolate "/go" until go
      context.onIsolateUp:listen(function(ref)
        context:property "probe":send("up " .. ref.path)
      end)
      context.onIsolateDown:listen(function(ref)
        context:property "probe":send("down " .. ref.path)
      end)
    end)

    probe:reasonOf(probe:spawn("/early", function() end))
    cluster:spawnIsolate("/go", "spec.support.idle")

    assert.same({ "up /early", "down /early", "up /go" }, probe:heard(3))
  end)

  it("are told of an isolate before its messages, while the entry still ran",
    function()
      probe:spawn("/busy", function(context)
        local tell = context:property "probe"
        context.onIsolateUp:listen(function(ref)
          tell:send("up " .. ref.path)
        end)
        context.onIsolateDown:listen(function(ref)
          tell:send("down " .. ref.path)
        end)
        context:onMessage(function(text) tell:send(text) end)
        repeat local go = context:lookupIsolate "/go" until go
      end)
      local function talker(context)
        context:lookupIsolate("/busy"):send("from " .. context.path)
      end

      for _, path in ipairs { "/a", "/b", "/c" } do
        probe:reasonOf(probe:spawn(path, talker))
      end
      cluster:spawnIsolate("/go", "spec.support.idle")

      assert.same({
        "up /a", "from /a", "down /a", "up /b", "from /b", "down /b",
        "up /c", "from /c", "down /c", "up /go",
      }, probe:heard(10))
    end)

  it("are told of an end in its place, while the entry still ran", function()
    probe:spawn("/busy", function(context)
      local tell = context:property "probe"
      repeat local go = context:lookupIsolate "/go" until go
      context.onIsolateDown:listen(function(ref)
        tell:send("down " .. ref.path)
      end)
      context:onMessage(function(text) tell:send(text) end)
    end)

    for i = 1, 3 do
      local path = "/" .. i
      local short = probe:spawn(path, function(context)
        context:onMessage(function() context:shutdownIsolate() end)
      end)
      cluster:lookupIsolate "/busy":send("before " .. path)
      short:send "end"
      probe:reasonOf(short)
      cluster:lookupIsolate "/busy":send("after " .. path)
    end
    cluster:spawnIsolate("/go", "spec.support.idle")

    assert.same({
      "before /1", "down /1", "after /1", "before /2", "down /2", "after /2",
      "before /3", "down /3", "after /3",
    }, probe:heard(9))
  end)

  it("leave the count of messages that wait as it is", function()
    probe:spawn("/busy", function(context)
      repeat local go = context:lookupIsolate "/go" until go
      context.onIsolateUp:listen(function(ref)
        context:property "probe":send(ref.path)
      end)
    end)
    for _, path in ipairs { "/a", "/b", "/go" } do
      cluster:spawnIsolate(path, "spec.support.idle")
    end
    probe:heard(3)

    cluster:lookupIsolate "/busy":send "unread"

    assert.is_true(cluster:settle(10))
    assert.equal(1, cluster:stats().isolates["/busy"].mailbox)
  end)

  it("find the isolate by its path and its properties", function()
    probe:spawn("/watcher", function(context)
      context.onIsolateUp
        :where(function(ref) return ref:property "type" == "receiver" end)
        :listen(function(ref)
          context:property "probe":send(
            { ref.path, context:lookupIsolate(ref.path) == ref })
        end)
      context:property "probe":send "listens"
    end)
    probe:heard(1)

    probe:spawn("/sender", "spec.support.idle", { type = "sender" })
    probe:spawn("/receiver", "spec.support.idle", { type = "receiver" })

    assert.same({ "listens", { "/receiver", true } }, probe:heard(2))
  end)

  it("find the path free when the isolate is down", function()
    probe:spawn("/watcher", function(context)
      local report = context:property "probe"
      context.onIsolateDown:listen(function(ref)
        if ref.path ~= "/phoenix" then return end
        local new = assert(context:spawnIsolate(ref.path, "spec.support.idle"))
        report:send { ref.alive, new.alive, new == ref,
          context:lookupIsolate(ref.path) == new }
        context:shutdownIsolate()
      end)
      report:send "listens"
    end)
    probe:heard(1)

    probe:spawn("/phoenix", function() end)

    assert.same({ "listens", { false, true, false, true } }, probe:heard(2))
  end)

  it("say why an isolate has ended", function()
    local reasons = {
      probe:reasonOf(probe:spawn("/done", function() end)),
      probe:reasonOf(probe:spawn("/error", function(context)
        context.onError:listen(function() end)
        error "of the entry"
      end)),
      probe:reasonOf(probe:spawn("/shutdown", function(context)
        context:shutdownIsolate()
      end)),
    }
    local asked = cluster:spawnIsolate("/asked", "spec.support.idle")
    cluster:shutdown(10)

    reasons[4] = probe:reasonOf(asked)
    assert.same({ "done", "error", "shutdown", "shutdown" }, reasons)
  end)

  it("say that an isolate was stopped by force", function()
    local ref = probe:spawn("/endless", function(context)
      context:property "probe":send "runs"
      while true do end
    end)
    probe:heard(1)

    local agreed = cluster:shutdown(0.05)

    assert.is_false(agreed)
    assert.equal("killed", probe:reasonOf(ref))
  end)

  it("are dropped while nobody listens", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function(_, message)
        context.onIsolateUp:listen(function(other)
          context:property "probe":send(other.path)
        end)
        message:reply "listens"
      end)
      context:property "probe":send "entry ends"
    end)
    probe:heard(1)

    -- Its answer comes behind what it was told before; nothing is kept.
    cluster:spawnIsolate("/unheard", "spec.support.idle")
    assert.equal("listens", ref:request(nil, { timeout = 10 }))
    cluster:spawnIsolate("/heard", "spec.support.idle")

    assert.same({ "entry ends", "/heard" }, probe:heard(2))
  end)

  it("can be waited for", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      coroutine.wrap(function()
        report:send { "up", context.onIsolateUp:next(10).path }
      end)()
      coroutine.wrap(function()
        local down, reason = context.onIsolateDown:next(10)
        report:send { "down", down.path, reason }
      end)()
      context:onMessage(function(_, message) message:reply "waits" end)
    end)
    ref:request(nil, { timeout = 10 })

    probe:spawn("/short", function() end)

    assert.same({ { "up", "/short" }, { "down", "/short", "done" } },
      probe:heard(2))
  end)
end)

describe("A host script's onIsolateUp and onIsolateDown", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  it("are told of all isolates, while the script waits", function()
    local heard = {}
    cluster.onIsolateUp:listen(function(ref)
      heard[#heard + 1] = { "up", ref.path,
        cluster:lookupIsolate(ref.path) == ref }
    end)
    cluster.onIsolateDown:listen(function(ref, reason)
      heard[#heard + 1] = { "down", ref.path, reason, ref.alive }
    end)

    local idle = probe:spawn("/idle", "spec.support.idle")
    local short = probe:spawn("/short", function(context)
      context.onMessage:next()
    end)
    while #heard < 2 do assert(cluster.onIsolateUp:next(10)) end
    short:send "end"
    probe:reasonOf(short)

    assert.same({ { "up", "/idle", true }, { "up", "/short", true },
      { "down", "/short", "done", false } }, heard)
    assert.is_true(idle.alive)
  end)

  it("can be waited for, with a time", function()
    local nothing = { cluster.onIsolateDown:next(0.01) }
    local timer = probe:spawn("/short", function(context)
      context:sleep(0.001)
    end)
    local ref, reason = cluster.onIsolateDown:next(10)

    assert.same({ nil, "nothing came from cluster.onIsolateDown in 0.01 s",
      "timeout" }, nothing)
    assert.equal(timer, ref)
    assert.equal("done", reason)
  end)

  it("can be filtered and iterated", function()
    local names = {}
    probe:spawn("/spawner", function(context)
      context:sleep(0.001)
      for i = 1, 6 do context:spawnIsolate("/w/" .. i, function() end) end
    end)

    local even = cluster.onIsolateUp:where(function(ref)
      local number = ref.path:match "^/w/(%d+)$"
      return number and tonumber(number) % 2 == 0
    end)
    for ref in even:iter() do
      names[#names + 1] = ref.path
      if #names == 3 then break end
    end

    assert.same({ "/w/2", "/w/4", "/w/6" }, names)
  end)

  it("are told of one cluster only", function()
    local IsolateCluster = require "isolate_cluster"
    local other = IsolateCluster.singleNode()
    local heard = {}
    other.onIsolateUp:listen(function(ref) heard[#heard + 1] = ref.path end)

    probe:spawn("/here", "spec.support.idle")
    other:spawnIsolate("/there", "spec.support.idle")
    while #heard == 0 do assert(other.onIsolateUp:next(10)) end
    local here = other:lookupIsolate "/here"
    other:shutdown(10)

    assert.same({ "/there" }, heard)
    assert.is_nil(here)
    assert.is_true(cluster.up)
  end)
end)

describe("onError", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("is told of errors wherever the isolate's code runs", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      context.onError:listen(function(err)
        report:send { err.message, err.traceback:match "stack traceback" }
      end)
      context:onMessage(function(value) error(value, 0) end)
      context:after(0, function() error("timer", 0) end)
      coroutine.wrap(function()
        context:sleep(0)
        error("coroutine", 0)
      end)()
    end)

    ref:send "message"

    local heard = probe:heard(3)
    table.sort(heard, function(a, b) return a[1] < b[1] end)
    assert.same({ { "coroutine", "stack traceback" },
      { "message", "stack traceback" }, { "timer", "stack traceback" } },
      heard)
  end)

  it("is told of error values that are no strings", function()
    local ref = probe:spawn("/a", function(context)
      context.onError:listen(function(err)
        context:property "probe":send(err.message)
      end)
      context:onMessage(function(value)
        if value == "object" then
          error(setmetatable({}, {
            __tostring = function() return "an error object" end,
          }))
        end
        error(value)
      end)
    end)

    ref:send "object"
    ref:send { "a table" }
    ref:send(42)
    ref:send(nil)

    assert.same({ "an error object", "(error object is a table value)", "42",
      "(error object is a nil value)" }, probe:heard(4))
  end)

  it("is told to all its listeners", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      for i = 1, 2 do
        context.onError:listen(function(err) report:send { i, err.message } end)
      end
      context:onMessage(function() error("x", 0) end)
    end)

    ref:send(nil)

    assert.same({ { 1, "x" }, { 2, "x" } }, probe:heard(2))
  end)
end)
