-- stuck_spec.lua - isolates that are stuck are told of, with where they are.

local command = require "spec.support.command"
local IsolateCluster = require "isolate_cluster"
local refusal = require "spec.support.refusal"

describe("A stuck isolate", function()
  local cluster, stderr

  -- The reports go to stderr too; a file takes them.
  before_each(function()
    stderr = os.tmpname()
    cluster = IsolateCluster.singleNode { stuckAfter = 0.05 }
  end)

  after_each(function()
    cluster:shutdown(0.1)
    os.remove(stderr)
  end)

  local function nextReport(kind)
    local report
    repeat
      report = assert(cluster.onStuck:next(20))
    until not kind or report.kind == kind
    return report
  end

  local function spawn(path, code)
    local file = stderr .. ".lua"
    local handle = assert(io.open(file, "w"))
    handle:write(code)
    handle:close()
    local ref = assert(cluster:spawnIsolate(path, file))
    os.remove(file)
    return ref, file
  end

  it("that loops is told with the line and the message", function()
    local worker = spawn("/worker/3", [[
      local context = ...
      local function parse()
        while true do end
      end
      context:onMessage(function() parse() end)
    ]])
    local ui = spawn("/ui", [[
      local context = ...
      context:onMessage(function(ref) ref:send(1, { type = "import" }) end)
    ]])
    ui:send(worker)

    local report = nextReport()

    assert.equal(worker, report.ref)
    assert.equal("loop", report.kind)
    assert.is_true(report.seconds >= 0.05)
    assert.matches("^/worker/3 busy for %d+%.%d s on a message of type "
      .. "\"import\" from /ui: .*%.lua:3 in function 'parse'$", report.text)
  end)

  it("is told again while it lasts", function()
    local worker = spawn("/w", [[
      local context = ...
      context:onMessage(function(_, message)
        local _ = message
        while true do end
      end)
    ]])
    worker:send(1)

    local first, second = nextReport(), nextReport()

    assert.is_true(second.seconds >= 1.5 * first.seconds)
    assert.matches("on a message: .*%.lua:4 in ", second.text)
  end)

  it("that loops in its entry, or a timer, is told so", function()
    spawn("/entry", "while true do end")
    assert.matches("^/entry busy for .* in its entry: .*:1 in ",
      nextReport().text)

    spawn("/timer", "(...):after(0, function() while true do end end)")
    local text
    repeat text = nextReport().text until text:match "^/timer"
    assert.matches("^/timer busy for .* on a timer: .*:1 in ", text)
  end)

  it("that blocks is told with the function", function()
    spawn("/blocked", "os.execute 'sleep 0.5'")

    local report = nextReport()

    assert.equal("blocked", report.kind)
    assert.matches("^/blocked blocked for .* s in os.execute", report.text)
  end)

  it("that waits for an answer, with messages unread, is told", function()
    cluster:spawnIsolate("/silent", function(context)
      context:onMessage(function() end)
    end)
    local waiter = spawn("/waiter", [[
      local context = ...
      local silent = context:lookupIsolate "/silent"
      silent:request("q", { timeout = 3600 })
    ]])
    waiter:send "unread"

    local report = nextReport "waiting"

    assert.equal(waiter, report.ref)
    assert.matches("^/waiter waits for .* s for an answer from /silent, with "
      .. "1 message unread: .*%.lua:3 in the main chunk$", report.text)
  end)

  it("goes on as before, with the script's own hooks", function()
    local worker = cluster:spawnIsolate("/w", function(context)
      context:onMessage(function(_, message)
        local calls = 0
        debug.sethook(function() calls = calls + 1 end, "", 1000)
        local stop = os.clock() + 0.5
        while os.clock() < stop do end
        local before = calls
        for _ = 1, 100000 do end
        message:reply(calls > before)
      end)
    end)
    local report
    cluster.onStuck = function(told) report = told end

    local reply = worker:request(1, { timeout = 60 })

    assert.is_true(reply)
    assert.equal("loop", report and report.kind)
  end)

  it("is not told where nothing is stuck", function()
    local count = 0
    cluster.onStuck = function() count = count + 1 end
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")

    local stop = os.time() + 1
    while os.time() < stop do echo:request(1, { timeout = 10 }) end

    assert.equal(0, count)
  end)

  it("is told on stderr", function()
    local run = command.start [[
      local cluster = require("isolate_cluster").singleNode {
        stuckAfter = 0.05 }
      cluster:spawnIsolate("/looping", function() while true do end end)
      cluster.onStuck:next(20)
      cluster:shutdown(0.01)
    ]]

    local result = run:finish()

    assert.matches("isolate%-cluster: /looping busy for ", result.stderr)
  end)

  it("is told after a number of seconds, or never", function()
    for _, never in ipairs { false, 0 } do
      IsolateCluster.singleNode { stuckAfter = never }:shutdown()
    end
    assert.equal("option 'stuckAfter' must be 0 seconds or more, or false, "
      .. "got the string '5'", refusal.of(function()
        IsolateCluster.singleNode { stuckAfter = "5" }
      end))
  end)
end)
