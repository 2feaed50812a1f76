-- isolates.lua - this project's runner.
--
--   isolate-cluster run isolates.lua PROGRAM own|shared SECONDS
--
-- Prints "measurement value unit", or "unsupported" where the thread option is
-- refused. An entry holds all that its isolate does; whoever measures prints
-- and shuts the node down.

local IsolateCluster = require "isolate_cluster"

local program, mode, seconds = arg[1], arg[2], tonumber(arg[3])

-- --- Round trips ------------------------------------------------------------

local function echo(context)
  local pinger = context:property "pinger"
  context:onMessage(function(value) pinger:send(value) end)
end

local function pinger(context)
  local measure = require "meter"(context:property "seconds")
  local ponger = context.onMessage:next()
  context:onMessage(function(trips)
    local each = trips % 100 == 0 and measure(trips)
    if each then
      print("pingpong", each * 1e6, "us")
      return context:shutdownNode()
    end
    ponger:send(trips + 1)
  end)
  ponger:send(1)
end

-- Each round trip comes after a silence in which everybody falls asleep.
local function coldPinger(context)
  local now = require "clock".now
  local ponger = context.onMessage:next()
  local times, sent = {}, nil
  context:onMessage(function() times[#times + 1] = now() - sent end)
  for _ = 1, context:property "seconds" / 0.02 do
    context:sleep(0.02)
    sent = now()
    ponger:send(1)
  end
  context:sleep(0.02)
  table.sort(times)
  print("cold", times[#times // 2 + 1] * 1e6, "us")
  context:shutdownNode()
end

local function replier(context)
  context:onMessage(function(value, message) message:reply(value) end)
end

local function requester(context)
  local measure = require "meter"(context:property "seconds")
  local ref = context.onMessage:next()
  local trips, each = 0
  repeat
    for i = 1, 100 do assert(ref:request(i) == i) end
    trips = trips + 100
    each = measure(trips)
  until each
  print("request", each * 1e6, "us")
  context:shutdownNode()
end

local function roundTrips(cluster, asking, answering)
  local ref = assert(cluster:spawnIsolate(asking, { seconds = seconds }))
  ref:send(assert(cluster:spawnIsolate(answering, { pinger = ref })))
end

-- --- A ring -----------------------------------------------------------------

local function member(context)
  local following = context.onMessage:next()
  context:onMessage(function(hops) following:send(hops + 1) end)
end

local function ringLeader(context)
  local measure = require "meter"(context:property "seconds")
  local following = context.onMessage:next()
  context:onMessage(function(hops)
    local each = measure(hops)
    if each then
      print("ring", 1e-6 / each, "M/s")
      return context:shutdownNode()
    end
    following:send(hops + 1)
  end)
  following:send(1)
end

local function ring(cluster)
  local leader = assert(cluster:spawnIsolate(ringLeader, { seconds = seconds }))
  local following = leader
  for _ = 2, 1000 do
    local ref = assert(cluster:spawnIsolate(member))
    ref:send(following)
    following = ref
  end
  leader:send(following)
end

-- --- Streams ----------------------------------------------------------------

local function integerSender(context)
  local receiver = context:property "receiver"
  context:onMessage(function(count)
    for i = 1, count do receiver:send(i) end
  end)
end

local function tableSender(context)
  local receiver = context:property "receiver"
  local value = require "values".small()
  context:onMessage(function(count)
    for _ = 1, count do receiver:send(value) end
  end)
end

-- The first fifth of the messages warms up.
local function receiver(context)
  local now = require "clock".now
  local senders = context.onMessage:next()
  local isWarm, wanted, handled, start = false, nil, nil, nil

  local function order(count)
    wanted, handled, start = count, 0, now()
    for _, sender in ipairs(senders) do sender:send(count // #senders) end
  end

  context:onMessage(function()
    handled = handled + 1
    if handled < wanted then return end
    local elapsed = now() - start
    if not isWarm then
      isWarm = true
      return order(context:property "count")
    end
    print(context:property "name", wanted / elapsed / 1e6, "M/s")
    context:shutdownNode()
  end)
  order(context:property "count" // 20 * 4)
end

local function stream(cluster, sender, senderCount)
  local ref = assert(cluster:spawnIsolate(receiver,
    { name = program, count = math.floor(seconds * 2e6) }))
  local senders = {}
  for i = 1, senderCount do
    senders[i] = assert(cluster:spawnIsolate(sender, { receiver = ref }))
  end
  ref:send(senders)
end

-- At most 16 are on their way: nobody should queue gigabytes.
local function textSender(context)
  local ref = context:property "receiver"
  local text = require "values".text()
  context:onMessage(function(count)
    for _ = 1, count do ref:send(text) end
  end)
end

local function textReceiver(context)
  local measure = require "meter"(context:property "seconds")
  local sender = context.onMessage:next()
  local count, isDone = 0, false
  context:onMessage(function(text)
    count = count + 1
    if isDone or count % 8 > 0 then return end
    local each = measure(count)
    if not each then return sender:send(8) end
    isDone = true
    print("text", #text / each / 1e9, "GB/s")
    context:shutdownNode()
  end)
  sender:send(16)
end

local function text(cluster)
  local ref = assert(cluster:spawnIsolate(textReceiver, { seconds = seconds }))
  ref:send(assert(cluster:spawnIsolate(textSender, { receiver = ref })))
end

-- --- Big tables -------------------------------------------------------------

local function bulkReceiver(context)
  local sender = context:property "sender"
  context:onMessage(function(list) sender:send(#list) end)
end

local function bulkSender(context)
  local name = context:property "name"
  local measure = require "meter"(context:property "seconds")
  local bulk = require "values"[name]()
  local ref = context.onMessage:next()
  local count = 0
  context:onMessage(function(length)
    assert(length == #bulk)
    count = count + 1
    local each = measure(count)
    if not each then return ref:send(bulk) end
    print(name, each * 1e3, "ms")
    context:shutdownNode()
  end)
  ref:send(bulk)
end

local function bulk(cluster)
  local sender = assert(cluster:spawnIsolate(bulkSender,
    { name = program, seconds = seconds }))
  sender:send(assert(cluster:spawnIsolate(bulkReceiver, { sender = sender })))
end

-- --- Many isolates ----------------------------------------------------------

local function spawner(context)
  local now = require "clock".now
  local function child(itsContext)
    itsContext:property "spawner":send(true)
    itsContext:onMessage(function() end)
  end
  local answers, start = 0, nil
  context:onMessage(function()
    answers = answers + 1
    if answers < 1000 then return end
    print("spawn", (now() - start) / 1000 * 1e6, "us")
    context:shutdownNode()
  end)
  local properties = { spawner = context.isolateRef }
  start = now()
  for _ = 1, 1000 do assert(context:spawnIsolate(child, properties)) end
end

local function idler(context)
  context:property "watcher":send(true)
  context:onMessage(function() end)
end

local function watcher(context)
  local clock, idleCpu = require "clock", require "idle_cpu"
  local idlers = context.onMessage:next()
  local before = clock.rss()
  -- The host script spawns them meanwhile.
  for _ = 1, idlers do context.onMessage:next() end
  context:sleep(0.5)
  print("rss", (clock.rss() - before) / idlers, "KiB")
  idleCpu(function() context:sleep(context:property "seconds" * 10) end)
  context:shutdownNode()
end

local function idle(cluster)
  local count = math.floor(math.min(10000, 20000 * seconds))
  local ref = assert(cluster:spawnIsolate(watcher, { seconds = seconds }))
  ref:send(count)
  for _ = 1, count do
    assert(cluster:spawnIsolate(idler, { watcher = ref }))
  end
end

-- --- Work in parallel -------------------------------------------------------

local function worker(context)
  local work = require "work"
  local rate = work(context:property "start", context:property "seconds")
  context:property "boss":send(rate)
end

local function boss(context)
  local rate = context.onMessage:next() + context.onMessage:next()
  print("parallel", rate, "k/s")
  context:shutdownNode()
end

local function parallel(cluster)
  local properties = {
    boss = assert(cluster:spawnIsolate(boss)),
    start = require "clock".now() + 0.1,
    seconds = seconds,
  }
  for _ = 1, 2 do assert(cluster:spawnIsolate(worker, properties)) end
end

-- --- What limits cost --------------------------------------------------------

-- All that there are; none is ever reached.
local LIMITS = {
  memory = "64MB", cpu = 10, cpuTotal = 3600,
  mailbox = { messages = 100000, bytes = "16MB", whenFull = "wait" },
}

-- Plays ping-pong for as many trips as it is told; the first fifth warms up.
local function countedPinger(context)
  local now = require "clock".now
  local judge, ponger = context:property "judge", context.onMessage:next()
  local warm, start
  context:onMessage(function(left)
    if not warm then warm = left // 5 * 4 end
    if left == warm then start = now() end
    if left > 0 then return ponger:send(left - 1) end
    warm = nil
    judge:send(now() - start)
  end)
end

local function countedReceiver(context)
  local now = require "clock".now
  local judge, sender = context:property "judge", context.onMessage:next()
  local left, start = 0, nil
  context:onMessage(function(value)
    if left == 0 then
      left, start = value, now()
      return sender:send(value)
    end
    left = left - 1
    if left == 0 then judge:send(now() - start) end
  end)
end

-- Two pairs, one without limits and one with all, take turns of a few ms, so
-- that what disturbs the machine disturbs both; the fastest tenths count.
local function judge(context)
  local now = require "clock".now
  local both, times = context.onMessage:next(), { {}, {} }
  local finish = now() + context:property "seconds"
  repeat
    for i, ref in ipairs(both) do
      ref:send(context:property "count")
      local time = context.onMessage:next()
      table.insert(times[i], time)
    end
  until now() > finish
  table.sort(times[1])
  table.sort(times[2])
  local tenth = #times[1] // 10 + 1
  print(context:property "name", times[2][tenth] / times[1][tenth], "times")
  context:shutdownNode()
end

local function compareLimits(cluster, one, other, count)
  local ref = assert(cluster:spawnIsolate(judge,
    { name = program, seconds = seconds, count = count }))
  local both = {}
  for i, options in ipairs { {}, LIMITS } do
    both[i] = assert(cluster:spawnIsolate(one, { judge = ref }, options))
    both[i]:send(assert(cluster:spawnIsolate(other,
      { pinger = both[i], receiver = both[i] }, options)))
  end
  ref:send(both)
end

-- --- The format alone -------------------------------------------------------

local function codec(cluster)
  cluster:shutdown()
  require "codec"(IsolateCluster.encode, IsolateCluster.decode, seconds)
end

-- --- Start ------------------------------------------------------------------

local programs = {
  pingpong = function(cluster) roundTrips(cluster, pinger, echo) end,
  cold = function(cluster) roundTrips(cluster, coldPinger, echo) end,
  request = function(cluster) roundTrips(cluster, requester, replier) end,
  ring = ring,
  integers = function(cluster) stream(cluster, integerSender, 1) end,
  tables = function(cluster) stream(cluster, tableSender, 1) end,
  fan_in = function(cluster) stream(cluster, integerSender, 4) end,
  text = text,
  floats = bulk,
  records = bulk,
  spawn = function(cluster) assert(cluster:spawnIsolate(spawner)) end,
  idle = idle,
  parallel = parallel,
  limited_pingpong = function(cluster)
    compareLimits(cluster, countedPinger, echo, 2000)
  end,
  limited_integers = function(cluster)
    compareLimits(cluster, countedReceiver, integerSender, 10000)
  end,
  codec = codec,
}

local options = mode == "shared" and { thread = "shared" } or nil
local isSupported, cluster = pcall(IsolateCluster.singleNode, options)
if not isSupported then
  print "unsupported"
  return
end
programs[program](cluster)
cluster:wait()
