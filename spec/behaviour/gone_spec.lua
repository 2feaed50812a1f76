-- gone_spec.lua - requests whose answer can't come any more, as those who might
-- have given it have ended. A timeout of an hour tells that from waiting.

local Probe = require "spec.support.probe"

describe("A request", function()
  local probe

  before_each(function()
    probe = Probe.new()
  end)

  after_each(function() probe:close() end)

  local HOUR = 3600

  -- Reads what it is asked and never answers; ends when it is sent how.
  local function spawnSilent(path)
    return probe:spawn(path, function(context)
      local report = context:property "probe"
      context.onError:listen(function() end)
      context:onMessage(function(value)
        if value == "shutdown" then return context:shutdownIsolate() end
        if value == "exit" then os.exit(1) end
        report:send { "read", value }
      end)
    end)
  end

  -- Asks the target for an hour, and tells the probe what came of it.
  local function spawnAsker(path, target)
    return probe:spawn(path, function(context)
      context:property "probe":send(table.pack(context:property "target"
        :request("q", { timeout = 3600 })))
    end, { target = target })
  end

  it("that was read is gone when its isolate ends", function()
    for i, how in ipairs { "shutdown", "exit" } do
      local silent = spawnSilent("/silent/" .. how)
      spawnAsker("/asker/" .. how, silent)
      probe:heard(2 * i - 1)

      silent:send(how)

      assert.same({ n = 3, [2] = ("the isolate /silent/%s has ended")
        :format(how), [3] = "gone" }, probe:heard(2 * i)[2 * i])
    end
  end)

  it("of the host script is gone too", function()
    local silent = spawnSilent "/silent"
    probe:spawn("/ender", function(context)
      context:property "silent":send "shutdown"
    end, { silent = silent })

    local reply, text, code = silent:request("q", { timeout = HOUR })

    assert.same({ "the isolate /silent has ended", "gone" }, { text, code })
    assert.is_nil(reply)
  end)

  it("gets the reply that was sent just before the end", function()
    for i = 1, 50 do
      local ref = probe:spawn("/quick/" .. i, function(context)
        local value, message = context.onMessage:next()
        message:reply(value)
      end)
      assert.equal(i, ref:request(i, { timeout = HOUR }))
    end
    local replies = probe:inside(function(context)
      local replies = 0
      for i = 1, 50 do
        local ref = context:spawnIsolate(function(other)
          local value, message = other.onMessage:next()
          message:reply(value)
        end)
        if ref:request(i, { timeout = 3600 }) == i then
          replies = replies + 1
        end
      end
      return replies
    end)
    assert.equal(50, replies)
  end)

  it("is gone for each who asked, however often", function()
    local silent = spawnSilent "/silent"
    local asker = probe:spawn("/asker", function(context)
      local report = context:property "probe"
      local target = context:property "silent"
      for i = 1, 20 do
        coroutine.wrap(function()
          report:send { i, select(3, target:request(i, { timeout = 3600 })) }
        end)()
      end
    end, { silent = silent })
    probe:heard(20)

    silent:send "shutdown"

    local codes = 0
    for _, heard in ipairs(probe:heard(40)) do
      if heard[2] == "gone" then codes = codes + 1 end
    end
    assert.equal(20, codes)
    assert.equal("done", probe:reasonOf(asker))
  end)

  it("to one that is stopped by force is gone", function()
    local other = require("isolate_cluster").singleNode()
    local endless = other:spawnIsolate("/endless", function(context)
      context.onMessage:next()
      while true do end
    end)
    spawnAsker("/asker", endless)

    other:shutdown(0.2)

    assert.equal("gone", probe:heard(1)[1][3])
  end)

  -- Hands requests on to /back, by one of two ways; ends at "end".
  local function spawnFront(back)
    return probe:spawn("/front", function(context)
      local to = context:property "back"
      context:onMessage(function(value, message)
        if value == "end" then return context:shutdownIsolate() end
        if value == "in a value" then
          to:send { replyTo = message.replyTo }
        else
          to:send(value, { replyTo = message.replyTo })
        end
        message.sender:send "handed on"
      end)
    end, { back = back })
  end

  local function spawnBack()
    return probe:spawn("/back", function(context)
      local report = context:property "probe"
      local asked
      context:onMessage(function(value, message)
        if value == "end" then return context:shutdownIsolate() end
        if value == "answer" then return asked:send "late but true" end
        asked = type(value) == "table" and value.replyTo or message.replyTo
        report:send "read"
      end)
    end)
  end

  local function spawnPatient(front, question)
    return probe:spawn("/patient", function(context)
      local report = context:property "probe"
      context:onMessage(function() report:send "handed on" end)
      report:send(table.pack(context:property "front"
        :request(context:property "question", { timeout = 3600 })))
      context:shutdownIsolate()
    end, { front = front, question = question })
  end

  for _, question in ipairs { "as replyTo", "in a value" } do
    it("that was handed on " .. question .. " outlives who did", function()
      local back = spawnBack()
      local front = spawnFront(back)
      spawnPatient(front, question)
      probe:heard(2)

      front:send "end"
      probe:reasonOf(front)
      back:send "answer"

      assert.same({ n = 1, "late but true" }, probe:heard(3)[3])
    end)

    it("that was handed on " .. question .. " is gone with who got it",
      function()
        local back = spawnBack()
        local front = spawnFront(back)
        spawnPatient(front, question)
        probe:heard(2)

        back:send "end"

        assert.equal("gone", probe:heard(3)[3][3])
        assert.is_true(front.alive)
      end)
  end

  it("that was handed on to several is gone with the last", function()
    local backs = {}
    for i = 1, 3 do
      backs[i] = probe:spawn("/back/" .. i, function(context)
        context:property "probe":send(context.path)
        context.onMessage:next()
        context.onMessage:next()
      end)
    end
    probe:heard(3)
    local front = probe:spawn("/front", function(context)
      context:onMessage(function(_, message)
        for _, back in ipairs(context:property "backs") do
          back:send("q", { replyTo = message.replyTo })
        end
        message.sender:send "handed on"
      end)
    end, { backs = backs })
    spawnPatient(front, "q")
    probe:heard(4)

    for i = 1, 3 do
      assert.equal(4, #probe:heard(0))
      backs[i]:send "end"
      probe:reasonOf(backs[i])
    end

    assert.equal("gone", probe:heard(5)[5][3])
  end)

  it("times out where it was put into bytes by who ended", function()
    local front = probe:spawn("/front", function(context)
      local IsolateCluster = require "isolate_cluster"
      local _, message = context.onMessage:next()
      local bytes = IsolateCluster.encode(message.replyTo)
      context:property "probe":send(bytes)
    end)
    local asker = probe:spawn("/asker", function(context)
      context:property "probe":send(table.pack(context:property "front"
        :request("q", { timeout = 3600 })))
    end, { front = front })
    local bytes = probe:heard(1)[1]
    probe:reasonOf(front)

    require("isolate_cluster").decode(bytes):send "from afar"

    assert.same({ n = 1, "from afar" }, probe:heard(2)[2])
    assert.equal("done", probe:reasonOf(asker))
  end)

  it("keeps no more watches than it needs", function()
    local answered = probe:inside(function(context)
      local answered = 0
      for i = 1, 300 do
        local ref = context:spawnIsolate(function(other)
          local _, message = other.onMessage:next()
          message:reply(true)
        end)
        if ref:request(i, { timeout = 3600 }) then answered = answered + 1 end
      end
      return answered
    end)

    assert.equal(300, answered)
  end)
end)
