-- leaks_spec.lua - what has ended leaves nothing behind: no thread, no
-- descriptor, no memory, however often it is done.

local command = require "spec.support.command"

-- Does [work](i) for the first part of the rounds, which may fill caches, then
-- for the rest, and prints what the process has more after that: threads,
-- descriptors, and KiB of memory.
local SCRIPT = [[
local IsolateCluster = require "isolate_cluster"

-- The least of several, as popen closes its end of the pipe only after it has
-- started the program.
local function count(folder)
  local least = math.huge
  for _ = 1, 5 do
    local list <close> = io.popen("ls /proc/$PPID/" .. folder .. " | wc -l")
    least = math.min(least, list:read "n")
  end
  return least
end

local function memory()
  collectgarbage()
  collectgarbage()
  local file <close> = io.open "/proc/self/status"
  for line in file:lines() do
    local size = line:match "^VmRSS:%%s*(%%d+) kB"
    if size then return math.tointeger(size) end
  end
end

local cluster
local SPARE_THREADS <const> = %d
%s

-- Threads that have nothing left to do may take a moment to be gone.
local function countThreads(wanted)
  local threads
  for _ = 1, 300 do
    threads = count "task"
    if threads <= wanted then break end
    os.execute "sleep 0.1"
  end
  return threads
end

local FIRST, ROUNDS = %d, %d
for i = 1, FIRST do work(i) end
local threads, files, size = count "task", count "fd", memory()
for i = FIRST + 1, ROUNDS do work(i) end
print(countThreads(threads + SPARE_THREADS) - threads, count "fd" - files,
  memory() - size)
if cluster then print(cluster:shutdown()) end
]]

-- A pool has now a thread more, now one less.
local SPARE_THREADS = 16
-- Generous: a leak of 1,000 bytes a round would be as large as this.
local BYTES_A_ROUND = 1000
-- How many threads of a pool have used all of their stacks is chance; what a
-- death at a limit leaves behind would be a stack, or megabytes.
local LEAST_KIB, LEAST_KIB_OF_DEATHS = 1024, 8 * 1024
-- A sanitizer keeps what was freed for a while.
local SANITIZED_KIB = 400 * 1024
-- A sanitizer makes all of it ten times as slow, and finds leaks by itself.
local FEWER = command.SANITIZED and 10 or 1

local UP = "cluster = IsolateCluster.singleNode()\n"

-- Eight isolates at a time that each end at a limit. How many of them live at
-- once, and so how much of their memory is kept for others, is chance; so as
-- much as is ever kept is there before.
local DEATHS = UP .. [[
    for i = 1, 8 do
      cluster:spawnIsolate("/full/" .. i, function(context)
        tables = {}  -- a global, so it stays
        for j = 1, 100000 do tables[j] = {} end
        context:onMessage(function() context:shutdownIsolate() end)
      end)
    end
    assert(cluster:settle(60))
    for _, ref in ipairs(cluster:lookupIsolates "/full/") do ref:send "end" end
    assert(cluster:wait(60))

    local reasons = {}
    cluster.onIsolateDown:listen(function(_, reason)
      reasons[reason] = (reasons[reason] or 0) + 1
    end)
    local function die(entries, limits, reason)
      reasons = {}
      for i = 1, 8 do
        assert(cluster:spawnIsolate(entries[i % #entries + 1], nil, limits))
      end
      assert(cluster:wait(60))
      assert(reasons[reason] == 8, next(reasons))
    end
]]

-- What is done, for the first rounds, and how many there are.
local WORKS = {
  ["spawns of functions"] = { UP .. [[
    local function work()
      assert(cluster:spawnIsolate(function() end))
      assert(cluster:wait(60))
    end]], 2000, 10000 },
  ["spawns of modules"] = { UP .. [[
    local function work()
      assert(cluster:spawnIsolate("/m", "module"))
      assert(cluster:wait(60))
    end]], 500, 2000 },
  ["spawns with properties and a path"] = { UP .. [[
    local keeper = cluster:spawnIsolate(function() end)
    cluster:wait()
    local function work(i)
      local ref = assert(cluster:spawnIsolate("/a/b" .. i, function(context)
        assert(context:property "list"[1])
        assert(not context:property "keeper":send "x")
      end, { text = ("x"):rep(1000), keeper = keeper, list = { i } }))
      assert(cluster:wait(60))
      assert(not ref.alive)
    end]], 500, 3000 },
  ["spawns that fail"] = { UP .. [[
    local function work(i)
      local kind = i % 4
      local ref, _, code
      if kind == 0 then
        ref, _, code = cluster:spawnIsolate "no.such.module"
      elseif kind == 1 then
        ref, _, code = cluster:spawnIsolate "no/such/file.lua"
      elseif kind == 2 then
        ref, _, code = cluster:spawnIsolate "broken"
      else
        ref, _, code = cluster:spawnIsolate("/x", function() end,
          { unsendable = print })
      end
      assert(not ref and (code == "load" or code == "unsendable"))
    end]], 500, 3000 },
  ["isolates that fail"] = { UP .. [[
    local function work()
      cluster:spawnIsolate(function(context)
        context:onError(function() end)
        error { ("x"):rep(1000) }
      end)
      assert(cluster:wait(60))
    end]], 500, 2000 },
  ["clusters"] = { [[
    local function work()
      local one = IsolateCluster.singleNode()
      one.onIsolateDown:listen(function() end)
      one:spawnIsolate(function(context) context:onMessage(print) end)
      assert(one:shutdown(60))
    end]], 300, 1000 },
  ["messages"] = { UP .. [[
    local sink = cluster:spawnIsolate("/sink", function(context)
      local count = 0
      context:onMessage(function(value, message)
        count = count + 1
        if value == "count" then message:reply(count) end
      end)
    end)
    local function work(i)
      sink:send { i, text = ("x"):rep(100), ref = sink }
      if i % 1000 == 0 then
        assert(sink:request("count", { timeout = 60 }) == i + i // 1000)
      end
    end]], 20000, 100000 },
  ["requests"] = { UP .. [[
    local echo = cluster:spawnIsolate("/echo", function(context)
      context:onMessage(function(value, message) message:reply(value) end)
    end)
    local function work(i)
      assert(echo:request({ i }, { timeout = 60 })[1] == i)
    end]], 2000, 10000 },
  ["requests that are not answered"] = { UP .. [[
    local deaf = cluster:spawnIsolate("/deaf", function(context)
      context:onMessage(function() end)
    end)
    local function work()
      assert(select(3, deaf:request("x", { timeout = 0 })) == "timeout")
    end]], 1000, 5000 },
  ["refs, look-ups and messages to the dead"] = { UP .. [[
    local dead = cluster:spawnIsolate(function() end)
    cluster:wait()
    cluster:spawnIsolate("/living", function(context)
      context:onMessage(function() end)
    end)
    local function work()
      assert(select(3, dead:send "x") == "gone")
      assert(#cluster:lookupIsolates "/" == 1)
      assert(cluster:lookupIsolate "/living".alive)
    end]], 2000, 20000 },
  ["times eight deaths by CPU time"] = { DEATHS .. [[
    local entries = {
      function() while true do end end,
      function() while true do pcall(error) end end,
      function() local _ = (""):rep(1 << 60) end,
      function()
        local _ = ("a"):rep(50):find(("a?"):rep(50) .. ("a"):rep(50))
      end,
      function()
        local file <close> = io.open "/dev/null"
        setmetatable({}, { __gc = function() while true do end end })
        collectgarbage()
      end,
    }
    local function work() die(entries, { cpu = 0.002 }, "cpu") end]], 25, 150 },
  ["times eight deaths by memory"] = { DEATHS .. [[
    local entries = {
      function()
        local t = {}
        local function hoard() while true do t[#t + 1] = {} end end
        while true do pcall(hoard) end
      end,
      function()
        local s = "x"
        local function double() while true do s = s .. s end end
        while true do pcall(double) end
      end,
      function(context)
        local function flood() context.isolateRef:send "x" end
        while true do pcall(flood) end
      end,
      function()
        local t = {}
        local function make() t[#t + 1] = coroutine.create(print) end
        while true do pcall(make) end
      end,
    }
    local function work() die(entries, { memory = "2MB" }, "memory") end]],
    25, 150 },
  ["times eight deaths by a C stack overflow"] = { DEATHS .. [[
    local function entry()
      local coroutines = {}
      local function closeNext(i)
        if coroutines[i] then coroutine.close(coroutines[i]) end
      end
      for i = 1, 3000 do
        coroutines[i] = coroutine.create(function()
          local _ <close> = setmetatable({}, { __close = function()
            closeNext(i + 1)
          end })
          coroutine.yield()
        end)
        coroutine.resume(coroutines[i])
      end
      closeNext(1)
    end
    local function work() die({ entry }, {}, "stack") end]], 25, 150 },
  ["listeners and timers of an isolate"] = { UP .. [[
    local ref = cluster:spawnIsolate(function(context)
      context:onMessage(function(value, message)
        for _ = 1, 100 do
          context.onIsolateUp:listen(print):cancel()
          context:after(3600, print):cancel()
          context.onIsolateDown:where(print):map(print):listen(print):cancel()
        end
        coroutine.wrap(function() coroutine.yield() end)()
        context:sleep(0)
        message:reply(true)
      end)
    end)
    local function work()
      assert(ref:request("x", { timeout = 60 }))
    end]], 200, 1000 },
}

-- What stderr says of each isolate that a limit has ended.
local DEATH = "isolate%-cluster: /%d+ ended %(%l+%): [^\n]*\n"

-- A sanitizer's stacks have room for so many; more take it too long. There
-- limits_spec.lua overflows one.
if command.SANITIZED then
  WORKS["times eight deaths by a C stack overflow"] = nil
end

describe("nothing is left of", function()
  local FILES = {
    ["module.lua"] = "return function() end",
    ["broken.lua"] = "local big = ('x'):rep(10000) error(big)",
  }

  local runs = {}

  setup(function()
    for name, work in pairs(WORKS) do
      local code, first, rounds = table.unpack(work)
      local script = SCRIPT:format(SPARE_THREADS, code, first // FEWER,
        rounds // FEWER)
      runs[name] = command.start(script, { files = FILES })
    end
  end)

  for name, work in pairs(WORKS) do
    local _, first, rounds = table.unpack(work)

    it(rounds .. " " .. name, function()
      local result = runs[name]:finish()

      local report = name:match "deaths" and DEATH or ""
      assert.equal("", (result.stderr:gsub(report, "")))
      assert.equal(0, result.status)
      local threads, files, size =
        result.stdout:match "^(%-?%d+)\t(%-?%d+)\t(%-?%d+)\n"
      local limit = (rounds - first) * BYTES_A_ROUND / 1024
      local least = name:match "deaths" and LEAST_KIB_OF_DEATHS or LEAST_KIB
      if command.SANITIZED then limit = SANITIZED_KIB end
      assert.is_true(tonumber(threads) <= SPARE_THREADS, threads .. " threads")
      assert.is_true(tonumber(files) <= 0, files .. " descriptors")
      assert.is_true(tonumber(size) < math.max(limit, least), size .. " KiB")
    end)
  end
end)
