-- workers.lua - a group of isolates shares the work; the results come back as
-- replies.

local IsolateCluster = require "isolate_cluster"

local function worker(context)
  context:onMessage(function(number, message)
    local sum = 0
    for i = 1, number do sum = sum + i end
    message:reply { worker = context.path, sum = sum }
  end)
end

local function manager(context)
  local workers = context:group("/workers/", { select = "roundRobin" })
  local left = 4
  context:onMessage(function(result)
    print(("%s says %d"):format(result.worker, result.sum))
    left = left - 1
    if left == 0 then context:shutdownNode() end
  end)
  -- What the workers reply comes to onMessage, as these are no requests.
  for i = 1, 4 do assert(workers:send(i * 1000)) end
end

local cluster = IsolateCluster.singleNode()
cluster:spawnIsolate("/workers/a", worker)
cluster:spawnIsolate("/workers/b", worker)
cluster:spawnIsolate("/manager", manager)

cluster:wait()

-- prints (in any order):
--   /workers/a says 500500
--   /workers/b says 2001000
--   /workers/a says 4501500
--   /workers/b says 8002000
