-- memory_spec.lua - how much memory the whole process takes for an isolate that
-- takes all that it can: what its limit says, and no twentieth more.

local command = require "spec.support.command"

-- Under a sanitizer blocks are malloc's, and not given back.
if command.SANITIZED then return end

local LIMIT = 32 -- MB
local MOST = 1.05

-- Prints why the isolate ended, and the most that was resident meanwhile: MB.
local SCRIPT = [[
local IsolateCluster = require "isolate_cluster"

local function status(key)
  for line in io.lines "/proc/self/status" do
    local size = line:match("^" .. key .. ":%%s*(%%d+) kB")
    if size then return size / 1024 end
  end
end

local cluster = IsolateCluster.singleNode()
cluster:spawnIsolate(function() end)
cluster:wait(60)
local reason
cluster.onIsolateDown:listen(function(ref, why)
  if ref.path == "/hoard" then reason = why end
end)
collectgarbage()
collectgarbage "stop"
local before = status "VmRSS"
local peak <close> = io.open("/proc/self/clear_refs", "w")
peak:write "5"
peak:flush()

assert(cluster:spawnIsolate("/hoard", function(context)
  local IsolateCluster = require "isolate_cluster"
  %s
end, nil,
  { memory = "%dMB" }))
assert(cluster:wait(280))
print(reason, status "VmHWM" - before)
cluster:shutdown()
]]

local HOARDS = {
  ["one huge string"] = [[
    local size = 1 << 20
    while true do
      local _ = ("x"):rep(size)
      size = size + (1 << 20)
    end]],
  ["a string that doubles"] = [[
    local s = "x"
    while true do s = s .. s end]],
  ["a string that grows by concatenation"] = [[
    local s = ("x"):rep(1000)
    while true do s = s .. ("y"):rep(100000) end]],
  ["many small tables"] = [[
    local t
    while true do t = { t } end]],
  ["small tables in pcalls"] = [[
    local t = {}
    while true do
      pcall(function() while true do t[#t + 1] = {} end end)
    end]],
  ["a table that grows"] = [[
    local t = {}
    for i = 1, math.huge do t[i] = i end]],
  ["strings in pcalls"] = [[
    local t = {}
    while true do
      pcall(function()
        while true do t[#t + 1] = ("z"):rep(30000) .. #t end
      end)
    end]],
  ["many coroutines"] = [[
    local t = {}
    while true do
      t[#t + 1] = coroutine.create(function() coroutine.yield() end)
      coroutine.resume(t[#t])
    end]],
  ["small messages"] = [[
    while true do context.isolateRef:send(1) end]],
  ["big messages"] = [[
    local text = ("x"):rep(500000)
    while true do context.isolateRef:send(text) end]],
  ["monitors"] = [[
    while true do context:monitor(context.isolateRef, function() end) end]],
  ["refs of what nobody knows"] = [[
    local encode, decode = IsolateCluster.encode, IsolateCluster.decode
    local t = {}
    for i = 1, math.huge do
      t[i] = decode("\xD8\x1B\x85" .. encode "isolate" .. encode(1)
        .. encode(i) .. encode("/" .. i) .. encode(0))
    end]],
  ["refs of what has ended"] = [[
    local t, properties = {}, { ("x"):rep(20000) }
    while true do
      t[#t + 1] = context:spawnIsolate("/", function() end, properties)
      while t[#t].alive do context:sleep(0.001) end
    end]],
  ["one string many times in a value"] = [[
    local t, text = {}, ("x"):rep(1 << 20)
    for i = 1, 1000 do t[i] = text end
    local bytes, why, code = IsolateCluster.encode(t)
    assert(not bytes and code == "memory", why)
    local sent, _, whyNot = context.isolateRef:send(t)
    assert(not sent and whyNot == "memory")
    local held = {}
    while true do held[#held + 1] = IsolateCluster.encode(text) end]],
  ["messages beside a state"] = [[
    local t, text = {}, ("x"):rep(5000)
    while true do
      context.isolateRef:send(text)
      t[#t + 1] = ("y"):rep(5000) .. #t
    end]],
}

describe("An isolate's limit of memory holds for the process, with", function()
  for name, hoard in pairs(HOARDS) do
    it(name, function()
      local result = command.start(SCRIPT:format(hoard, LIMIT)):finish()

      assert.equal(0, result.status)
      local reason, peak = result.stdout:match "^(%S+)\t(%S+)\n"
      assert.equal("memory", reason)
      assert.is_true(tonumber(peak) <= LIMIT * MOST, peak .. " MB")
    end)
  end
end)
