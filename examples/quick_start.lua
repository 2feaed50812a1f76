-- quick_start.lua - two senders wait for a receiver to come up; the host script
-- sends too. Run it with `sh examples/run`.

local IsolateCluster = require "isolate_cluster"

-- An entry runs in an isolate: a Lua state of its own, on a thread of its own.
-- It sees nothing of this script but what it is given as properties.
local function sender(context)
  print("sender started id = " .. context:property "id")
  context.onIsolateUp
    :where(function(ref) return ref:property "type" == "receiver" end)
    :listen(function(ref)
      ref:send("message from sender " .. context:property "id")
    end)
end

local function receiver(context)
  print "receiver started"
  local count = 0
  context:onMessage(function(message)
    print("received message: " .. message)
    count = count + 1
    if count == 3 then context:shutdownNode() end
  end)
end

local cluster = IsolateCluster.singleNode()
cluster:spawnIsolate(sender, { id = 1 })
cluster:spawnIsolate(sender, { id = 2 })
local ref = cluster:spawnIsolate("/receiver", receiver, { type = "receiver" })
ref:send "message from main isolate"

cluster:wait()

-- prints (in any order):
--   sender started id = 1
--   sender started id = 2
--   receiver started
--   received message: message from main isolate
--   received message: message from sender 1
--   received message: message from sender 2
