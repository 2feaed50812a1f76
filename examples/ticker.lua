-- ticker.lua - timers, and a loop over messages in place of a callback.

local IsolateCluster = require "isolate_cluster"

local function ticker(context)
  local count = 0
  context:every(0.01, function()
    count = count + 1
    context:property "listener":send { tick = count }
    if count == 3 then context:shutdownIsolate() end
  end)
end

local function listener(context)
  for value, message in context.onMessage:iter() do
    print(("tick %d from %s"):format(value.tick, message.sender.path))
    -- Waiting here loses nothing: what comes meanwhile stays in the mailbox.
    context:sleep(0.02)
    if value.tick == 3 then break end
  end
end

local cluster = IsolateCluster.singleNode()
local ref = cluster:spawnIsolate("/listener", listener)
cluster:spawnIsolate("/ticker", ticker, { listener = ref })

-- Both end by themselves: nothing is left that could call their code.
print(cluster:wait())

-- prints (in any order):
--   tick 1 from /ticker
--   tick 2 from /ticker
--   tick 3 from /ticker
--   true
