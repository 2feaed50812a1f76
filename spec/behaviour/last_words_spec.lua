-- last_words_spec.lua - an isolate that a limit has ended can't say so itself:
-- one line says who it was, why it ended, where it was, and what it was on.

local command = require "spec.support.command"
local Scratch = require "spec.support.scratch"
local testing = require "isolate_cluster.testing"
-- luacheck: ignore 511

local DEADLINE = 60 -- seconds

-- A pattern for the place that is so many lines below the beginning of fn.
local function lineIn(fn, below)
  return (".*last_words_spec.lua:%d"):format(
    debug.getinfo(fn, "S").linedefined + below)
end

local function loop(context)
  context:onMessage(function() while true do end end)
end

local function hoard()
  local t = {}
  while true do pcall(function() while true do t[#t + 1] = {} end end) end
end

local function dive()
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
end

describe("The end of an isolate by a limit", function()
  local cluster

  before_each(function() cluster = testing.cluster() end)
  after_each(function() testing.finish() end)

  -- Spawns the entry at /worker; all that is reported once nobody is left.
  local function reportsOf(entry, options, message, type)
    local ref = assert(cluster:spawnIsolate("/worker", entry, nil, options))
    if message then ref:send(message, { type = type }) end
    assert.is_true(cluster:wait(DEADLINE))
    return cluster:errors()
  end

  local function assertOneLine(pattern, reports)
    assert.equal(1, #reports)
    assert.equal("/worker", reports[1].path)
    assert.matches(pattern, reports[1].text)
    assert.is_nil(reports[1].text:find "\n")
  end

  it("of CPU time names the line, the limit and the message", function()
    local reports = reportsOf(loop, { cpu = 0.05 }, "go", "import")

    assertOneLine("^/worker ended %(cpu%): " .. lineIn(loop, 1) .. ": over its "
      .. 'limit of 0.05 s of CPU time for one message, on a message of type '
      .. '"import"$', reports)
  end)

  it("names who sent the message", function()
    assert(cluster:spawnIsolate("/ui", function(context)
      context.properties.worker:send "go"
    end, { worker = assert(cluster:spawnIsolate("/worker", loop, nil,
      { cpu = 0.05 })) }))
    assert.is_true(cluster:wait(DEADLINE))

    assertOneLine("message, on a message from /ui$", cluster:errors())
  end)

  it("in C code says what it was on", function()
    local reports = reportsOf(function(context)
      context:after(0, function()
        local _ = ("a"):rep(50):find(("a?"):rep(50) .. ("a"):rep(50))
      end)
    end, { cpu = 0.05 })

    assertOneLine("^/worker ended %(cpu%): over its limit of 0.05 s of CPU "
      .. "time for one message, on a timer$", reports)
  end)

  it("in a finalizer says so", function()
    local reports = reportsOf(function()
      setmetatable({}, { __gc = function() while true do end end })
    end, { cpu = 0.05 })

    assertOneLine("in finalizers, at its end$", reports)
  end)

  it("of memory names the line and the limit", function()
    local reports = reportsOf(hoard, { memory = "4MB" })

    assertOneLine("^/worker ended %(memory%): " .. lineIn(hoard, 2) .. ": over "
      .. "its limit of 4 MB of memory, in its entry$", reports)
  end)

  it("of memory names the line whose error it had no memory to tell of",
    function()
      local function double()
        local t = {}
        while true do table.insert(t, #t) end
      end
      local reports = reportsOf(double, { memory = "4MB" })

      -- Where there was memory enough after all, it has a traceback.
      assert.equal(1, #reports)
      assert.matches(lineIn(double, 2) .. ": [no]", reports[1].text)
    end)

  it("of memory says that its mailbox holds most of it", function()
    local ref = assert(cluster:spawnIsolate("/worker", function(context)
      context.onMessage:next()
      context:sleep(math.huge)
    end, nil, { memory = "4MB" }))
    while ref:send(("x"):rep(1000)) do end
    assert.is_true(cluster:wait(DEADLINE))

    assertOneLine("^/worker ended %(memory%): over its limit of 4 MB of "
      .. "memory, most of which waits in its mailbox$", cluster:errors())
  end)

  it("of the C stack names the line", function()
    assertOneLine("^/worker ended %(stack%): .*last_words_spec.lua:%d+: C "
      .. "stack overflow, in its entry$", reportsOf(dive))
  end)

  it("is one line where others watch, too, and comes before they hear of it",
    function()
      local heard
      cluster.onIsolateDown:listen(function(_, _, err)
        heard = { err.message, #cluster:errors() }
      end)

      local reports = reportsOf(loop, { cpu = 0.05 }, "go")

      assert.equal(1, #reports)
      assert.same({ reports[1].text:match "%): (.*)$", 1 }, heard)
    end)

  it("is not told twice where an error told of it", function()
    local reports = reportsOf(function()
      local t = {}
      while true do table.insert(t, {}) end
    end, { memory = "4MB" })

    assert.equal(1, #reports)
    assert.matches("not enough memory: the isolate is at its limit of 4 MB\n",
      reports[1].text, 1, true)
  end)

  it("while it loads is told to who spawns it, and to nobody else", function()
    local scratch = Scratch.new()
    scratch:write("endless.lua", "while true do end")
    local path = package.path
    package.path = scratch:path "?.lua"

    local outcome = table.pack(cluster:spawnIsolate("/worker", "endless", nil,
      { cpu = 0.05 }))

    package.path = path
    scratch:remove()
    assert.same({ nil, "the isolate was ended while it loaded: cpu", "cpu",
      n = 3 }, outcome)
    assert.same({}, cluster:errors())
  end)

  it("by a kill is no such end", function()
    local other = testing.cluster()
    other:spawnIsolate("/worker", function() while true do end end)

    other:shutdown(0)

    assert.same({}, other:errors())
  end)
end)

describe("Where nobody captures it, the end by a limit", function()
  it("is a line on stderr", function()
    local result = command.run [[
      local cluster = require "isolate_cluster".singleNode()
      cluster:spawnIsolate("/worker", function() while true do end end, nil,
        { cpu = 0.05 })
    ]]

    assert.equal("isolate-cluster: /worker ended (cpu): script.lua:2: over its "
      .. "limit of 0.05 s of CPU time for one message, in its entry\n",
      result.stderr)
    assert.equal(0, result.status)
  end)
end)
