-- messages_spec.lua - what a handler gets, in which order, and what it can
-- answer.

local Probe = require "spec.support.probe"

describe("A message", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- An isolate that tells the probe what it sees of each message.
  local function spawnViewer(path)
    return probe:spawn(path, function(context)
      context:onMessage(function(value, message)
        context:property "probe":send {
          value = value, content = message.content, sender = message.sender,
          replyTo = message.replyTo, type = message.type,
          correlationId = message.correlationId,
        }
      end)
    end)
  end

  it("is sent with true for an answer", function()
    local ref = spawnViewer "/viewer"

    assert.is_true(ref:send "hello")
    assert.is_true(ref:send("hello", {}))
    assert.is_true(ref:send("hello", nil))
  end)

  it("from a host script has no sender", function()
    local ref = spawnViewer "/viewer"

    ref:send "hello"

    assert.same({ { value = "hello", content = "hello" } }, probe:heard(1))
  end)

  it("from an isolate has its sender, which is who gets the reply", function()
    local viewer = spawnViewer "/viewer"

    local sender = probe:inside(function(context)
      context:lookupIsolate "/viewer":send { 1, 2 }
      return context.isolateRef
    end)

    local seen = probe:heard(1)[1]
    assert.same({ 1, 2 }, seen.value)
    assert.same({ 1, 2 }, seen.content)
    assert.equal(sender, seen.sender)
    assert.equal(sender, seen.replyTo)
    assert.is_true(viewer.alive)
  end)

  it("has the type and the correlationId that it was sent with", function()
    local ref = spawnViewer "/viewer"

    ref:send("a", { type = "greeting", correlationId = 42 })
    ref:send("b", { type = "" })
    ref:send("c", { correlationId = { part = { 1, 2 } } })
    ref:send("d", { correlationId = false })

    local seen = probe:heard(4)
    assert.same({ value = "a", content = "a", type = "greeting",
      correlationId = 42 }, seen[1])
    assert.same({ value = "b", content = "b", type = "" }, seen[2])
    assert.same({ value = "c", content = "c",
      correlationId = { part = { 1, 2 } } }, seen[3])
    assert.same({ value = "d", content = "d", correlationId = false }, seen[4])
  end)

  it("may name another for the reply", function()
    local ref = spawnViewer "/viewer"
    local other = cluster:spawnIsolate("/other", "spec.support.idle")

    ref:send("hello", { replyTo = other })

    local seen = probe:heard(1)[1]
    assert.is_nil(seen.sender)
    assert.equal(other, seen.replyTo)
  end)

  it("is answered with a message to whom it came from", function()
    cluster:spawnIsolate("/echo", "spec.support.echo")

    local got = probe:inside(function(context)
      local echo = context:lookupIsolate "/echo"
      echo:send("hello", { correlationId = "c7" })
      local value, message = context.onMessage:next(10)
      return { value = value, sender = message.sender.path,
        correlationId = message.correlationId }
    end)

    assert.same({ value = "hello", sender = "/echo", correlationId = "c7" },
      got)
  end)

  it("is answered to the one that it names", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")

    echo:send("hello", { replyTo = probe.ref })

    assert.same({ "hello" }, probe:heard(1))
  end)

  it("of a host script can't be answered", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function(_, message)
        context:property "probe":send { message:reply "hello" }
      end)
    end)

    ref:send "hello"

    assert.same({ { nil, "the message has no sender to reply to",
      "not found" } }, probe:heard(1))
  end)

  it("says whether its reply was sent", function()
    local answers = probe:inside(function(context)
      local function answer(inner)
        inner:onMessage(function(_, message)
          inner:property "to":send { message:reply "hello" }
        end)
      end
      local child = context:spawnIsolate("/child", answer,
        { to = context:property "probe" })
      child:send "question"
      return (context.onMessage:next(10))
    end)

    assert.equal("hello", answers)
    assert.same({ { true } }, probe:heard(1))
  end)

  it("to an isolate that has ended is not sent", function()
    local ref = probe:spawn("/a", function() end)
    probe:reasonOf(ref)

    local answer = { ref:send "hello" }

    assert.same({ nil, "the isolate /a has ended", "gone" }, answer)
  end)

  it("can be kept, and answered later", function()
    local ref = probe:spawn("/a", function(context)
      local kept
      context:onMessage(function(value, message)
        if kept then
          kept:reply { kept.content, value }
          kept = nil
        else
          kept = message
        end
      end)
    end)

    local reply = probe:inside(function(context)
      local a = context:lookupIsolate "/a"
      a:send "first"
      a:send "second"
      return (context.onMessage:next(10))
    end)

    assert.same({ "first", "second" }, reply)
    assert.is_true(ref.alive)
  end)

  it("keeps its sender, whatever ends and is collected meanwhile", function()
    local keeper = probe:spawn("/keeper", function(context)
      local kept = {}
      context:onMessage(function(value, message)
        kept[#kept + 1] = message
        if value ~= "tell" then return end
        collectgarbage()
        collectgarbage()
        local first = kept[1]
        message:reply { first.content, first.sender.path, first.replyTo.path,
          first.sender == first.replyTo, first.sender.alive,
          (select(3, first:reply "too late")) }
      end)
    end)
    probe:reasonOf(probe:spawn("/gone", function(context)
      context:lookupIsolate "/keeper":send "hello"
    end))

    local told = keeper:request("tell", { timeout = 10 })

    assert.same({ "hello", "/gone", "/gone", true, false, "gone" }, told)
  end)

  it("to itself comes like any other", function()
    local seen = probe:inside(function(context)
      context.isolateRef:send "hello"
      local value, message = context.onMessage:next(10)
      return { value, message.sender == context.isolateRef }
    end)

    assert.same({ "hello", true }, seen)
  end)

  it("is refused a field that it does not have", function()
    local text = probe:inside(function(context)
      context.isolateRef:send "hello"
      local _, message = context.onMessage:next(10)
      return require("spec.support.refusal").of(function()
        return message.contents, nil
      end)
    end)

    assert.equal("a message has no field 'contents'", text)
  end)
end)

describe("Messages", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  it("of one sender arrive in the order they were sent", function()
    local count = 2000
    local ref = probe:spawn("/receiver", function(context)
      local wanted, wrong = 1, 0
      context:onMessage(function(value)
        if value ~= wanted then wrong = wrong + 1 end
        wanted = wanted + 1
        if value == 2000 then context:property "probe":send(wrong) end
      end)
    end)

    for i = 1, count do ref:send(i) end

    assert.same({ 0 }, probe:heard(1))
  end)

  it("of several senders keep the order of each", function()
    local receiver = probe:spawn("/receiver", function(context)
      local last, ended, wrong = {}, 0, 0
      context:onMessage(function(value)
        local sender, number = value[1], value[2]
        if number ~= (last[sender] or 0) + 1 then wrong = wrong + 1 end
        last[sender] = number
        if number == 500 then ended = ended + 1 end
        if ended == 3 then
          context:property "probe":send { wrong = wrong, last = last }
        end
      end)
    end)

    for i = 1, 3 do
      probe:spawn("/senders/", function(context)
        local to, name = context:property "to", context:property "name"
        for number = 1, 500 do to:send { name, number } end
      end, { to = receiver, name = "s" .. i })
    end

    assert.same({ { wrong = 0, last = { s1 = 500, s2 = 500, s3 = 500 } } },
      probe:heard(1))
  end)

  it("may be nil or false", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function(value, message)
        context:property "probe":send(tostring(value) .. " "
          .. tostring(message.content))
      end)
    end)

    ref:send(nil)
    ref:send(false)

    assert.same({ "nil nil", "false false" }, probe:heard(2))
  end)

  it("that are nil reach a handler with one parameter", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function(value)
        context:property "probe":send(type(value))
      end)
    end)

    ref:send(nil)
    ref:send(1)

    assert.same({ "nil", "number" }, probe:heard(2))
  end)

  it("come with the message to handlers that have a place for it", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      context:onMessage(function(...)
        report:send { "vararg", select("#", ...), (select(2, ...)).type }
      end)
      context:onMessage(function(value, message)
        report:send { "two", value, message.type }
      end)
      context:onMessage(function(value)
        report:send { "one", value }
      end)
    end)

    ref:send("v", { type = "t" })

    assert.same({ { "vararg", 2, "t" }, { "two", "v", "t" }, { "one", "v" } },
      probe:heard(3))
  end)

  it("are handled one after the other", function()
    local ref = probe:spawn("/a", function(context)
      local running = false
      context:onMessage(function(value)
        local overlapped = running
        running = true
        for _ = 1, 1000 do tostring {} end
        running = false
        context:property "probe":send { value, overlapped }
      end)
    end)

    for i = 1, 3 do ref:send(i) end

    assert.same({ { 1, false }, { 2, false }, { 3, false } }, probe:heard(3))
  end)

  it("are handled while a handler waits", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      local wake = false
      context:onMessage(function(value)
        if value == "wait" then
          while not wake do context:sleep(0.001) end
          report:send "waited"
        else
          report:send(value)
          wake = value == "wake"
        end
      end)
    end)

    ref:send "wait"
    ref:send "meanwhile"
    ref:send "wake"

    assert.same({ "meanwhile", "wake", "waited" }, probe:heard(3))
  end)

  it("wait until the entry has returned", function()
    probe:spawn("/a", function(context)
      local report = context:property "probe"
      local returned = false
      context:onMessage(function(value)
        report:send { value, returned }
      end)
      context.isolateRef:send "to itself"
      report:send "entry ends"
      returned = true
    end)

    assert.same({ "entry ends", { "to itself", true } }, probe:heard(2))
  end)

  it("or until the entry first waits", function()
    local ref = probe:spawn("/a", function(context)
      local report = context:property "probe"
      local go = false
      context:onMessage(function(value) go = value == "go" end)
      while not go do context:sleep(0.001) end
      report:send "entry goes on"
    end)

    ref:send "stay"
    ref:send "go"

    assert.same({ "entry goes on" }, probe:heard(1))
  end)

  it("stay in the mailbox while nobody listens", function()
    local ref = probe:spawn("/a", function(context)
      context.onIsolateUp:listen(function()
        context:onMessage(function(value)
          context:property "probe":send(value)
        end)
      end)
      context:property "probe":send "entry ends"
    end)
    probe:heard(1)

    ref:send "early"
    ref:send "later"
    cluster:spawnIsolate("/up", "spec.support.idle")

    assert.same({ "entry ends", "early", "later" }, probe:heard(3))
  end)

  it("from other threads' isolates do not mix their values", function()
    local echo = cluster:spawnIsolate("/echo", "spec.support.echo")

    for _ = 1, 3 do
      probe:spawn("/askers/", function(context)
        local to, wrong = context:property "echo", 0
        for i = 1, 100 do
          local text = context.path .. ":" .. i
          local reply = to:request({ text, { text } }, { timeout = 10 })
          if reply[1] ~= text or reply[2][1] ~= text then wrong = wrong + 1 end
        end
        context:property "probe":send(wrong)
      end, { echo = echo })
    end

    assert.same({ 0, 0, 0 }, probe:heard(3))
  end)
end)
