-- command_spec.lua - isolate-cluster as a person at a shell meets it: what it
-- says, its exit status, and what signals do.

local command = require "spec.support.command"
local shell = require "spec.support.shell"

-- Far more than the promised timeout and a second.
local GENEROUS = 30 -- seconds

-- What runs when the signal comes: [isolate] is the body of an entry, [host]
-- what the script does afterwards. Each says "ready" once.
local SCRIPT = [[
local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode { stuckAfter = false }
cluster:spawnIsolate("/isolate", function(context)
  %s
end)
%s
]]

local LISTENS = [[
  context:onMessage(function() end)
  context.onShutdownRequest = function()
    io.write "asked"
    context:shutdownIsolate()
  end]]

local READY = [[ print "ready" ]]

-- Isolates and scripts that agree at once.
local AGREEABLE = {
  ["the script waits"] = { LISTENS, READY .. "cluster:wait()" },
  ["the script is done"] = { LISTENS, READY },
  ["the script waits for a reply"] = { LISTENS, READY
    .. "cluster:lookupIsolate('/isolate'):request('x', { timeout = 3600 })" },
  ["the script waits for an event"] = { LISTENS, READY
    .. "cluster.onIsolateUp:next()" },
  ["the script waits again and again"] = { LISTENS, READY
    .. "while true do cluster:wait(0.01) end" },
  ["the script loops"] = { LISTENS, READY .. "while true do end" },
  ["the script loops in pcalls"] = { LISTENS, READY
    .. "while true do pcall(function() while true do end end) end" },
  ["the script loops in a coroutine"] = { LISTENS, READY
    .. "while true do coroutine.wrap(function() while true do end end)() end" },
  ["the script loops in a listener"] = { LISTENS, [[
    cluster.onIsolateUp:listen(function() print "ready" while true do end end)
    cluster:spawnIsolate(function(context) end)
    cluster:wait()]] },
  ["the script sleeps in C"] = { LISTENS, READY .. "os.execute 'sleep 1000'" },
  ["the script reads from a program"] = { LISTENS, READY
    .. "io.popen('sleep 1000'):read()" },
}

-- Isolates that have to be stopped.
local STUBBORN = {
  ["an isolate ignores it"] = {
    READY .. "context.onShutdownRequest = function() end", "" },
  ["an isolate loops"] = { READY .. "while true do end", "" },
  ["an isolate and the script loop"] = { READY .. "while true do end",
    "while true do end" },
  ["an isolate sleeps in C"] = { READY .. "os.execute 'sleep 1000'", "" },
  ["an isolate and the script sleep in C"] = {
    READY .. "os.execute 'sleep 1000'", "os.execute 'sleep 1000'" },
  ["the script shuts down, and would wait for long"] = {
    [[context.onShutdownRequest = function() print "ready" end]],
    "cluster:shutdown(3600)" },
  ["an isolate runs programs"] = {
    READY .. "while true do os.execute 'true' end", "" },
}

-- Starts every script at once and sends the signals when each is ready, as most
-- of them take the whole timeout of 5 seconds.
local function startAll(scripts, signals)
  local runs = {}
  for _, signal in ipairs(signals) do
    for name, parts in pairs(scripts) do
      runs[signal .. name] =
        command.start(SCRIPT:format(table.unpack(parts)))
    end
  end
  for _, signal in ipairs(signals) do
    for name in pairs(scripts) do
      runs[signal .. name]:expect "ready"
      runs[signal .. name]:signal(signal)
    end
  end
  return runs
end

local SIGNALS = { "INT", "TERM" }
local stubborn, unread

-- First of all, so that the rest of the file runs meanwhile.
setup(function()
  stubborn = startAll(STUBBORN, SIGNALS)
  unread = command.start([[
    local IsolateCluster = require "isolate_cluster"
    local cluster = IsolateCluster.singleNode()
    cluster:spawnIsolate(function()
      while true do print(("x"):rep(10000)) end
    end)
    os.execute "echo ready >&3"
    cluster:wait()
  ]], { before = "mkfifo full; exec 4<>full 3>&1", stdout = "full" })
  unread:expect "ready"
  unread:signal "TERM"
end)

describe("isolate-cluster", function()
  local function run(arguments)
    local program = shell.quote(command.PATH)
    local output, status = shell.run(program .. " " .. arguments)
    return output, status
  end

  it("--version tells its version, and Lua's", function()
    local output, status = run "--version"

    assert.matches("^isolate%-cluster %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$",
      output)
    assert.equal(0, status)
  end)

  it("--help tells how to use it, on stdout", function()
    local output, status = run "--help 2>/dev/null"

    assert.matches("usage: isolate%-cluster run", output)
    assert.matches("SIGTERM", output)
    assert.matches("Exit status", output)
    assert.equal(0, status)
  end)

  for arguments, complaint in pairs {
    [""] = "what is to be done",
    ["run"] = "which file",
    ["walk x.lua"] = "unknown command: walk",
    ["x.lua"] = "unknown command: x.lua",
    ["--fast"] = "unknown",
    ["run --fast x.lua"] = "unknown option: %-%-fast",
    ["run -x"] = "unknown option: %-x",
  } do
    it(("%q is wrong usage, which stderr explains"):format(arguments),
      function()
        local output, status = run(arguments .. " 2>&1 >/dev/null")

        assert.matches("^isolate%-cluster: .*" .. complaint, output)
        assert.matches("\nusage: isolate%-cluster run", output)
        assert.equal(2, status)
        assert.equal("", (run(arguments .. " 2>/dev/null")))
      end)
  end

  it("says which file it can't open", function()
    local output, status = run "run no/such/file.lua"

    assert.matches("^isolate%-cluster: cannot open no/such/file.lua", output)
    assert.equal(1, status)
  end)
end)

describe("isolate-cluster run", function()
  it("ends with status 0 when the script is done", function()
    assert.same({ "", 0 }, { command.run("").stdout, command.run("").status })
  end)

  it("gives the script its arguments, in arg and in ...", function()
    local result = command.run([[
      print(arg[0], #arg, arg[1], arg[2], arg[3], ...)
      local first = 0
      while arg[first - 1] do first = first - 1 end
      print(arg[first]:match "isolate%-cluster$", arg[first + 1])
    ]], { arguments = "one 'two words' --three" })

    assert.equal("script.lua\t3\tone\ttwo words\t--three\t"
      .. "one\ttwo words\t--three\nisolate-cluster\trun\n", result.stdout)
  end)

  it("runs a script that begins with #!", function()
    local result = command.run "#!/usr/bin/env isolate-cluster\nprint 'ran'"

    assert.equal("ran\n", result.stdout)
  end)

  it("shows an uncaught error with a traceback", function()
    local result = command.run [[
      local function deep() error "out of luck" end
      deep()
    ]]

    assert.matches("^isolate%-cluster: script.lua:1: out of luck\n"
      .. "stack traceback:\n.*in local 'deep'", result.stderr)
    assert.equal(1, result.status)
  end)

  it("shows an error of any type", function()
    for raised, told in pairs {
      ["{}"] = "error object is a table value",
      ["nil"] = "error object is a nil value",
      ["setmetatable({}, { __tostring = function() return 'text' end })"] =
        "text",
      ["setmetatable({}, { __tostring = function() error 'no' end })"] = "no",
    } do
      local result = command.run("error(" .. raised .. ")")

      assert.matches("^isolate%-cluster: .*" .. told, result.stderr)
      assert.equal(1, result.status)
    end
  end)

  it("shows a syntax error", function()
    local result = command.run "x = = 1"

    assert.matches("^isolate%-cluster: script.lua:1: unexpected symbol",
      result.stderr)
    assert.equal(1, result.status)
  end)

  it("ends with the status of os.exit, isolates or not", function()
    assert.equal(7, command.run("os.exit(7)").status)
    assert.equal(1, command.run("os.exit(false, true)").status)
    assert.equal(3, command.run([[
      local cluster = require("isolate_cluster").singleNode()
      cluster:spawnIsolate(function() while true do end end)
      os.exit(3)
    ]]).status)
  end)

  it("goes on until no isolate is left", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate(function(context)
        context:sleep(0.05)
        context:spawnIsolate(function(child)
          child:sleep(0.05)
          print "the last"
        end)
      end)
      print "the script is done"
    ]]

    assert.equal("the script is done\nthe last\n", result.stdout)
    assert.equal(0, result.status)
  end)

  it("waits for the isolates of every cluster", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      for i = 1, 3 do
        IsolateCluster.singleNode():spawnIsolate(function(context)
          context:sleep(context:property "seconds")
          print(context:property "seconds")
        end, { seconds = i / 50 })
      end
    ]]

    local lines = shell.lines(result.stdout)
    table.sort(lines)
    assert.same({ "0.02", "0.04", "0.06" }, lines)
  end)

  it("calls the script's listeners to the end", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      local count = 0
      cluster.onIsolateDown:listen(function(ref, reason)
        print(ref.path, reason)
        count = count + 1
        if count < 3 then
          cluster:spawnIsolate("/next" .. count, function() end)
        else
          IsolateCluster.singleNode():spawnIsolate(function() print "other" end)
        end
      end)
      cluster:spawnIsolate("/first", function() end)
    ]]

    assert.equal("/first\tdone\n/next1\tdone\n/next2\tdone\nother\n",
      result.stdout)
  end)

  it("asks the isolates to end after an error of the script", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate(function(context)
        context:onMessage(function() end)
        context.onShutdownRequest = function()
          print "asked"
          context:shutdownIsolate()
        end
      end)
      error "out"
    ]]

    assert.equal("asked\n", result.stdout)
    assert.matches("script.lua:10: out", result.stderr)
    assert.equal(1, result.status)
  end)

  it("shows an error of a listener and goes on", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster.onIsolateDown:listen(function() error "in a listener" end)
      cluster:spawnIsolate(function() end)
      cluster:wait()
      print "went on"
    ]]

    assert.matches("in a listener\nstack traceback:", result.stderr)
    assert.equal("went on\n", result.stdout)
  end)

  it("ends with status 0 when an isolate has failed", function()
    local result = command.run [[
      local cluster = require("isolate_cluster").singleNode()
      cluster:spawnIsolate(function() error "alone" end)
    ]]

    assert.matches("alone", result.stderr)
    assert.equal(0, result.status)
  end)
end)

describe("a signal", function()
  local agreeable

  setup(function() agreeable = startAll(AGREEABLE, SIGNALS) end)

  for _, signal in ipairs(SIGNALS) do
    for name in pairs(AGREEABLE) do
      it("SIG" .. signal .. " shuts the cluster down while " .. name, function()
        local result = agreeable[signal .. name]:finish()

        assert.equal("ready\nasked", result.stdout)
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
        assert.is_true(result.seconds < GENEROUS)
      end)
    end

    for name in pairs(STUBBORN) do
      it("SIG" .. signal .. " ends the process though " .. name, function()
        local result = stubborn[signal .. name]:finish()

        assert.equal("ready\n", result.stdout)
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
        assert.is_true(result.seconds < GENEROUS)
      end)
    end

    it("SIG" .. signal .. " ends a script without a cluster", function()
      local run = command.start [[ print "ready" while true do end ]]
      run:expect "ready"
      run:signal(signal)
      local result = run:finish()

      assert.equal("", result.stderr)
      assert.equal(signal == "INT" and 130 or 143, result.status)
    end)
  end

  it("that comes again ends the process at once", function()
    local run = command.start(SCRIPT:format([[
      context.onShutdownRequest = function() print "asked" end]],
      [[print "ready"]]))
    run:expect "ready"
    run:signal "TERM"
    run:expect "asked"
    run:signal "INT"
    local result = run:finish()

    assert.equal(130, result.status)
  end)

  it("that comes again ends a process that does nothing but C", function()
    local run = command.start(SCRIPT:format([[
      context.onShutdownRequest = function() end
      context:spawnIsolate(function() os.execute "sleep 1000" end)
    ]], [[print "ready" os.execute "sleep 1000"]]))
    run:expect "ready"
    run:signal "INT"
    -- Another one, as two of a kind may come as one; either may come first.
    shell.check("kill -s TERM " .. run.id)
    local result = run:finish()

    assert.is_true(result.status == 130 or result.status == 143)
  end)

  it("ends a process whose output nobody takes", function()
    local result = unread:finish()

    assert.equal(0, result.status)
    assert.is_true(result.seconds < GENEROUS)
  end)

  it("reaches a process that was started with it ignored", function()
    local run = command.start(SCRIPT:format(LISTENS, READY),
      { before = "trap '' INT TERM" })
    run:expect "ready"
    run:signal "INT"

    assert.equal("ready\nasked", run:finish().stdout)
  end)
end)
