-- group_spec.lua - sending to one of many, or to all of them.

local Probe = require "spec.support.probe"

describe("A group", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- Each tells the probe what it is sent; a message "end" ends it.
  local function spawnWorkers(...)
    local refs = {}
    for i, name in ipairs { ... } do
      refs[i] = probe:spawn("/workers/" .. name, function(context)
        context:onMessage(function(value, message)
          if value == "end" then return context:shutdownIsolate() end
          context:property "probe":send {
            context.path, value, message.type, message.correlationId }
        end)
      end)
    end
    return refs
  end

  -- The last segments of those that heard, and what they heard, sorted.
  local function told(count)
    local list = {}
    for i, entry in ipairs(probe:heard(count)) do
      list[i] = entry[1]:match "[^/]+$" .. entry[2]
    end
    table.sort(list)
    return list
  end

  it("sends to one after the other", function()
    spawnWorkers("a", "b", "c")

    probe:inside(function(context)
      local group = context:group "/workers/"
      for i = 1, 7 do assert(group:send(i)) end
    end)

    assert.same({ "a1", "a4", "a7", "b2", "b5", "c3", "c6" }, told(7))
  end)

  it("counts its turns for itself", function()
    spawnWorkers("a", "b")

    probe:inside(function(context)
      local first = context:group("/workers/", { select = "roundRobin" })
      local second = context:group("/workers/", { select = "roundRobin" })
      first:send(1)
      second:send(2)
      first:send(3)
      second:send(4)
    end)

    assert.same({ "a1", "a2", "b3", "b4" }, told(4))
  end)

  it("sends to all", function()
    spawnWorkers("a", "b", "c")

    local answer = probe:inside(function(context)
      return context:group("/workers/", { select = "all" }):send "x"
    end)

    assert.is_true(answer)
    assert.same({ "ax", "bx", "cx" }, told(3))
  end)

  it("sends to whom a function selects", function()
    spawnWorkers("a", "b", "c")

    local counts = probe:inside(function(context)
      local counts = {}
      local group = context:group("/workers/", {
        select = function(refs)
          counts[#counts + 1] = #refs
          return refs[#refs]
        end,
      })
      assert(group:send "x")
      assert(group:send "y")
      return counts
    end)

    assert.same({ 3, 3 }, counts)
    assert.same({ "cx", "cy" }, told(2))
  end)

  it("selects nobody where the function does not", function()
    spawnWorkers "a"

    local answer = probe:inside(function(context)
      local group = context:group("/workers/", {
        select = function() return nil end,
      })
      return { group:send "x" }
    end)

    assert.same({ nil, "the group /workers/ selected nobody", "not found" },
      answer)
  end)

  it("takes the options of a send", function()
    spawnWorkers("a", "b")

    local refused = probe:inside(function(context)
      local options = { type = "t", correlationId = 7 }
      context:group "/workers/":send("x", options)
      context:group("/workers/", { select = "all" }):send("y", options)
      local _, _, code = context:group "/workers/":send { print }
      return code
    end)

    for _, entry in ipairs(probe:heard(3)) do
      assert.same({ "t", 7 }, { entry[3], entry[4] })
    end
    assert.equal("unsendable", refused)
  end)

  it("gives its members a sender to answer", function()
    cluster:spawnIsolate("/workers/echo", "spec.support.echo")

    local value = probe:inside(function(context)
      context:group "/workers/":send "hello"
      return (context.onMessage:next(10))
    end)

    assert.equal("hello", value)
  end)

  it("has members of all depths beneath its prefix, and no others", function()
    spawnWorkers("a", "b/c")
    cluster:spawnIsolate("/workers", "spec.support.idle")
    cluster:spawnIsolate("/workers2/a", "spec.support.idle")

    probe:inside(function(context)
      context:group("/workers/", { select = "all" }):send "x"
    end)

    assert.same({ "ax", "cx" }, told(2))
  end)

  it("without members sends to nobody", function()
    local answers = probe:inside(function(context)
      local answers = {}
      for i, select in ipairs { "roundRobin", "all", function() end } do
        local group = context:group("/nobody/", { select = select })
        answers[i] = { group:send "x" }
      end
      return answers
    end)

    local wanted = { nil, "no isolate beneath /nobody/", "not found" }
    assert.same({ wanted, wanted, wanted }, answers)
  end)

  it("gains members that come up later", function()
    local sender = probe:spawn("/sender", function(context)
      local group = context:group("/workers/", { select = "all" })
      context:onMessage(function(value, message)
        message:reply { group:send(value) }
      end)
    end)

    local before = sender:request("x", { timeout = 10 })
    spawnWorkers("a")
    sender:request("y", { timeout = 10 })
    spawnWorkers("b")
    sender:request("z", { timeout = 10 })

    assert.equal("not found", before[3])
    assert.same({ "ay", "az", "bz" }, told(3))
  end)

  it("loses members that have ended", function()
    local refs = spawnWorkers("a", "b", "c")
    local sender = probe:spawn("/sender", function(context)
      local group = context:group "/workers/"
      context:onMessage(function(value, message)
        message:reply { group:send(value) }
      end)
    end)
    for i = 1, 3 do sender:request(i, { timeout = 10 }) end

    refs[2]:send "end"
    probe:reasonOf(refs[2])
    for i = 4, 7 do sender:request(i, { timeout = 10 }) end

    assert.same({ "a1", "a4", "a6", "b2", "c3", "c5", "c7" }, told(7))
  end)

  it("is refused misuse", function()
    local texts = probe:inside(function(context)
      local raised = require("spec.support.refusal").of
      local group = context:group("/", { select = function() return 5 end })
      return {
        raised(function() context:group() end),
        raised(function() context:group "/workers" end),
        raised(function() context:group("/w/", { selects = "all" }) end),
        raised(function() context:group("/w/", { select = "random" }) end),
        raised(function() context:group("/w/", { select = 1 }) end),
        raised(function() context:group("/w/", { select = false }) end),
        raised(function() context:group("/w/", "all") end),
        raised(function() context.group "/w/" end),
        raised(function() group.send "x" end),
        raised(function() group:send "x" end),
        raised(function() group:send() end),
        raised(function() group:send("x", { kind = "t" }) end),
      }
    end)

    assert.same({
      "a group's prefix must be a string, got nil",
      "malformed path '/workers': a prefix must end in '/'",
      "unknown option the string 'selects' of context:group; "
        .. "it knows select",
      "option 'select' must be \"roundRobin\", \"all\" or a function, got "
        .. "the string 'random'",
      "option 'select' must be \"roundRobin\", \"all\" or a function, got 1",
      "option 'select' must be \"roundRobin\", \"all\" or a function, got "
        .. "false",
      "the options of context:group must be a table, got the string 'all'",
      "context:group is a method: write context:group(...), with a colon "
        .. "(context expected before it, got the string '/w/')",
      "group:send is a method: write group:send(...), with a colon "
        .. "(group expected before it, got the string 'x')",
      "the group's select function must return a ref or nil, got 5",
      "group:send wants a value to send, got nothing",
      "unknown option 'kind'; a send takes type, correlationId and replyTo",
    }, texts)
  end)
end)
