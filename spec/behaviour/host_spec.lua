-- host_spec.lua - host scripts: several clusters, listeners that are called
-- while something waits, figures, and programs of plain Lua.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"
local command = require "spec.support.command"

local DEADLINE = Probe.DEADLINE
local itUnlessSanitized = command.SANITIZED and pending or it

local function listening(context)
  context:onMessage(function() end)
end

describe("a host script", function()
  local cluster

  before_each(function() cluster = IsolateCluster.singleNode() end)
  after_each(function() cluster:shutdown(0) end)

  it("has a cluster that is up at once", function()
    assert.is_true(cluster.up)
    assert.equal("cluster (up)", tostring(cluster))
  end)

  it("may have several clusters, which don't see each other", function()
    local other = IsolateCluster.singleNode()
    local mine = cluster:spawnIsolate("/same", listening)
    local others = other:spawnIsolate("/same", listening)

    assert.is_true(mine ~= others)
    assert.same({ mine }, cluster:lookupIsolates "/")
    assert.same({ others }, other:lookupIsolates "/")

    assert.is_true(other:shutdown(DEADLINE))
    assert.is_true(mine.alive)
    assert.is_false(others.alive)
  end)

  it("hears of its clusters apart", function()
    local other = IsolateCluster.singleNode()
    local heard = {}
    cluster.onIsolateDown:listen(function(ref)
      heard[#heard + 1] = "mine " .. ref.path
    end)
    other.onIsolateDown:listen(function(ref)
      heard[#heard + 1] = "other " .. ref.path
    end)
    cluster:spawnIsolate("/a", function() end)
    cluster:wait(DEADLINE)
    other:spawnIsolate("/b", function() end)
    other:wait(DEADLINE)

    assert.same({ "mine /a", "other /b" }, heard)
    other:shutdown(DEADLINE)
  end)

  it("hears of all that went before a wait's end", function()
    for round = 1, 100 do
      local heard = 0
      local subscription = cluster.onIsolateDown:listen(function()
        heard = heard + 1
      end)
      for _ = 1, 4 do cluster:spawnIsolate(function() end) end
      if round % 2 == 0 then
        repeat until cluster:stats().live == 0
      end
      cluster:wait(DEADLINE)
      subscription:cancel()

      assert.equal(4, heard)
    end
  end)

  it("hears of all that went before a shutdown's end", function()
    local heard = 0
    cluster.onIsolateDown:listen(function() heard = heard + 1 end)
    for _ = 1, 20 do cluster:spawnIsolate(listening) end
    cluster:shutdown(DEADLINE)

    assert.equal(20, heard)
  end)

  it("has its listeners called only while it waits", function()
    local heard = 0
    cluster.onIsolateDown:listen(function() heard = heard + 1 end)
    cluster:spawnIsolate(function() end)
    repeat until cluster:stats().live == 0

    assert.equal(0, heard)
    cluster:wait(DEADLINE)
    assert.equal(1, heard)
  end)

  it("may wait in a listener", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")
    local replies = {}
    cluster.onIsolateDown:listen(function(ref)
      local reply = echo:request(ref.path, { timeout = DEADLINE })
      replies[#replies + 1] = reply
      if #replies == 3 then cluster:shutdown(DEADLINE) end
    end)
    for i = 1, 3 do cluster:spawnIsolate("/" .. i, function() end) end

    assert.is_true(cluster:wait(DEADLINE))

    table.sort(replies)
    assert.same({ "/1", "/2", "/3" }, replies)
  end)

  it("may spawn and shut down in a listener", function()
    local paths = {}
    cluster.onIsolateDown:listen(function(ref)
      paths[#paths + 1] = ref.path
      if #paths < 5 then
        cluster:spawnIsolate("/" .. #paths, function() end)
      else
        cluster:shutdown(DEADLINE)
      end
    end)
    cluster:spawnIsolate("/0", function() end)

    assert.is_true(cluster:wait(DEADLINE))

    assert.same({ "/0", "/1", "/2", "/3", "/4" }, paths)
  end)
end)

describe("cluster:wait", function()
  local cluster

  before_each(function() cluster = IsolateCluster.singleNode() end)
  after_each(function() cluster:shutdown(0) end)

  it("is true at once where there is no isolate", function()
    assert.is_true(cluster:wait())
    assert.is_true(cluster:wait(0))
  end)

  it("is true when the last isolate has ended", function()
    for i = 1, 5 do
      cluster:spawnIsolate(function(context)
        context:sleep(context:property "seconds")
      end, { seconds = i / 100 })
    end

    assert.is_true(cluster:wait(DEADLINE))
    assert.equal(0, cluster:stats().live)
  end)

  it("gives nil, a text and a code after its timeout", function()
    cluster:spawnIsolate(listening)

    assert.same({ nil, "isolates are left after 0.02 s", "timeout", n = 3 },
      table.pack(cluster:wait(0.02)))
    assert.equal("timeout", select(3, cluster:wait(0)))
  end)

  it("wants a number of seconds", function()
    for _, wrong in ipairs { "1", -1, 0 / 0, {} } do
      assert.error_matches(function() cluster:wait(wrong) end,
        "timeout must be")
    end
    assert.error_matches(function() cluster.wait() end, "with a colon")
  end)
end)

describe("cluster:stats", function()
  local cluster

  before_each(function() cluster = IsolateCluster.singleNode() end)
  after_each(function() cluster:shutdown(0) end)

  it("counts isolates, messages, and what reached nobody", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")
    local deaf = cluster:spawnIsolate("/deaf", function(context)
      context:sleep(3600)
    end)
    for i = 1, 10 do echo:request(i, { timeout = DEADLINE }) end
    for i = 1, 5 do deaf:send(i) end
    local done = cluster:spawnIsolate(function() end)
    while done.alive or cluster:stats().ended == 0 do
      echo:request("again", { timeout = DEADLINE })
    end

    local stats = cluster:stats()
    assert.is_true(stats.up)
    assert.equal(2, stats.live)
    assert.equal(3, stats.spawned)
    assert.equal(1, stats.ended)
    assert.is_true(stats.isolates["/echo"].received >= 10)
    assert.equal(0, stats.isolates["/deaf"].received)
    assert.is_true(stats.isolates["/deaf"].memory > 0)

    cluster:shutdown(DEADLINE)
    stats = cluster:stats()
    assert.is_false(stats.up)
    assert.equal(0, stats.live)
    assert.equal(3, stats.ended)
    assert.equal(5, stats.deadLetters)
    assert.same({}, stats.isolates)
  end)

  it("counts nothing in the mailbox of one that has settled", function()
    cluster:spawnIsolate("/module", "spec.support.echo")
    cluster:spawnIsolate("/function", function(context)
      context:onMessage(function() end)
    end)
    assert.is_true(cluster:settle(DEADLINE))

    local isolates = cluster:stats().isolates
    assert.equal(0, isolates["/function"].mailbox)
    assert.equal(0, isolates["/module"].mailbox)
  end)
end)

describe("a program of plain lua5.4", function()
  local function run(script)
    return command.run(script, { program = command.plainLua() })
  end

  local BEGIN = [[
    local IsolateCluster = require "isolate_cluster"
    local cluster = IsolateCluster.singleNode()
  ]]
  local UNWATCHED = BEGIN:gsub("singleNode%(%)",
    "singleNode { stuckAfter = false }")

  itUnlessSanitized("runs isolates", function()
    local result = run(BEGIN .. [[
      cluster:spawnIsolate(function() print "inside" end)
      cluster:wait()
      print(cluster:shutdown())
    ]])

    assert.equal("inside\ntrue\n", result.stdout)
    assert.equal(0, result.status)
  end)

  itUnlessSanitized("asks the isolates to end when it ends", function()
    local result = run(BEGIN .. [[
      cluster:spawnIsolate(function(context)
        context:onMessage(function() end)
        context.onShutdownRequest = function()
          print "asked"
          context:shutdownIsolate()
        end
      end)
    ]])

    assert.equal("asked\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)

  itUnlessSanitized("asks them after an error, too", function()
    local result = run(BEGIN .. [[
      for _ = 1, 10 do
        cluster:spawnIsolate(function(context)
          context:onMessage(function() end)
        end)
      end
      error "out"
    ]])

    assert.matches("script.lua:8: out", result.stderr)
    assert.equal(1, result.status)
  end)

  itUnlessSanitized("may call os.exit while isolates run", function()
    local runs = {}
    for i = 1, 4 do
      runs[i] = command.start(UNWATCHED .. [[
        for _ = 1, 2 do
          cluster:spawnIsolate(function()
            while true do
              io.write(("x"):rep(100))
              io.write(("x"):rep(1000), "\n")
            end
          end)
          cluster:spawnIsolate(function(context)
            while context:spawnIsolate(function() end) do end
          end)
        end
        for _ = 1, ]] .. i .. [[ * 100 do cluster:stats() end
        os.exit(7)
      ]], { program = command.plainLua(), stdout = "/dev/null" })
    end

    for i = 1, 4 do
      local result = runs[i]:finish()
      assert.equal("", result.stderr)
      assert.equal(7, result.status)
    end
  end)

  itUnlessSanitized("may close its state with isolates running", function()
    local result = run(BEGIN .. [[
      cluster:spawnIsolate(function(context)
        context:onMessage(function() end)
      end)
      os.exit(4, true)
    ]])

    assert.equal("", result.stderr)
    assert.equal(4, result.status)
  end)
end)
