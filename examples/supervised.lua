-- supervised.lua - a supervisor: what fails is started again, until it fails
-- too often; then all ends, in order, and somebody is told why.

-- luacheck: no max comment line length

local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode()

-- It loops in its entry, so that an error in the loop ends it.
local function divider(context)
  context.onError = function() end  -- the supervisor tells of it
  for pair, message in context.onMessage:iter() do
    assert(pair[2] ~= 0, "nothing can be divided by 0")
    message:reply(pair[1] // pair[2])
  end
end

local function journal(context)
  context:onMessage(function(line) print("journal: " .. line) end)
  context.onShutdownRequest = function()
    print "journal: closed"
    context:shutdownIsolate()
  end
end

cluster.onIsolateDown:listen(function(ref, reason)
  print(("%s is down: %s"):format(ref.path, reason))
end)

local supervisor = assert(cluster:spawnIsolate("/math",
  IsolateCluster.supervisor {
    strategy = "oneForOne", maxRestarts = 1, within = 3600,
    children = {
      { path = "journal", entry = journal, shutdown = 2 },
      { path = "divider", entry = divider },
    },
  }))

cluster:monitor(supervisor, function(_, _, err)
  print("it " .. err.message:match "^.-%b()")
end)

-- The divider has the same path after a restart.
local function divide(a, b)
  local ref = cluster:lookupIsolate "/math/divider"
  if b == 0 then return ref:send { a, b } end
  cluster:lookupIsolate "/math/journal":send(
    ("%d // %d is %d"):format(a, b, ref:request { a, b }))
end

divide(12, 3)
divide(1, 0)
cluster:settle()
divide(12, 4)
divide(2, 0)
print(cluster:wait())

-- prints (in any order):
--   journal: 12 // 3 is 4
--   /math/divider is down: error
--   journal: 12 // 4 is 3
--   /math/divider is down: error
--   journal: closed
--   /math/journal is down: shutdown
--   isolate-cluster: error in /math: gave up after 2 failures within 3600 s (maxRestarts is 1): child 'divider' (/math/divider) ended with reason 'error': examples/supervised.lua:13: nothing can be divided by 0
--   /math is down: error
--   it gave up after 2 failures within 3600 s (maxRestarts is 1)
--   true
