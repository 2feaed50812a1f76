-- errors.lua - what errors do: one in a handler is reported, and the isolate
-- goes on; one in the entry ends the isolate, and those who listen are told.

local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode()

cluster.onIsolateDown:listen(function(ref, reason)
  print(("%s is down: %s"):format(ref.path, reason))
end)

local careful = cluster:spawnIsolate("/careful", function(context)
  context.onError:listen(function(err)
    print("careful has heard: " .. err.message:match "[^:]+$")
  end)
  context:onMessage(function(value, message)
    if value == nil then error "no value, no answer" end
    message:reply(value)
  end)
end)

-- The handler fails on nil and never replies, so the request times out.
print(select(3, careful:request(nil, { timeout = 0.2 })))
print(careful:request "still here")

cluster:spawnIsolate("/careless", function(context)
  context.onError = function() end
  error "this was the entry"
end)

-- What does not load is told to who spawns it, and leaves nothing behind.
local ref, message, code = cluster:spawnIsolate("/missing", "no.such.module")
print(ref, message:match "^[^\n]+", code)
print(cluster:lookupIsolate "/missing")

print("all agreed: " .. tostring(cluster:shutdown()))

-- prints (in any order):
--   careful has heard:  no value, no answer
--   timeout
--   still here
--   /careless is down: error
--   nil	module 'no.such.module' not found:	load
--   nil	no isolate at /missing	not found
--   /careful is down: shutdown
--   all agreed: true
