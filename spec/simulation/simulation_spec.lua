-- simulation_spec.lua - clusters whose isolates run one at a time, by a seed.

local refusal = require "spec.support.refusal"
local testing = require "isolate_cluster.testing"
local core = require "isolate_cluster.core"

local HOUR = 3600

-- Five that count down and throw to each other, and tell of each throw.
local function player(context)
  context:onMessage(function(value)
    local others = context:lookupIsolates "/players/"
    if value.hops > 0 then
      others[value.hops % #others + 1]:send { hops = value.hops - 1 }
    end
    context:property "to":send(context.path)
  end)
end

local function play(options)
  local cluster = testing.cluster(options)
  local probe = cluster:probe "/probe"
  for _ = 1, 5 do
    cluster:spawnIsolate("/players/", player, { to = probe.ref })
  end
  for i, ref in ipairs(cluster:lookupIsolates "/players/") do
    ref:send { hops = 10 + i }
  end
  cluster:settle()
  local order = table.concat(probe:messages(), " ")
  local trace = table.concat(cluster:trace(), "\n")
  testing.finish()
  return trace, order
end

describe("A seed", function()
  after_each(function() testing.finish() end)

  it("gives the same trace each time", function()
    local trace, order = play { seed = 42 }

    for _ = 1, 5 do
      local again, orderAgain = play { seed = 42 }
      assert.equal(trace, again)
      assert.equal(order, orderAgain)
    end
  end)

  -- Three random numbers of each of five isolates.
  local function chances(seed)
    local cluster = testing.cluster { seed = seed }
    local probe = cluster:probe()
    for _ = 1, 5 do
      cluster:spawnIsolate("/chance/", function(context)
        for _ = 1, 3 do
          context:property "to":send(math.random(1 << 60))
          context:sleep(math.random())
        end
      end, { to = probe.ref })
    end
    cluster:advance(10)
    local values = probe:messages()
    testing.finish()
    return values
  end

  it("gives the same chances each time, to each isolate its own", function()
    local values, seen = chances(42), {}
    for _, value in ipairs(values) do
      assert.is_nil(seen[value])
      seen[value] = true
    end

    assert.equal(15, #values)
    assert.same(values, chances(42))
    assert.are_not.same(values, chances(43))
  end)

  it("gives another trace than other seeds", function()
    local traces, orders = {}, {}
    for seed = 1, 20 do
      local trace, order = play { seed = seed }
      traces[trace] = true
      orders[order] = true
    end

    local function count(set)
      local number = 0
      for _ in pairs(set) do number = number + 1 end
      return number
    end
    assert.equal(20, count(traces))
    assert.is_true(count(orders) > 5)
  end)

  it("needs no thread", function()
    local before = core.countThreads()
    local cluster = testing.cluster { seed = 1 }
    for i = 1, 10 do
      cluster:spawnIsolate("/i/" .. i, "spec.support.echo", nil,
        { thread = i % 2 == 0 and "own" or "shared" })
    end

    assert.equal("hello", cluster:lookupIsolate "/i/3":request "hello")
    assert.equal(before, core.countThreads())
  end)

  it("is one cluster's at a time", function()
    local cluster = testing.cluster { seed = 1 }

    assert.has_error(function() testing.cluster { seed = 2 } end,
      "a simulated cluster is up already; shut it down first")

    cluster:shutdown()
    assert.is_true(testing.cluster({ seed = 2 }).up)
  end)

  it("loads modules, and tells what does not load", function()
    local cluster = testing.cluster { seed = 1 }

    local ref, text, code = cluster:spawnIsolate "spec.support.no_such_module"

    assert.is_nil(ref)
    assert.equal("load", code)
    assert.matches("no_such_module", text, 1, true)
    assert.is_truthy(cluster:spawnIsolate "spec.support.idle")
  end)

  it("says so where nothing can end a wait", function()
    local cluster = testing.cluster { seed = 1 }
    cluster:spawnIsolate "spec.support.idle"

    assert.has_error(function() cluster:wait() end,
      "this would wait for ever: in the simulated cluster every isolate is "
      .. "idle, nothing is on its way and no timer is set")
  end)

  it("leaves misuse of a ref where it was made", function()
    local cluster = testing.cluster { seed = 1 }
    local ref = cluster:spawnIsolate "spec.support.idle"

    for _, name in ipairs { "send", "request" } do
      local text = refusal.of(function() ref[name](ref) end)
      assert.equal(("ref:%s wants a value to send, got nothing"):format(name),
        text)
    end
  end)

  it("lets an isolate shut the node down", function()
    local cluster = testing.cluster { seed = 1 }
    cluster:spawnIsolate("/a", function(context)
      context:onMessage(function() context:shutdownNode(1) end)
    end)
    cluster:spawnIsolate("/b", "spec.support.idle")
    local reasons = {}
    cluster.onIsolateDown:listen(function(ref, reason)
      reasons[ref.path] = reason
    end)

    cluster:lookupIsolate "/a":send(1)
    assert.is_true(cluster:wait())
    assert.is_true(cluster:shutdown())

    assert.same({ ["/a"] = "shutdown", ["/b"] = "shutdown" }, reasons)
  end)

  it("stops by force what does not agree to end", function()
    local cluster = testing.cluster { seed = 1 }
    cluster:spawnIsolate("/stubborn", function(context)
      context.onShutdownRequest = function() context:sleep(3600) end
    end)
    local reason
    cluster.onIsolateDown:listen(function(_, why) reason = why end)
    cluster:settle()

    assert.is_false(cluster:shutdown(HOUR / 2))
    assert.equal("killed", reason)
  end)

  it("handles one message a turn, so others come in between", function()
    local between = 0
    for seed = 1, 50 do
      local cluster = testing.cluster { seed = seed }
      local probe = cluster:probe()
      local relay = cluster:spawnIsolate(function(context)
        context:onMessage(function(value)
          context:property "to":send(value)
        end)
      end, { to = probe.ref })
      for i = 1, 3 do relay:send(i) end
      probe.ref:send "host"
      cluster:settle()
      local order = probe:messages()
      local isAtEnd = order[1] == "host" or order[4] == "host"
      between = between + (isAtEnd and 0 or 1)
      testing.finish()
    end
    assert.is_true(between > 5)
  end)

  it("keeps the order of each sender", function()
    testing.seeds(30, function(cluster)
      local probe = cluster:probe()
      for i = 1, 10 do probe.ref:send(i) end
      cluster:settle()
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, (probe:messages()))
    end)
  end)
end)

describe("Virtual time", function()
  local cluster, probe

  before_each(function()
    cluster = testing.cluster { time = "virtual" }
    probe = cluster:probe "/probe"
  end)

  after_each(function() testing.finish() end)

  it("stands still while somebody can run", function()
    cluster:spawnIsolate(function(context)
      context:after(0.001, function() context:property "to":send "due" end)
    end, { to = probe.ref })

    local before = core.now()
    cluster:settle()

    assert.is_true(core.now() - before < 0.001)
    probe:none()
  end)

  it("lets an hour of timers go by at once", function()
    cluster:spawnIsolate(function(context)
      context:every(1, function() context:property "to":send(1) end)
    end, { to = probe.ref })
    local began = os.time()

    cluster:advance(HOUR)

    assert.equal(HOUR, #probe:messages())
    assert.is_true(os.time() - began < HOUR / 2)
  end)

  it("lets the sleeps of many go by in order", function()
    for i = 5, 1, -1 do
      cluster:spawnIsolate(function(context)
        local seconds = context:property "seconds"
        context:sleep(seconds)
        context:property "to":send(seconds)
      end, { to = probe.ref, seconds = i * 100 })
    end

    cluster:advance(350)
    assert.same({ 100, 200, 300 }, (probe:messages()))
    cluster:advance(HOUR)
    assert.same({ 100, 200, 300, 400, 500 }, (probe:messages()))
  end)

  it("makes requests time out, the host script's and isolates'", function()
    local silent = cluster:spawnIsolate("/silent", "spec.support.idle")
    cluster:spawnIsolate(function(context)
      local _, _, code = context:property "silent":request(1,
        { timeout = 3600 })
      context:property "to":send(code)
    end, { to = probe.ref, silent = silent })

    local _, _, code = silent:request(1, { timeout = 2 * HOUR })

    assert.equal("timeout", code)
    probe:expect "timeout"
  end)

  it("passes for the timeouts of wait and next", function()
    cluster:spawnIsolate "spec.support.idle"

    local _, _, code = cluster:wait(HOUR)
    assert.equal("timeout", code)
    _, _, code = cluster.onIsolateUp:next(HOUR)
    assert.equal("timeout", code)
  end)

  it("passes for isolates that keep each other busy", function()
    local function throw(context)
      context:onMessage(function(other)
        other:send(context.isolateRef)
      end)
    end
    local a = cluster:spawnIsolate("/a", throw)
    a:send(cluster:spawnIsolate("/b", throw))

    local _, _, code = cluster:wait(0.2)
    assert.equal("timeout", code)
    _, _, code = cluster:settle(0.2)
    assert.equal("timeout", code)
  end)

  it("ends with its cluster", function()
    local inside = core.now()
    cluster:advance(HOUR)
    testing.finish()

    local real = core.now()
    cluster = testing.cluster()
    assert.is_true(cluster:settle())
    assert.is_true(core.now() >= real)
    assert.is_true(math.abs(core.now() - inside) > 0)
  end)
end)

describe("Real time with a seed", function()
  after_each(function() testing.finish() end)

  it("is waited for", function()
    local cluster = testing.cluster { seed = 3, time = "real" }
    local probe = cluster:probe()
    cluster:spawnIsolate(function(context)
      context:sleep(0.02)
      context:property "to":send "slept"
    end, { to = probe.ref })
    local began = core.now()

    probe:expect "slept"

    assert.is_true(core.now() - began >= 0.02)
  end)
end)

describe("testing.seeds", function()
  it("names the first seed that fails, and how to run it alone", function()
    local tried = {}

    local ok, text = pcall(testing.seeds, 10, function(cluster, seed)
      tried[#tried + 1] = seed
      cluster:spawnIsolate("/a", function() print "was here" end)
      cluster:settle()
      assert(seed ~= 4, "four")
    end)

    assert.is_false(ok)
    assert.same({ 1, 2, 3, 4 }, tried)
    assert.matches("seed 4 of 10 failed; ISOLATE_SEED=4 runs it alone", text, 1,
      true)
    assert.matches("four", text, 1, true)
    assert.matches("was here", text, 1, true)
  end)

  it("refuses what is no number of seeds", function()
    assert.has_error(function() testing.seeds(0, print) end,
      "testing.seeds wants how many seeds, got 0")
    assert.has_error(function() testing.seeds(1, "f") end)
  end)
end)

describe("An isolate of a simulated cluster", function()
  after_each(function() testing.finish() end)

  it("is ended when it loops without end", function()
    local cluster = testing.cluster { seed = 1 }
    local reasons = {}
    cluster.onIsolateDown:listen(function(ref, reason)
      reasons[ref.path] = reason
    end)
    cluster:spawnIsolate("/loops", function(context)
      context:onMessage(function() while true do pcall(error) end end)
    end, nil, { cpu = 0.05 }):send(1)
    cluster:spawnIsolate("/loopsAtOnce", function() while true do end end,
      nil, { cpu = 0.05 })
    cluster:spawnIsolate("/other", function() end, nil, { cpu = 10 })

    cluster:settle()

    assert.same({ ["/loops"] = "cpu", ["/loopsAtOnce"] = "cpu",
      ["/other"] = "done" }, reasons)
  end)
end)
