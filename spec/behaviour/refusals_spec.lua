-- refusals_spec.lua - what a person reads who has misused a call, or asks a
-- node that is down. Each text that is raised names the caller's line, which
-- refusal.of looks at. Refusals of one thing are with that thing, as in
-- paths_spec.lua.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

local raised = refusal.of

local function asMethod(call, object, got)
  return ("%s is a method: write %s(...), with a colon (%s expected before "
    .. "it, got %s)"):format(call, call, object, got)
end

describe("The module", function()
  it("sets no global", function()
    local names = {}
    for name in pairs(_G) do names[#names + 1] = name end
    for _, name in ipairs(names) do
      assert.is_nil(tostring(name):lower():match "isolate")
    end
  end)

  it("refuses options of singleNode that it does not know", function()
    local text = raised(function()
      IsolateCluster.singleNode { nodes = 4 }
    end)

    assert.equal("unknown option the string 'nodes' of singleNode; it knows "
      .. "isolates, limits, sandbox, stuckAfter, thread, threads", text)
  end)

  it("refuses options of singleNode that are no table", function()
    assert.equal("the options of singleNode must be a table, got the string "
      .. "'fast'", raised(function() IsolateCluster.singleNode "fast" end))
  end)

  it("refuses a colon before singleNode", function()
    assert.equal("write IsolateCluster.singleNode(...), with a dot",
      raised(function() IsolateCluster:singleNode() end))
  end)

  it("refuses to encode nothing and to decode no string", function()
    assert.equal("IsolateCluster.encode wants a value, got nothing",
      raised(function() IsolateCluster.encode() end))
    assert.equal("what IsolateCluster.decode reads must be a string, got nil",
      raised(function() IsolateCluster.decode() end))
    assert.equal("what IsolateCluster.decode reads must be a string, got 5",
      raised(function() IsolateCluster.decode(5) end))
  end)
end)

describe("A cluster", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  it("refuses a spawn without an entry", function()
    local wanted = "the entry must be a function, a module name, a .lua "
      .. "file or a supervisor, got "

    assert.equal(wanted .. "nil",
      raised(function() cluster:spawnIsolate() end))
    assert.equal(wanted .. "5",
      raised(function() cluster:spawnIsolate(5) end))
    assert.equal(wanted .. "a table",
      raised(function() cluster:spawnIsolate({}, {}) end))
    assert.equal("the entry is an empty string",
      raised(function() cluster:spawnIsolate("/a", "") end))
    assert.matches("^an entry must follow the path '/a': .*, got nil$",
      raised(function() cluster:spawnIsolate "/a" end))
    assert.matches("^an entry must follow the path '/a': .*, got a table$",
      raised(function() cluster:spawnIsolate("/a", {}) end))
    assert.equal("a path must be a string, got 5",
      raised(function() cluster:spawnIsolate(5, function() end) end))
  end)

  it("refuses options of a spawn that it does not know", function()
    local function idle() end

    assert.equal("unknown option the string 'name' of spawnIsolate; it "
      .. "knows cpu, cpuTotal, mailbox, memory, sandbox, thread",
      raised(function()
        cluster:spawnIsolate("/a", idle, {}, { name = "a" })
      end))
    assert.equal("unknown option 1 of spawnIsolate; it knows cpu, "
      .. "cpuTotal, mailbox, memory, sandbox, thread",
      raised(function() cluster:spawnIsolate(idle, nil, { "own" }) end))
    assert.equal("option 'thread' must be 'own' or 'shared', got the string "
      .. "'green'",
      raised(function()
        cluster:spawnIsolate("/a", idle, nil, { thread = "green" })
      end))
    assert.equal("option 'thread' must be 'own' or 'shared', got 4",
      raised(function() cluster:spawnIsolate(idle, {}, { thread = 4 }) end))
    assert.equal("the options of spawnIsolate must be a table, got the "
      .. "string 'own'",
      raised(function() cluster:spawnIsolate(idle, {}, "own") end))
    assert.is_nil(cluster:lookupIsolate "/a")
    assert.equal(1, cluster:stats().live)
  end)

  it("refuses a dot instead of a colon", function()
    assert.equal(asMethod("cluster:spawnIsolate", "cluster", "a function"),
      raised(function() cluster.spawnIsolate(function() end) end))
    assert.equal(asMethod("cluster:lookupIsolate", "cluster",
      "the string '/a'"), raised(function() cluster.lookupIsolate "/a" end))
    assert.equal(asMethod("cluster:lookupIsolates", "cluster",
      "the string '/'"), raised(function() cluster.lookupIsolates "/" end))
    assert.equal(asMethod("cluster:wait", "cluster", "1"),
      raised(function() cluster.wait(1) end))
    assert.equal(asMethod("cluster:shutdown", "cluster", "nil"),
      raised(function() cluster.shutdown() end))
    assert.equal(asMethod("cluster:stats", "cluster", "a table"),
      raised(function() cluster.stats {} end))
  end)

  it("refuses a timeout that is no number of seconds", function()
    assert.equal("the timeout must be a number of seconds, got the string '5'",
      raised(function() cluster:wait "5" end))
    assert.equal("the timeout must be 0 seconds or more, got -1",
      raised(function() cluster:shutdown(-1) end))
    assert.is_true(cluster.up)
  end)

  it("refuses fields that it does not have", function()
    assert.equal("a cluster has no field the string 'isUp'",
      raised(function() return cluster.isUp, nil end))
    assert.matches("^can't set cluster.up; ",
      raised(function() cluster.up = true end))
    assert.equal("cluster.onIsolateUp must be a function or nil, got 5",
      raised(function() cluster.onIsolateUp = 5 end))
  end)

  it("refuses misuse of its streams", function()
    local stream = cluster.onIsolateUp
    local subscription = stream:listen(function() end)

    assert.equal(asMethod("stream:listen", "stream", "a function"),
      raised(function() stream.listen(function() end) end))
    assert.equal("the listener must be a function, got nil",
      raised(function() stream:listen() end))
    assert.equal("the predicate must be a function, got the string 'x'",
      raised(function() stream:where "x" end))
    assert.equal(asMethod("stream:where", "stream", "a function"),
      raised(function() stream.where(print) end))
    assert.equal("the mapping must be a function, got nil",
      raised(function() stream:map() end))
    assert.equal("the timeout must be a number of seconds, got a table",
      raised(function() stream:next {} end))
    assert.equal(asMethod("stream:next", "stream", "1"),
      raised(function() stream.next(1) end))
    assert.equal(asMethod("stream:iter", "stream", "nil"),
      raised(function() stream.iter() end))
    assert.equal(asMethod("subscription:cancel", "subscription", "nil"),
      raised(function() subscription.cancel() end))
  end)

  it("that is down refuses spawns and look-ups with a code", function()
    assert.is_true(cluster:shutdown(10))

    local wanted = { nil, "the node is down", "down" }
    assert.same(wanted, { cluster:spawnIsolate("/a", function() end) })
    assert.same(wanted, { cluster:spawnIsolate(function() end) })
    assert.same(wanted, { cluster:spawnIsolate "spec.support.idle" })
    assert.same(wanted, { cluster:lookupIsolate "/a" })
    assert.same(wanted, { cluster:lookupIsolates "/" })
    assert.is_false(cluster.up)
  end)

  it("that is down still refuses misuse", function()
    cluster:shutdown(10)

    assert.matches("^malformed path 'a'",
      raised(function() cluster:lookupIsolate "a" end))
    assert.matches("^entry captures",
      raised(function() cluster:spawnIsolate(function() return probe end) end))
  end)

  it("that is shutting down refuses its isolates' spawns", function()
    local heard = {}
    local ref = probe:spawn("/a", function(context)
      context.onShutdownRequest = function()
        context.properties.to:send { context:spawnIsolate("/b", "no") }
        context:shutdownIsolate()
      end
      context:property "probe":send "ready"
    end, { to = probe:spawn("/listener", function(context)
      context.onShutdownRequest = function() end
      context:onMessage(function(value)
        context:shutdownIsolate()
        if value[2] ~= "the node is down" or value[3] ~= "down" then
          error "a spawn was possible"
        end
      end)
    end) })
    probe:heard(1)
    cluster.onIsolateDown:listen(function(down, reason)
      heard[down.path] = reason
    end)

    assert.is_true(cluster:shutdown(10))

    assert.equal("shutdown", heard["/a"])
    assert.equal("shutdown", heard["/listener"])
    assert.is_false(ref.alive)
  end)
end)

describe("A context", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("refuses a dot instead of a colon", function()
    local texts = probe:inside(function(context)
      local of = require("spec.support.refusal").of
      local function idle() end
      return {
        of(function() context.onMessage(idle) end),
        of(function() context.onMessage.listen(idle) end),
        of(function() context.spawnIsolate(idle) end),
        of(function() context.lookupIsolate "/a" end),
        of(function() context.lookupIsolates "/" end),
        of(function() context.shutdownIsolate() end),
        of(function() context.shutdownNode() end),
        of(function() context.shutdownNode(1) end),
      }
    end)

    assert.same({
      "write context:onMessage(fn), with a colon, or "
        .. "context.onMessage:listen(fn)",
      asMethod("stream:listen", "stream", "a function"),
      asMethod("context:spawnIsolate", "context", "a function"),
      asMethod("context:lookupIsolate", "context", "the string '/a'"),
      asMethod("context:lookupIsolates", "context", "the string '/'"),
      asMethod("context:shutdownIsolate", "context", "nil"),
      asMethod("context:shutdownNode", "context", "nil"),
      asMethod("context:shutdownNode", "context", "1"),
    }, texts)
  end)

  it("refuses listeners that are no functions", function()
    local texts = probe:inside(function(context)
      local of = require("spec.support.refusal").of
      return {
        of(function() context:onMessage() end),
        of(function() context:onMessage "handler" end),
        of(function() context:onMessage(print, print) end),
        of(function() context.onMessage = 5 end),
        of(function() context.onMessage:listen {} end),
        of(function() context.onError = "x" end),
      }
    end)

    assert.same({
      "the listener must be a function, got nil",
      "the listener must be a function, got the string 'handler'",
      "context.onMessage takes one function",
      "context.onMessage must be a function or nil, got 5",
      "the listener must be a function, got a table",
      "context.onError must be a function or nil, got the string 'x'",
    }, texts)
  end)

  it("refuses fields that it does not have", function()
    local texts = probe:inside(function(context)
      local of = require("spec.support.refusal").of
      return {
        of(function() return context.onMesage, nil end),
        of(function() context.onMesage = print end),
        of(function() context.path = "/b" end),
        of(function() context.properties = {} end),
        of(function() context:onIsolateUpp(print) end),
      }
    end)

    assert.equal("a context has no field the string 'onMesage'", texts[1])
    assert.matches("^can't set context.onMesage; onMessage, ", texts[2])
    assert.matches("^can't set context.path; ", texts[3])
    assert.matches("^can't set context.properties; ", texts[4])
    assert.equal("a context has no field the string 'onIsolateUpp'", texts[5])
  end)

  it("refuses a spawn's misuse as a cluster does", function()
    local texts = probe:inside(function(context)
      local of = require("spec.support.refusal").of
      local function idle() end
      return {
        of(function() context:spawnIsolate() end),
        of(function() context:spawnIsolate("/a", {}) end),
        of(function()
          context:spawnIsolate(idle, nil, { thread = "green" })
        end),
        of(function() context:spawnIsolate(idle, nil, { cpu = 0 }) end),
        of(function() context:spawnIsolate(function() return idle end) end),
        of(function() context:spawnIsolate("/a", idle, 5) end),
      }
    end)

    assert.matches("^the entry must be a function, .*, got nil$", texts[1])
    assert.matches("^an entry must follow the path '/a'", texts[2])
    assert.equal("option 'thread' must be 'own' or 'shared', got the string "
      .. "'green'", texts[3])
    assert.equal("option 'cpu' must be more than 0 seconds, got 0", texts[4])
    assert.matches("^entry captures 'idle' %(.*refusals_spec.lua:%d+%); pass "
      .. "it as a property or require it inside$", texts[5])
    assert.equal("the properties must be a table or nil, got 5", texts[6])
  end)

  it("is no place to start another cluster", function()
    local text = probe:inside(function()
      return require("spec.support.refusal").of(function()
        require("isolate_cluster").singleNode()
      end)
    end)

    assert.equal("an isolate can't start a cluster; it is in one: use its "
      .. "context", text)
  end)

  it("refuses misuse of a message", function()
    local texts = probe:inside(function(context)
      local of = require("spec.support.refusal").of
      context.isolateRef:send "hello"
      local _, message = context.onMessage:next(10)
      return {
        of(function() message:reply() end),
        of(function() message.reply "x" end),
        of(function() message.value = 1 end),
      }
    end)

    assert.equal("message:reply wants a value, got nothing", texts[1])
    assert.equal("message:reply wants a message before the colon, got string",
      texts[2])
    assert.matches("^attempt to index a", texts[3])
  end)
end)
