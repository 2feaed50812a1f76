-- limits_spec.lua - isolates that would take all: each is ended as its limits
-- say, beside witnesses that go on talking and lose nothing.
--
-- How soon is for the bench; here a deadline only shows what hangs.

local IsolateCluster = require "isolate_cluster"
-- luacheck: ignore 241 431 511

local DEADLINE = 60 -- seconds
local MESSAGES = 200 -- of each witness

-- Sends numbers to its partner, which sends them back, and tells when one is
-- missing; the next goes out when one has come back.
local function witness(context)
  local partner = context.properties.partner
  if not partner then
    context:onMessage(function(value, message) message:reply(value) end)
    return
  end
  for i = 1, context.properties.count do
    local reply, text = partner:request(i, { timeout = 60 })
    if reply ~= i then error(text or "a wrong reply") end
  end
end

local CPU = { cpu = 0.05 }

-- Each function is the entry of an isolate with a limit of CPU time.
local LOOPS = {
  ["loops"] = function() while true do end end,
  ["loops in pcalls"] = function()
    local function loop() while true do end end
    while true do pcall(pcall, loop) end
  end,
  ["loops in message handlers"] = function()
    local function handler() while true do xpcall(error, handler) end end
    xpcall(error, handler)
  end,
  ["loops in a coroutine"] = function()
    while true do
      coroutine.wrap(function() while true do pcall(error) end end)()
    end
  end,
  ["makes coroutines in each other"] = function()
    local function dive() return coroutine.wrap(dive)() end
    while true do pcall(dive) end
  end,
  ["loops in __close"] = function()
    local _ <close> = setmetatable({}, { __close = function()
      while true do end
    end })
  end,
  ["loops in __gc"] = function()
    setmetatable({}, { __gc = function() while true do end end })
    collectgarbage()
  end,
  ["loops in __gc at its end"] = function()
    setmetatable({}, { __gc = function() while true do end end })
  end,
  ["loops in __index"] = function()
    local t = setmetatable({}, {})
    getmetatable(t).__index = function(_, key) return t[key] end
    while true do pcall(function() return t.x end) end
  end,
  ["loops in the __tostring of its error"] = function()
    error(setmetatable({}, { __tostring = function() while true do end end }))
  end,
  ["loops in a debug hook"] = function()
    debug.sethook(function() while true do end end, "l")
    local _ = 1
  end,
  ["sets hooks of its own in a hook"] = function()
    debug.sethook(function() while true do debug.sethook() end end, "l")
    local _ = 1
  end,
  ["matches a pattern for ages"] = function()
    local _ = ("a"):rep(50):find(("a?"):rep(50) .. ("a"):rep(50))
  end,
  ["replaces in a pattern for ages"] = function()
    local _ = ("a"):rep(60):gsub(("a*"):rep(30) .. "b", "")
  end,
  ["moves a table for ages"] = function() table.move({}, 1, 1 << 50, 2) end,
  ["repeats nothing for ages"] = function() local _ = (""):rep(1 << 60) end,
  ["concatenates nothing for ages"] = function()
    table.concat(setmetatable({}, {
      __len = function() return 1 << 40 end,
      __index = function() return "" end,
    }))
  end,
  ["sorts with an order that is none"] = function()
    local t = {}
    for i = 1, 1000 do t[i] = i end
    while true do pcall(table.sort, t, function() return true end) end
  end,
  ["sorts with a comparator that loops"] = function()
    table.sort({ 1, 2, 3 }, function() while true do end end)
  end,
  ["matches a pattern for ages, and has a C module"] = function()
    require "lfs"
    local _ = ("a"):rep(50):find(("a?"):rep(50) .. ("a"):rep(50))
  end,
  ["loads from an endless reader"] = function()
    load(function() return " " end)
  end,
  ["formats again and again"] = function()
    while true do string.format("%99.99f", 1 / 3) end
  end,
  ["packs again and again"] = function()
    while true do string.unpack("z", string.pack("z", "text")) end
  end,
  ["sends to itself in a loop"] = function(context)
    while true do context.isolateRef:send { 1, context.isolateRef } end
  end,
  ["spawns in a loop"] = function(context)
    while true do context:spawnIsolate(function() end) end
  end,
  ["loops in a timer"] = function(context)
    context:after(0, function() while true do end end)
  end,
  ["loops in a listener"] = function(context)
    context:onMessage(function() while true do end end)
    context.isolateRef:send "go"
  end,
}

-- Likewise with a limit of memory.
local HOARDS = {
  ["hoards tables"] = function()
    local t = {}
    while true do t[#t + 1] = {} end
  end,
  ["hoards tables in pcalls"] = function()
    local t = {}
    while true do
      pcall(function() while true do t[#t + 1] = {} end end)
    end
  end,
  ["hoards strings"] = function()
    local t = {}
    for i = 1, math.huge do t[i] = ("x"):rep(1000) .. i end
  end,
  ["hoards coroutines"] = function()
    local t = {}
    while true do t[#t + 1] = coroutine.create(function() end) end
  end,
  ["hoards closures"] = function()
    local t = {}
    while true do
      local n = #t
      t[n + 1] = function() return n end
    end
  end,
  ["hoards finalizers"] = function()
    local t = {}
    while true do
      t[#t + 1] = setmetatable({}, { __gc = function() end })
    end
  end,
  ["doubles a string"] = function()
    local s = "x"
    while true do s = s .. s end
  end,
  ["wants a huge string"] = function() local _ = ("x"):rep(1 << 30) end,
  ["wants a huge string, in a pcall"] = function()
    while true do pcall(string.rep, "x", 1 << 30) end
  end,
  ["concatenates to a huge string"] = function()
    local t = {}
    for i = 1, 10000 do t[i] = "x" end
    table.concat(t, ("y"):rep(100000))
  end,
  ["replaces to a huge string"] = function()
    local _ = ("x"):rep(100000):gsub("x", ("y"):rep(100000))
  end,
  ["recurses"] = function()
    local function dive() return 1 + dive() end
    local function hoard(t) return hoard { t, pcall(dive) } end
    hoard {}
  end,
}

describe("An isolate with limits", function()
  local cluster, ends

  before_each(function()
    ends = {}
    cluster = IsolateCluster.singleNode()
    cluster.onIsolateDown:listen(function(ref, reason, err)
      ends[ref.path] = { reason = reason, text = err and err.message or "" }
    end)
  end)

  after_each(function()
    assert.is_true(cluster:shutdown(DEADLINE))
  end)

  -- Runs the entry beside witnesses; how it ended, and how they did.
  local function runBesideWitnesses(entry, limits)
    local partner = assert(cluster:spawnIsolate("/partner", witness))
    assert(cluster:spawnIsolate("/witness", witness,
      { partner = partner, count = MESSAGES }))
    assert(cluster:spawnIsolate("/hostile", entry, nil, limits))
    local deadline = os.time() + DEADLINE
    while os.time() < deadline and not (ends["/hostile"] and ends["/witness"])
    do
      cluster:wait(0.01)
    end
    assert.equal("done", ends["/witness"] and ends["/witness"].reason)
    assert.is_true(partner.alive)
    return ends["/hostile"] or { reason = "still there" }
  end

  for name, entry in pairs(LOOPS) do
    it("is ended for its CPU time when it " .. name, function()
      local stop = runBesideWitnesses(entry, CPU)

      assert.equal("cpu", stop.reason)
      assert.matches("over its limit of 0.05 s of CPU time for one message",
        stop.text, 1, true)
    end)
  end

  for name, entry in pairs(HOARDS) do
    it("is ended for its memory when it " .. name, function()
      local stop = runBesideWitnesses(entry, { memory = "4MB" })

      assert.equal("memory", stop.reason)
      assert.matches("limit of 4 MB", stop.text, 1, true)
    end)
  end

  for _, thread in ipairs { "own", "shared" } do
    it("is ended for what waits in its mailbox, where its thread is " .. thread,
    function()
      local stop = runBesideWitnesses(function(context)
        local ref = context.isolateRef
        context:onMessage(function()
          ref:send(1)
          ref:send(1)
        end)
        ref:send(1)
      end, { memory = "4MB", thread = thread })

      assert.equal("memory", stop.reason)
      assert.matches("limit of 4 MB", stop.text, 1, true)
    end)
  end

  it("is ended though it never handles what others send", function()
    local ref = assert(cluster:spawnIsolate("/busy", function(context)
      context:onMessage(function() while true do end end)
    end, nil, { memory = "4MB" }))
    local text = ("x"):rep(10000)
    local deadline = os.time() + DEADLINE
    while not ends["/busy"] and os.time() < deadline do
      ref:send(text)
      cluster:wait(0)
    end

    assert.equal("memory", ends["/busy"] and ends["/busy"].reason)
  end)

  it("is told at which line it was", function()
    local stop = runBesideWitnesses(function() while true do end end, CPU)

    assert.matches("^[^:]*limits_spec.lua:%d+: over its limit", stop.text)
  end)

  it("may take its time again for each message", function()
    local ref = assert(cluster:spawnIsolate("/worker", function(context)
      local n = 0
      context:onMessage(function(_, message)
        local deadline = os.clock() + 0.002
        while os.clock() < deadline do n = n + 1 end
        message:reply(true)
      end)
    end, nil, { cpu = 10 }))

    for _ = 1, 50 do assert(ref:request(1, { timeout = DEADLINE })) end

    assert.is_true(ref.alive)
  end)

  it("has a time for its whole life", function()
    local stop = runBesideWitnesses(function(context)
      context:every(0, function() for _ = 1, 100000 do end end)
    end, { cpuTotal = 0.1 })

    assert.equal("cpu", stop.reason)
    assert.matches("over its limit of 0.1 s of CPU time in all", stop.text, 1,
      true)
  end)

  it("has its time though each turn is too short to be seen", function()
    local stop = runBesideWitnesses(function(context)
      local function again() context:after(0, again) end
      again()
    end, { cpuTotal = 0.1, thread = "own" })

    assert.equal("cpu", stop.reason)
  end)

  it("has its time in the pool, too", function()
    local stop = runBesideWitnesses(function(context)
      context:onMessage(function() context.isolateRef:send(1) end)
      context.isolateRef:send(1)
    end, { cpuTotal = 0.1, thread = "shared" })

    assert.equal("cpu", stop.reason)
  end)

  it("has its time in the pool, too, in short turns now and then", function()
    local stop = runBesideWitnesses(function(context)
      context:every(0.001, function() end)
    end, { cpuTotal = 0.005, thread = "shared" })

    assert.equal("cpu", stop.reason)
  end)

  it("sees an error while there is room left, and may go on", function()
    local ref = assert(cluster:spawnIsolate("/saver", function(context)
      local function hoard()
        local t = {}
        while true do t[#t + 1] = {} end
      end
      context:onMessage(function(_, message)
        local ok, text = pcall(hoard)
        message:reply { ok, text }
      end)
    end, nil, { memory = "4MB" }))

    for _ = 1, 5 do
      local reply = assert(ref:request(1, { timeout = DEADLINE }))
      assert.is_false(reply[1])
      assert.matches("limits_spec.lua:%d+: not enough memory: the isolate is "
        .. "at its limit of 4 MB", reply[2])
    end
  end)

  it("stays not at its limit of memory, where it catches the error", function()
    local stop = runBesideWitnesses(function(context)
      local kept = {}
      local function hoard() while true do kept[#kept + 1] = {} end end
      context:onMessage(function() pcall(hoard) end)
      context.isolateRef:send "once"
    end, { memory = "4MB" })

    assert.equal("memory", stop.reason)
    assert.matches("over its limit of 4 MB of memory", stop.text)
  end)

  it("may make garbage without end", function()
    local ref = assert(cluster:spawnIsolate("/tidy", function(context)
      context:onMessage(function(_, message)
        for i = 1, 200000 do local _ = { i, tostring(i) } end
        for _ = 1, 20 do local _ = ("x"):rep(500000) end
        message:reply(true)
      end)
    end, nil, { memory = "4MB" }))

    assert.is_true(ref:request(1, { timeout = DEADLINE }))
  end)

  it("takes the cluster's limits, but for what its spawn says", function()
    local limited = IsolateCluster.singleNode { limits = { memory = "4MB" } }
    local function hoard()
      local t = {}
      for i = 1, 200000 do t[i] = { i } end
    end
    local reasons = {}
    limited.onIsolateDown:listen(function(ref, reason)
      reasons[ref.path] = reason
    end)

    limited:spawnIsolate("/limited", hoard)
    limited:spawnIsolate("/free", hoard, nil, { memory = false })
    assert.is_true(limited:wait(DEADLINE))
    limited:shutdown()

    assert.same({ ["/limited"] = "memory", ["/free"] = "done" }, reasons)
  end)

  it("is ended when its C stack is at its end", function()
    local stop = runBesideWitnesses(function()
      local coroutines = {}
      local function closeNext(i)
        if coroutines[i] then coroutine.close(coroutines[i]) end
      end
      for i = 1, 20000 do
        coroutines[i] = coroutine.create(function()
          local _ <close> = setmetatable({}, { __close = function()
            closeNext(i + 1)
          end })
          coroutine.yield()
        end)
        coroutine.resume(coroutines[i])
      end
      closeNext(1)
    end)

    assert.equal("stack", stop.reason)
    assert.matches("^[^:]*limits_spec.lua:%d+: C stack overflow, in its entry$",
      stop.text)
  end)

  it("leaves no file open", function()
    local function countFiles()
      local list <close> = assert(io.popen("ls /proc/$PPID/fd | wc -l"))
      return list:read "n"
    end
    local before = countFiles()

    local stop = runBesideWitnesses(function()
      local files = {}
      for i = 1, 10 do files[i] = io.open "/dev/null" end
      return files, ("a"):rep(50):find(("a?"):rep(50) .. ("a"):rep(50))
    end, CPU)

    assert.equal("cpu", stop.reason)
    -- The thread that looks for stuck isolates may have one open for a moment.
    local deadline = os.time() + DEADLINE
    local after
    repeat after = countFiles() until after == before or os.time() > deadline
    assert.equal(before, after)
  end)
end)

describe("An isolate without limits", function()
  it("keeps little garbage, though all of it has finalizers", function()
    local cluster = IsolateCluster.singleNode()
    local ref = assert(cluster:spawnIsolate("/answers", function(context)
      local most = 0 -- KB
      context:onMessage(function(_, message)
        most = math.max(most, collectgarbage "count")
        message:reply(most)
      end)
    end))
    assert(cluster:spawnIsolate("/asks", function(context)
      local answers = context:lookupIsolate "/answers"
      for i = 1, 100000 do assert(answers:request(i, { timeout = 60 })) end
    end))
    cluster:settle(DEADLINE)

    local most = assert(ref:request(1, { timeout = DEADLINE }))

    assert.is_true(most < 700, most .. " KB")
    cluster:shutdown(DEADLINE)
  end)
end)
