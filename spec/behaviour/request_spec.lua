-- request_spec.lua - asking and waiting for the answer, or for none.

local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

describe("A request", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- Answers when it is told to: a message of type "now" makes it reply to all
  -- questions so far, with their own values.
  local function spawnSlow(path)
    return probe:spawn(path, function(context)
      local questions = {}
      context:onMessage(function(value, message)
        if message.type ~= "now" then
          questions[#questions + 1] = message
          return
        end
        for _, question in ipairs(questions) do
          question:reply(question.content)
        end
        questions = {}
        message:reply(value)
      end)
    end)
  end

  it("of a host script gets its reply", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")

    assert.equal("hello", echo:request("hello", { timeout = 10 }))
    assert.equal("again", echo:request "again")
  end)

  it("of an isolate gets its reply", function()
    cluster:spawnIsolate("/echo", "spec.support.echo")

    local reply = probe:inside(function(context)
      return context:lookupIsolate("/echo"):request({ a = { 1 } },
        { timeout = 10 })
    end)

    assert.same({ a = { 1 } }, reply)
  end)

  it("may be answered with nil or false", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")

    local withNil = table.pack(echo:request(nil, { timeout = 10 }))
    local withFalse = table.pack(echo:request(false, { timeout = 10 }))

    assert.is_nil(withNil[1])
    assert.is_nil(withNil[2])
    assert.is_false(withFalse[1])
    assert.is_nil(withFalse[2])
  end)

  it("is a message with a type and someone to reply to", function()
    local viewer = probe:spawn("/viewer", function(context)
      context:onMessage(function(value, message)
        message:reply {
          value = value, type = message.type, sender = message.sender,
          hasReplyTo = message.replyTo ~= nil,
        }
      end)
    end)

    local ofHost = viewer:request("v", { type = "question", timeout = 10 })
    local ofIsolate, isolate = probe:inside(function(context)
      local reply = context:lookupIsolate("/viewer"):request "v"
      return reply, context.isolateRef
    end)

    assert.same({ value = "v", type = "question", hasReplyTo = true }, ofHost)
    assert.equal(isolate, ofIsolate.sender)
    assert.is_nil(ofIsolate.type)
    assert.is_true(ofIsolate.hasReplyTo)
  end)

  it("gives nil, a text and a code when its time is up", function()
    local idle = cluster:spawnIsolate("/idle", "spec.support.idle")

    local ofHost = { idle:request("hello", { timeout = 0.01 }) }
    local ofIsolate = probe:inside(function(context)
      return { context:lookupIsolate("/idle"):request("hello",
        { timeout = 0.01 }) }
    end)

    local wanted = { nil, "no reply from /idle in 0.01 s", "timeout" }
    assert.same(wanted, ofHost)
    assert.same(wanted, ofIsolate)
  end)

  it("may have no time at all", function()
    local idle = cluster:spawnIsolate("/idle", "spec.support.idle")

    assert.equal("timeout", (select(3, idle:request("hello", { timeout = 0 }))))
  end)

  it("never gets the late reply of another", function()
    local slow = spawnSlow "/slow"

    local ofHost = { slow:request("late", { timeout = 0.01 }) }
    local next = slow:request("next", { type = "now", timeout = 10 })

    assert.equal("timeout", ofHost[3])
    assert.equal("next", next)
    assert.equal(1, cluster:stats().lateReplies)
  end)

  it("whose reply is late counts it and delivers it to nobody", function()
    local slow = spawnSlow "/slow"
    local asker = probe:spawn("/asker", function(context)
      local report = context:property "probe"
      context:onMessage(function(value, message)
        if message.type == "ask" then
          local answer = { value:request("late", { timeout = 0.01 }) }
          report:send { "timed out", answer[3] }
          -- What comes after this reply came after the late one.
          report:send { "next", value:request("next", { type = "now",
            timeout = 10 }) }
        else
          report:send { "message", value }
        end
      end)
    end)

    asker:send(slow, { type = "ask" })
    asker:send "a message"

    local heard = probe:heard(3)
    table.sort(heard, function(a, b) return a[1] < b[1] end)
    assert.same({ { "message", "a message" }, { "next", "next" },
      { "timed out", "timeout" } }, heard)
    local stats = cluster:stats()
    assert.equal(1, stats.isolates["/asker"].lateReplies)
    assert.equal(1, stats.lateReplies)
  end)

  it("gets the first of two replies; the second is late", function()
    local ref = probe:spawn("/twice", function(context)
      context:onMessage(function(_, message)
        message:reply "first"
        message:reply "second"
      end)
    end)

    local reply, nextReply, late = probe:inside(function(context)
      local twice = context:lookupIsolate "/twice"
      return twice:request(nil, { timeout = 10 }),
        twice:request(nil, { timeout = 10 })
    end)

    assert.same({ "first", "first" }, { reply, nextReply })
    assert.is_nil(late)
    assert.is_true(ref.alive)
  end)

  it("may be one of many at once", function()
    spawnSlow "/slow"

    local replies = probe:inside(function(context)
      local slow = context:lookupIsolate "/slow"
      local replies, count = {}, 0
      local function ask(i)
        local reply = slow:request("value " .. i, { timeout = 10 })
        replies[i], count = reply, count + 1
        if count == 20 then context.isolateRef:send "all" end
      end
      for i = 1, 20 do coroutine.wrap(ask)(i) end
      slow:send(nil, { type = "now" })
      -- The reply to that message, or "all".
      repeat local value = context.onMessage:next(10) until value == "all"
      return replies
    end)

    local wanted = {}
    for i = 1, 20 do wanted[i] = "value " .. i end
    assert.same(wanted, replies)
  end)

  it("lets other messages be handled while it waits", function()
    local slow = spawnSlow "/slow"
    local asker = probe:spawn("/asker", function(context)
      local report = context:property "probe"
      context:onMessage(function(value, message)
        if message.type == "ask" then
          report:send("reply " .. value:request("q", { timeout = 10 }))
        else
          report:send(value)
        end
      end)
    end)

    asker:send(slow, { type = "ask" })
    asker:send "meanwhile"
    probe:heard(1)
    slow:send(nil, { type = "now" })

    assert.same({ "meanwhile", "reply q" }, probe:heard(2))
  end)

  it("lets the host's listeners be called while it waits", function()
    local slow = spawnSlow "/slow"
    local replies = {}
    cluster.onIsolateUp:listen(function(ref)
      replies[1] = ref.path
      slow:send(nil, { type = "now" })
    end)

    probe:spawn("/new", function() end)
    replies[2] = slow:request("q", { timeout = 10 })

    assert.same({ "/new", "q" }, replies)
  end)

  it("may be made in a listener of the host", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")
    local reply
    cluster.onIsolateUp:listen(function(ref)
      if ref.path == "/new" then
        reply = echo:request("hello", { timeout = 10 })
      end
    end)

    cluster:spawnIsolate("/new", "spec.support.idle")
    while not reply do assert(echo:request(true, { timeout = 10 })) end

    assert.equal("hello", reply)
  end)

  it("may be made while another is being answered", function()
    cluster:spawnIsolate("/echo", "spec.support.echo")
    local front = probe:spawn("/front", function(context)
      local echo = context:lookupIsolate "/echo"
      context:onMessage(function(value, message)
        message:reply { echo:request(value, { timeout = 10 }), "via front" }
      end)
    end)

    assert.same({ "q", "via front" }, front:request("q", { timeout = 10 }))
  end)

  it("may be handed on with replyTo to one that answers", function()
    cluster:spawnIsolate("/back", "spec.support.echo")
    local front = probe:spawn("/front", function(context)
      local back = context:lookupIsolate "/back"
      context:onMessage(function(value, message)
        back:send({ "from the back", value }, { replyTo = message.replyTo })
      end)
    end)

    local ofHost = front:request("q", { timeout = 10 })
    local ofIsolate = probe:inside(function(context)
      return context:lookupIsolate("/front"):request("i", { timeout = 10 })
    end)

    assert.same({ "from the back", "q" }, ofHost)
    assert.same({ "from the back", "i" }, ofIsolate)
  end)

  it("may be answered by whoever is sent its replyTo", function()
    local back = probe:spawn("/back", function(context)
      context:onMessage(function(value) value.to:send(value.text) end)
    end)
    local front = probe:spawn("/front", function(context)
      local ref = context:property "back"
      context:onMessage(function(value, message)
        ref:send { to = message.replyTo, text = value .. " answered" }
      end)
    end, { back = back })

    assert.equal("q answered", front:request("q", { timeout = 10 }))
    local ofIsolate = probe:inside(function(context)
      return context:lookupIsolate("/front"):request("i", { timeout = 10 })
    end)
    assert.equal("i answered", ofIsolate)
  end)

  it("to an isolate that has ended is not sent", function()
    local ref = probe:spawn("/a", function() end)
    probe:reasonOf(ref)

    local ofHost = { ref:request "hello" }
    local ofIsolate = probe:inside(function(context)
      return { context:property("gone"):request "hello" }
    end, { gone = ref })

    local wanted = { nil, "the isolate /a has ended", "gone" }
    assert.same(wanted, ofHost)
    assert.same(wanted, ofIsolate)
  end)

  it("that its isolate never read before it ended is gone", function()
    local ref = probe:spawn("/a", function(context)
      repeat local go = context:lookupIsolate "/go" until go
    end)
    local asker = probe:spawn("/asker", function(context)
      context:property "probe":send "asks"
      context:property "probe":send {
        context:property("to"):request("q", { timeout = 10 }) }
    end, { to = ref })
    probe:heard(1)

    cluster:spawnIsolate("/go", "spec.support.idle")

    local answer = probe:heard(2)[2]
    assert.is_nil(answer[1])
    assert.equal("gone", answer[3])
    assert.equal("done", probe:reasonOf(asker))
  end)

  it("to itself is answered if its handlers answer", function()
    local reply = probe:inside(function(context)
      local subscription = context.onMessage:listen(function(value, message)
        message:reply { "answered", value }
      end)
      local reply = context.isolateRef:request("q", { timeout = 10 })
      subscription:cancel()
      return reply
    end)

    assert.same({ "answered", "q" }, reply)
  end)

  it("knows its options only", function()
    local idle = cluster:spawnIsolate("/idle", "spec.support.idle")

    assert.equal("unknown option the string 'timeOut' of ref:request; "
      .. "it knows timeout, type",
      refusal.of(function() idle:request(1, { timeOut = 1 }) end))
    assert.equal("option 'timeout' must be a number of seconds, got the "
      .. "string '1'",
      refusal.of(function() idle:request(1, { timeout = "1" }) end))
    assert.equal("option 'timeout' must be 0 seconds or more, got -1",
      refusal.of(function() idle:request(1, { timeout = -1 }) end))
    assert.equal("option 'type' must be a string or nil, got 7",
      refusal.of(function() idle:request(1, { type = 7 }) end))
    assert.equal("the options of ref:request must be a table, got 5",
      refusal.of(function() idle:request(1, 5) end))
  end)

  it("wants a ref before its colon", function()
    local idle = cluster:spawnIsolate("/idle", "spec.support.idle")

    assert.equal("ref:request wants a ref before the colon, got the string "
      .. "'hello'", refusal.of(function() idle.request "hello" end))
  end)

  it("wants a value", function()
    local idle = cluster:spawnIsolate("/idle", "spec.support.idle")

    assert.equal("ref:request wants a value to send, got nothing",
      refusal.of(function() idle:request() end))
  end)

  it("that can't wait says so to its caller", function()
    cluster:spawnIsolate("/echo", "spec.support.echo")

    local text = probe:inside(function(context)
      local echo = context:lookupIsolate "/echo"
      return require("spec.support.refusal").of(function()
        table.sort({ 1, 2 }, function()
          local reply = echo:request(1)
          return reply
        end)
      end)
    end)

    assert.matches("^can't wait here: ", text)
  end)
end)
