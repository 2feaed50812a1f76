-- errors_spec.lua - an error that nobody caught is read by a person: one block
-- on stderr, with the isolate's path and a traceback, or what onError hears.

local command = require "spec.support.command"

-- Runs [entry], the body of function(context), in the isolate /faulty, sends it
-- "go" if it listens, and waits for its end.
local SCRIPT = [[
local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode { stuckAfter = false }
cluster.onIsolateDown:listen(function(ref, reason) print(ref.path, reason) end)
local ref = cluster:spawnIsolate("/faulty", function(context)
%s
end)
ref:send "go"
ref:send "end"
cluster:wait()
cluster:shutdown()
]]

-- A listener that raises for the first message, and ends for the second.
local HANDLER = [[
context:onMessage(function(value)
  if value == "end" then print "went on" return context:shutdownIsolate() end
  %s
end)]]

local function run(entry, options)
  return command.run(SCRIPT:format(entry), options)
end

-- How many blocks there are, and the first one's text.
local function countBlocks(text)
  return select(2, ("\n" .. text):gsub("\nisolate%-cluster: error in ", ""))
end

local function assertOneBlock(result, pattern)
  assert.matches("^isolate%-cluster: error in /faulty: ", result.stderr)
  assert.matches(pattern, result.stderr)
  assert.matches("\nstack traceback:\n\t.*\n$", result.stderr)
  assert.equal(1, countBlocks(result.stderr))
  assert.equal(0, result.status)
end

local function assertWentOn(result)
  assert.equal("went on\n/faulty\tshutdown\n", result.stdout)
end

describe("an error that nobody catches", function()
  it("in an entry is told, and ends the isolate", function()
    local result = run [[ local x = nil; x.y = 1 ]]

    assertOneBlock(result, "script.lua:5: attempt to index a nil value")
    assert.equal("/faulty\terror\n", result.stdout)
  end)

  it("in an entry behind a wait is told, and ends the isolate", function()
    local result = run [[
      context:onMessage(function() end)
      context:sleep(0)
      error "too late"
    ]]

    assertOneBlock(result, "script.lua:7: too late")
    assert.equal("/faulty\terror\n", result.stdout)
  end)

  it("in a handler is told, and the isolate goes on", function()
    local result = run(HANDLER:format [[ error "bad message" ]])

    assertOneBlock(result, "script.lua:%d+: bad message")
    assertWentOn(result)
  end)

  it("shows where it happened, through all calls", function()
    local result = run(HANDLER:format [[
      local function deepest() error "deep" end
      local function deeper() deepest() end
      deeper()
    ]])

    assert.matches("in upvalue 'deepest'", result.stderr)
    assert.matches("in local 'deeper'", result.stderr)
    assertWentOn(result)
  end)

  it("shows none of the calls that are not the script's", function()
    for _, entry in ipairs { HANDLER:format [[ error "deep" ]],
      [[ error "deep" ]] } do
      local result = run(entry)

      assert.matches("\nstack traceback:\n\t%[C%]: in function 'error'\n"
        .. "\t[^\n]*script.lua:%d+: in function <script.lua:%d+>\n$",
        result.stderr)
    end
  end)

  it("in a handler behind a wait is told", function()
    local result = run [[
      context:onMessage(function(value)
        if value == "last" then return context:shutdownIsolate() end
        context:sleep(0)
        if value == "end" then context.isolateRef:send "last" end
        if value == "go" then error "after a wait" end
      end)
    ]]

    assertOneBlock(result, "script.lua:%d+: after a wait")
    assert.equal("/faulty\tshutdown\n", result.stdout)
  end)

  it("in a timer is told", function()
    local result = run [[
      context:after(0, function() error "in after" end)
      context:after(0.01, function() print "went on" end)
    ]]

    assertOneBlock(result, "script.lua:%d+: in after")
    assert.equal("went on\n/faulty\tdone\n", result.stdout)
  end)

  it("in a repeated timer is told, and the timer goes on", function()
    local result = run [[
      local count, timer = 0, nil
      timer = context:every(0, function()
        count = count + 1
        if count == 3 then timer:cancel() end
        error("round " .. count)
      end)
    ]]

    assert.equal(3, countBlocks(result.stderr))
    assert.matches("round 3", result.stderr)
    assert.equal("/faulty\tdone\n", result.stdout)
  end)

  it("in one of several listeners keeps none from its event", function()
    local result = run [[
      context:onMessage(function(value) print("first", value) end)
      context:onMessage(function() error "in the second" end)
      context:onMessage(function(value)
        print("third", value)
        if value == "end" then context:shutdownIsolate() end
      end)
    ]]

    assert.equal(2, countBlocks(result.stderr))
    assert.equal("first\tgo\nthird\tgo\nfirst\tend\nthird\tend\n"
      .. "/faulty\tshutdown\n", result.stdout)
  end)

  it("in a listener of another event is told", function()
    local result = run [[
      context.onIsolateUp:listen(function(ref)
        error("up of " .. ref.path)
      end)
      context.onIsolateDown:listen(function(ref)
        context:shutdownIsolate()
        error("down of " .. ref.path)
      end)
      context:spawnIsolate("/child", function() end)
    ]]

    assert.equal(2, countBlocks(result.stderr))
    assert.matches("up of /child", result.stderr)
    assert.matches("down of /child", result.stderr)
  end)

  it("in a wrapped coroutine is told", function()
    local result = run(HANDLER:format [[
      coroutine.wrap(function() error "in a coroutine" end)()
    ]])

    assertOneBlock(result, "script.lua:%d+: in a coroutine")
    assertWentOn(result)
  end)

  it("in a resumed coroutine is the resumer's matter", function()
    local result = run(HANDLER:format [[
      print(coroutine.resume(coroutine.create(function() error("x", 0) end)))
    ]])

    assert.equal("", result.stderr)
    assert.equal("false\tx\nwent on\n/faulty\tshutdown\n", result.stdout)
  end)

  it("is a yield that nobody would resume", function()
    local result = run(HANDLER:format [[ coroutine.yield() ]])

    assertOneBlock(result, "coroutine.yield outside of a coroutine")
    assertWentOn(result)
  end)

  it("of a C function says so", function()
    local result = run(HANDLER:format [[ ("x"):rep(1, {}) ]])

    assertOneBlock(result, "bad argument #2 to 'rep'")
    assertWentOn(result)
  end)

  it("in a file names the file", function()
    local result = command.run([[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode { stuckAfter = false }
      cluster:spawnIsolate("/faulty", "entry.lua")
      cluster:wait()
    ]], { files = { ["entry.lua"] = "\n\nerror 'in a file'" } })

    assertOneBlock(result, "entry.lua:3: in a file")
  end)
end)

describe("an error value", function()
  -- What the isolate raises, and what a person is told.
  local VALUES = {
    ["a number"] = { "42", "42" },
    ["nil"] = { "nil", "error object is a nil value" },
    ["false"] = { "false", "error object is a boolean value" },
    ["a table"] = { "{}", "error object is a table value" },
    ["a function"] = { "print", "error object is a function value" },
    ["a table with __tostring"] = {
      "setmetatable({}, { __tostring = function() return 'as text' end })",
      "as text" },
    ["a table whose __tostring raises"] = {
      "setmetatable({}, { __tostring = function() error 'no' end })",
      "error object is a table value" },
    ["a table whose __tostring gives no string"] = {
      "setmetatable({}, { __tostring = function() return {} end })",
      "error object is a table value" },
    ["a table whose __tostring waits"] = {
      "setmetatable({}, { __tostring = function() context:sleep(0) end })",
      "error object is a table value" },
    ["a table whose metatable hides itself"] = {
      "setmetatable({}, { __metatable = false,"
        .. " __tostring = function() return 'hidden' end })", "hidden" },
    ["an empty string"] = { "''", "error in /faulty: script.lua:7: \n" },
    ["a string of several lines"] = { "'one\\ntwo'", "one\ntwo" },
    ["a long string"] = { "('x'):rep(100000)", ("x"):rep(1000) },
  }
  local runs = {}

  setup(function()
    for name, value in pairs(VALUES) do
      local entry = HANDLER:format("error(" .. value[1] .. ")")
      runs[name] = command.start(SCRIPT:format(entry))
    end
  end)

  for name, value in pairs(VALUES) do
    it("that is " .. name .. " is told", function()
      local result = runs[name]:finish()

      assertOneBlock(result, value[2])
      assertWentOn(result)
    end)
  end

  it("may be anything in an entry too", function()
    for _, value in ipairs { "nil", "{}", "42" } do
      local result = run("error(" .. value .. ")")

      assert.equal(1, countBlocks(result.stderr))
      assert.equal("/faulty\terror\n", result.stdout)
    end
  end)
end)

describe("an error of the runtime:", function()
  it("a stack overflow is told", function()
    local result = run(HANDLER:format [[
      local function dive() return 1 + dive() end
      dive()
    ]])

    assertOneBlock(result, "stack overflow")
    assertWentOn(result)
  end)

  it("an overflow of the C stack is told", function()
    local result = run(HANDLER:format [[
      local function dive() return (("x"):gsub(".", dive)) end
      dive()
    ]])

    assertOneBlock(result, "C stack overflow")
    assertWentOn(result)
  end)

  it("an error in a message handler is told", function()
    local result = run(HANDLER:format [[
      error(select(2, xpcall(error, function() error "again" end)))
    ]])

    assert.equal(1, countBlocks(result.stderr))
    assertWentOn(result)
  end)

  it("a string that is too large is told", function()
    local result = run(HANDLER:format [[ ("x"):rep(math.maxinteger) ]])

    assertOneBlock(result, "resulting string too large")
    assertWentOn(result)
  end)

  it("memory that is not there ends the isolate", function()
    local result = run(HANDLER:format [[
      io.open("/dev/null"):read(1 << 46)
    ]], {
      -- AddressSanitizer's allocator gives up where malloc only fails.
      environment = "ASAN_OPTIONS=$ASAN_OPTIONS:allocator_may_return_null=1 "
        .. "TSAN_OPTIONS=$TSAN_OPTIONS:allocator_may_return_null=1",
    })

    assert.equal("/faulty\tmemory\n", result.stdout)
  end)
end)

describe("an error while something ends:", function()
  it("of a finalizer is a warning", function()
    local result = run(HANDLER:format [[
      setmetatable({}, { __gc = function() error "in a finalizer" end })
      collectgarbage()
    ]])

    assert.matches("isolate%-cluster: warning in /faulty: .*in a finalizer",
      result.stderr)
    assertWentOn(result)
  end)

  it("of a finalizer at the isolate's end is a warning", function()
    local result = run [[
      kept = setmetatable({}, { __gc = function() error "at the end" end })
    ]]

    assert.matches("warning in /faulty: .*at the end", result.stderr)
    assert.equal("/faulty\tdone\n", result.stdout)
  end)

  it("of a __close is told", function()
    local result = run(HANDLER:format [[
      local _ <close> = setmetatable({}, { __close = function()
        error "in a close"
      end })
    ]])

    assertOneBlock(result, "script.lua:%d+: in a close")
    assertWentOn(result)
  end)

  it("of a __close at the isolate's end is told", function()
    local result = run [[
      context:onMessage(function() context:shutdownIsolate() end)
      local _ <close> = setmetatable({}, { __close = function()
        error "in a late close"
      end })
      context:sleep(3600)
    ]]

    assert.matches("error in /faulty: .*in a late close", result.stderr)
    assert.equal("/faulty\tshutdown\n", result.stdout)
  end)

  it("of onShutdownRequest is told, and is no agreement", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode { stuckAfter = false }
      cluster:spawnIsolate("/faulty", function(context)
        context.onShutdownRequest = function() error "no" end
      end)
      cluster:settle()
      print(cluster:shutdown(2)) -- in which a busy machine comes to ask it
    ]]

    assertOneBlock(result, "script.lua:%d+: no")
    assert.equal("false\n", result.stdout)
  end)
end)

describe("context.onError", function()
  it("hears of an error instead of stderr", function()
    local result = run([[
      context:onError(function(err)
        print(err.message)
        print(err.traceback:match "^(.-)\nstack traceback:\n" == err.message)
      end)
    ]] .. HANDLER:format [[ error "heard" ]])

    assert.equal("", result.stderr)
    assert.equal("script.lua:11: heard\ntrue\nwent on\n/faulty\tshutdown\n",
      result.stdout)
  end)

  it("hears of an entry's error", function()
    local result = run [[
      context.onError = function(err) print(err.message) end
      error "in the entry"
    ]]

    assert.equal("", result.stderr)
    assert.equal("script.lua:6: in the entry\n/faulty\terror\n", result.stdout)
  end)

  it("hears of every kind of code", function()
    local result = run [[
      context:onError(function(err) print(err.message) end)
      context:after(0, function() error("timer", 0) end)
      context:onMessage(function(value)
        if value == "end" then context:shutdownIsolate() end
        error(value, 0)
      end)
      context:sleep(0)
    ]]

    assert.equal("", result.stderr)
    assert.matches("go\n", result.stdout)
    assert.matches("end\n", result.stdout)
  end)

  it("always gets texts", function()
    local result = run([[
      context:onError(function(err)
        print(type(err.message), type(err.traceback))
      end)
    ]] .. HANDLER:format [[ error {} ]])

    assert.equal("string\tstring\nwent on\n/faulty\tshutdown\n", result.stdout)
  end)

  it("with several listeners calls each", function()
    local result = run([[
      context:onError(function(err) print("first", err.message) end)
      context:onError(function(err) print("second", err.message) end)
    ]] .. HANDLER:format [[ error("twice", 0) ]])

    assert.equal("", result.stderr)
    assert.equal("first\ttwice\nsecond\ttwice\nwent on\n/faulty\tshutdown\n",
      result.stdout)
  end)

  it("may wait, and send what it heard", function()
    local result = run([[
      context:onError(function(err)
        context:sleep(0)
        context.isolateRef:send(err)
      end)
      context:onMessage(function(value)
        if type(value) ~= "table" then error("an error", 0) end
        print(value.message)
        context:shutdownIsolate()
      end)
    ]])

    assert.equal("", result.stderr)
    assert.equal("an error\n/faulty\tshutdown\n", result.stdout)
  end)

  it("that raises is told on stderr, and what it heard of", function()
    local result = run([[
      context:onError(function() error "in onError" end)
    ]] .. HANDLER:format [[ error "the first" ]])

    assertOneBlock(result, "in onError")
    assert.matches("the first", result.stderr)
    assertWentOn(result)
  end)

  it("that raises behind a wait is told on stderr", function()
    local result = run [[
      context:onError(function() context:sleep(0) error "in onError" end)
      context:after(0, function() error "the first" end)
    ]]

    assertOneBlock(result, "in onError")
    assert.matches("the first", result.stderr)
    assert.equal("/faulty\tdone\n", result.stdout)
  end)

  it("leaves errors to stderr once it is cancelled", function()
    local result = run([[
      local subscription = context:onError(function() print "heard" end)
      subscription:cancel()
    ]] .. HANDLER:format [[ error "not heard" ]])

    assertOneBlock(result, "not heard")
    assertWentOn(result)
  end)
end)

describe("the code of an isolate", function()
  it("may call its globals as the standard library's are called", function()
    local result = run [[
      type, next, pairs, ipairs, error, select = 1, 2, 3, 4, 5, 6
      tostring, pcall, setmetatable, getmetatable, require = 1, 2, 3, 4, 5
      coroutine, table, debug, math, os, rawget = nil, nil, nil, nil, nil, nil
      context:onMessage(function(value)
        if value == "end" then
          context:sleep(0)
          return context:shutdownIsolate()
        end
        local x = nil
        x()
      end)
    ]]

    assertOneBlock(result, "attempt to call a nil value %(local 'x'%)")
    assert.equal("/faulty\tshutdown\n", result.stdout)
  end)
end)

describe("errors of many isolates", function()
  it("come as whole blocks", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode { stuckAfter = false }
      for i = 1, 8 do
        cluster:spawnIsolate("/faulty/" .. i, function(context)
          context:onMessage(function(value)
            if value == "end" then return context:shutdownIsolate() end
            error(context.path .. "!" .. ("x"):rep(5000) .. context.path, 0)
          end)
        end)
      end
      for _, ref in ipairs(cluster:lookupIsolates "/faulty/") do
        for _ = 1, 20 do ref:send "go" end
        ref:send "end"
      end
      cluster:wait()
    ]]

    local whole = 0
    for path, first, last in ("\n" .. result.stderr):gmatch(
      "\nisolate%-cluster: error in (%S+): (%S-)!x+(%S+)\nstack traceback:") do
      if path == first and path == last then whole = whole + 1 end
    end
    assert.equal(160, whole)
  end)
end)
