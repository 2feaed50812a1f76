-- kill_spec.lua - isolates that don't end by themselves are ended: whatever
-- their code does, a shutdown takes no longer than its timeout and a second.

local command = require "spec.support.command"

-- Far more than the promised time: the specs run beside each other, most of
-- them with a loop in it, on few processors. What hangs takes much longer.
local GENEROUS = 30 -- seconds

-- The shutdown begins once the isolate has said that it is busy.
local SCRIPT = [[
local IsolateCluster = require "isolate_cluster"

local function countThreads()
  local list <close> = io.popen("ls /proc/$PPID/task")
  return select(2, list:read "a":gsub("%%d+", ""))
end

local threads = countThreads()
local cluster = IsolateCluster.singleNode()
local ups = cluster.onIsolateUp:iter()
cluster.onIsolateDown:listen(function(ref, reason) print(ref.path, reason) end)
cluster:spawnIsolate("/stubborn", function(context)
  %s
end)
repeat until ups().path == "/busy"
print(cluster:shutdown(0.2))
print(cluster.up, cluster:spawnIsolate(function() end))
]]

-- What follows the script: the thread has ended, too.
local COUNT = [[
for _ = 1, 200 do
  if countThreads() == threads then break end
end
print(countThreads() == threads and "nothing left" or "a thread left")
]]

-- Spawns /busy, which ends at once.
local SAY = [[context:spawnIsolate("/busy", function() end)]]

local STUBBORN = {
  ["loops"] = SAY .. [[ while true do end]],
  ["loops with calls"] = SAY .. [[
    local function call(n) if n > 0 then call(n - 1) end end
    while true do call(100) end]],
  ["loops by tail calls"] = SAY .. [[
    local function call() return call() end
    call()]],
  ["loops by goto"] = SAY .. [[ ::again:: goto again]],
  ["loops in a for"] = SAY .. [[
    while true do for _ = 1, math.maxinteger do end end]],
  ["loops over a generator"] = SAY .. [[
    for _ in function() return 1 end do end]],
  ["loops in pcalls"] = SAY .. [[
    local function loop() while true do end end
    while true do pcall(pcall, loop) end]],
  ["catches errors of every depth"] = SAY .. [[
    local function dive() while true do pcall(dive) end end
    dive()]],
  ["has handlers that loop when it is stopped"] = SAY .. [[
    while true do
      xpcall(function() while true do end end,
        function() while true do end end)
    end]],
  ["loops in a coroutine"] = SAY .. [[
    local co = coroutine.create(function() while true do end end)
    while true do coroutine.resume(co) end]],
  ["loops in a wrapped coroutine"] = SAY .. [[
    while true do
      pcall(coroutine.wrap(function() while true do end end))
    end]],
  ["loops in nested coroutines"] = SAY .. [[
    local function dive(depth)
      if depth == 0 then while true do end end
      while true do
        coroutine.resume(coroutine.create(dive), depth - 1)
        pcall(coroutine.wrap(dive), depth - 1)
      end
    end
    dive(20)]],
  ["resumes without an end"] = SAY .. [[
    local co = coroutine.wrap(function()
      while true do coroutine.yield() end
    end)
    while true do co() end]],
  ["makes coroutines without an end"] = SAY .. [[
    while true do coroutine.wrap(function() end)() end]],
  ["loops in a coroutine's close"] = SAY .. [[
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function()
        while true do end
      end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)]],
  ["loops in a __close"] = SAY .. [[
    while true do
      pcall(function()
        local _ <close> = setmetatable({}, { __close = function()
          while true do end
        end })
        error "out"
      end)
    end]],
  ["has a __close that loops when it is stopped"] = SAY .. [[
    local _ <close> = setmetatable({}, { __close = function()
      while true do end
    end })
    while true do end]],
  ["loops in a __close when its shutdown was agreed to"] = SAY .. [[
    local _ <close> = setmetatable({}, { __close = function()
      while true do end
    end })
    context.onMessage:next()]],
  ["has finalizers that make finalizers"] = SAY .. [[
    local function make() setmetatable({}, { __gc = make }) end
    make()
    while true do collectgarbage() end]],
  ["loops in a sort's comparison"] = SAY .. [[
    while true do
      pcall(table.sort, { 1, 2, 3 }, function() while true do end end)
    end]],
  ["loops in a gsub's replacement"] = SAY .. [[
    while true do
      pcall(string.gsub, "abc", ".", function() while true do end end)
    end]],
  ["loops in a metamethod"] = SAY .. [[
    local strange = setmetatable({}, { __index = function()
      while true do end
    end, __tostring = function() while true do end end })
    while true do pcall(function() return strange.x end) end]],
  ["loops in a __tostring that print calls"] = SAY .. [[
    print(setmetatable({}, { __tostring = function()
      while true do end
    end }))]],
  ["loops in a load's reader"] = SAY .. [[
    while true do load(function() while true do end end) end]],
  ["loops in a handler"] = [[
    context:onMessage(function()
      ]] .. SAY .. [[
      while true do end
    end)
    context.isolateRef:send "go"]],
  ["loops in a timer"] = [[
    context:after(0, function()
      ]] .. SAY .. [[
      while true do end
    end)]],
  ["loops in each of many messages"] = [[
    context.onShutdownRequest = function() end
    context:onMessage(function() context.isolateRef:send "again" end)
    context.isolateRef:send "go"
    ]] .. SAY,
  ["loops in onShutdownRequest"] = SAY .. [[
    context.onShutdownRequest = function() while true do end end]],
  ["loops in onError"] = SAY .. [[
    context:onError(function() while true do end end)
    context:after(0, function() error "out" end)]],
  ["ignores the request"] = SAY .. [[
    context.onShutdownRequest = function() end]],
  ["ignores the request and has a timer"] = SAY .. [[
    context.onShutdownRequest = function() end
    context:every(0, function() end)]],
  ["answers the request with a wait"] = SAY .. [[
    context.onShutdownRequest = function()
      context:sleep(3600)
      context:shutdownIsolate()
    end]],
  ["answers the request with an error"] = SAY .. [[
    context:onError(function() end)
    context.onShutdownRequest = function() error "no" end]],
  ["makes garbage"] = SAY .. [[
    while true do local _ = { ("x"):rep(1000) } end]],
  ["spawns without an end"] = SAY .. [[
    while true do context:spawnIsolate(function() end) end]],
  ["sleeps in C"] = SAY .. [[ os.execute "sleep 1000"]],
  ["sleeps in C again and again"] = SAY .. [[
    while true do pcall(os.execute, "sleep 1000") end]],
  ["reads from a program"] = SAY .. [[
    local program = io.popen "sleep 1000"
    print(program:read "a")]],
  ["closes a program"] = SAY .. [[ io.popen("sleep 1000"):close()]],
}

-- Where Lua calls no hook, or seldom: the thread may be left to itself.
local UNREACHABLE = {
  ["takes hooks away"] = SAY .. [[
    while true do debug.sethook() end]],
  ["loops in an xpcall's handler"] = SAY .. [[
    xpcall(error, function() while true do end end)]],
  ["loops in a finalizer"] = SAY .. [[
    while true do
      setmetatable({}, { __gc = function() while true do end end })
      collectgarbage()
    end]],
  ["loops in a finalizer at its end"] = SAY .. [[
    kept = setmetatable({}, { __gc = function() while true do end end })]],
  ["loops in its own debug hook"] = SAY .. [[
    debug.sethook(function() while true do end end, "", 1)
    while true do end]],
  ["searches for a pattern"] = SAY .. [[
    string.find(("a"):rep(100), (".-"):rep(30) .. "b")]],
}

-- The shutdown begins once the module loads, which a file tells.
local LOADING = [[
local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode()
cluster.onIsolateDown:listen(function(ref, reason) print(ref.path, reason) end)
cluster:spawnIsolate("/loader", function(context)
  context:every(0.01, function()
    if io.open "loading" then context:shutdownNode(0.2) end
  end)
  print(context:spawnIsolate("/stubborn", "stubborn"))
end)
cluster:wait()
print(cluster:shutdown())
]]

-- The same, but it is the host script that waits for the spawn.
local HOST_LOADING = [[
local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode()
cluster:spawnIsolate("/stopper", function(context)
  context:every(0.01, function()
    if io.open "loading" then context:shutdownNode(0.2) end
  end)
end)
print(cluster:spawnIsolate("/stubborn", "stubborn"))
print(cluster:shutdown())
]]

local LOADED = {
  ["loops while it loads"] = "while true do end",
  ["catches what stops it"] =
    "while true do pcall(function() while true do end end) end",
  ["sleeps in C while it loads"] = [[os.execute "sleep 1000"]],
}

-- Starts all at once, so that they wait beside each other.
local function startAll(texts, start)
  local runs = {}
  for name, text in pairs(texts) do runs[name] = start(text) end
  return runs
end

-- Starts [script] with a module that tells by a file that it loads.
local function startLoading(script)
  return function(text)
    local module = "io.open('loading', 'w'):close() " .. text
    return command.start(script, { files = { ["stubborn.lua"] = module } })
  end
end

local function assertStopped(result, reason)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  assert.matches("\nfalse\n", "\n" .. result.stdout)
  assert.matches("\n/stubborn\t" .. (reason or "killed") .. "\n",
    "\n" .. result.stdout)
  assert.matches("\nfalse\tnil\tthe node is down\tdown\n", result.stdout)
  assert.is_true(result.seconds < GENEROUS)
end

describe("a shutdown ends an isolate that", function()
  local runs, unreachable

  setup(function()
    runs = startAll(STUBBORN, function(text)
      return command.start(SCRIPT:format(text) .. COUNT)
    end)
    unreachable = startAll(UNREACHABLE, function(text)
      return command.start(SCRIPT:format(text))
    end)
  end)

  for name in pairs(STUBBORN) do
    it(name .. ", and its thread", function()
      local result = runs[name]:finish()

      assertStopped(result)
      assert.matches("\nnothing left\n$", result.stdout)
    end)
  end

  it("has ended, but for a program that it left to the collector", function()
    local result = command.start(SCRIPT:format(SAY .. [[
      kept = io.popen "sleep 1000"]]) .. COUNT):finish()

    assertStopped(result, "%a+")  -- or killed, before it was done
    assert.matches("\nnothing left\n$", result.stdout)
  end)

  it("has many programs, a C module, and finalizers that ask each", function()
    local result = command.start(SCRIPT:format([[
      require "lfs"
      kept = {}
      for i = 1, 20 do
        kept[i] = io.popen("trap 'echo >>asked' TERM; echo; "
          .. "while :; do sleep 1000 & wait; done")
      end
      for i = 1, 20 do kept[i]:read() end
      ]] .. SAY .. [[ while true do end]])
      .. [[print(io.open "asked" and "asked" or "not asked")]]
      .. COUNT):finish()

    assertStopped(result)
    assert.matches("\nnot asked\nnothing left\n$", result.stdout)
  end)

  for name in pairs(UNREACHABLE) do
    it(name, function()
      assertStopped(unreachable[name]:finish())
    end)
  end
end)

describe("a shutdown ends an isolate whose module", function()
  local byIsolate, byHost

  setup(function()
    byIsolate = startAll(LOADED, startLoading(LOADING))
    byHost = startAll(LOADED, startLoading(HOST_LOADING))
  end)

  for name in pairs(LOADED) do
    it(name, function()
      local result = byIsolate[name]:finish()

      assert.equal("", result.stderr)
      assert.equal(0, result.status)
      assert.equal("/loader\tshutdown\nfalse\n", result.stdout)
      assert.is_true(result.seconds < GENEROUS)
    end)

    it(name .. ", and tells the host script", function()
      local result = byHost[name]:finish()

      assert.equal("", result.stderr)
      assert.equal(0, result.status)
      assert.equal("nil\tthe node is down\tdown\nfalse\n", result.stdout)
      assert.is_true(result.seconds < GENEROUS)
    end)
  end

  it("does not load, and loops in a finalizer then", function()
    local run = startLoading(HOST_LOADING) [[
      setmetatable({}, { __gc = function() while true do end end })
      error "no good"]]

    local result = run:finish()

    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert.matches("^nil\t[^\n]*no good\n.*\tload\nfalse\n$", result.stdout)
    assert.is_true(result.seconds < GENEROUS)
  end)
end)
