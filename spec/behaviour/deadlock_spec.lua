-- deadlock_spec.lua - requests that wait for each other: named where nobody
-- could have answered, and nowhere else. A timeout of an hour tells that from
-- waiting.

local Probe = require "spec.support.probe"

describe("A deadlock", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  -- Serves one message after the other: asks the isolate at its property
  -- "next", if there is one, and answers with what that said.
  local function spawnServer(path, properties)
    return probe:spawn(path, function(context)
      for value, message in context.onMessage:iter() do
        local nextPath, timeout = context:property "next", nil
        if type(value) == "table" then
          nextPath, timeout = value[1], value[2]
        end
        local other = nextPath and context:lookupIsolate(nextPath)
        if not other then
          message:reply { path = context.path }
        else
          local reply, text, code =
            other:request("q", { timeout = timeout or 3600 })
          message:reply { path = context.path, reply = reply, text = text,
            code = code }
        end
      end
    end, properties)
  end

  it("of two that serve one after the other is named at once", function()
    local a = spawnServer("/a", { next = "/b" })
    spawnServer("/b", { next = "/a" })

    local reply = a:request("q", { timeout = 3600 })

    -- Both have an hour; that of /a began first.
    assert.equal("/a", reply.path)
    assert.equal("deadlock: /a -> /b -> /a", reply.text)
    assert.equal("deadlock", reply.code)
    assert.is_nil(reply.reply)
  end)

  it("of many is named, and the others are answered", function()
    local a = spawnServer("/a", { next = "/b" })
    spawnServer("/b", { next = "/c" })
    spawnServer("/c", { next = "/d" })
    spawnServer("/d", { next = "/a" })

    local reply = a:request("q", { timeout = 3600 })

    assert.equal("deadlock: /a -> /b -> /c -> /d -> /a", reply.text)
    assert.same({ path = "/c" },
      { path = spawnServer("/x"):request({ "/c" }, { timeout = 3600 })
        .reply.path })
  end)

  it("is told to the one whose time is up first", function()
    local a = spawnServer "/a"
    spawnServer("/b", { next = "/a" })

    local first = a:request({ "/b", 3000 }, { timeout = 3600 })
    local second = a:request({ "/b", 4000 }, { timeout = 3600 })

    assert.equal("deadlock: /a -> /b -> /a", first.text)
    assert.equal("/b", second.reply.path)
    assert.equal("deadlock: /b -> /a -> /b", second.reply.text)
  end)

  it("of one with itself is named", function()
    local text, code = probe:inside("/self", function(context)
      return select(2, context.isolateRef:request("q", { timeout = 3600 }))
    end)

    assert.equal("deadlock: /self -> /self", text)
    assert.equal("deadlock", code)
  end)

  it("of entries that ask each other is named", function()
    local function spawn(path, other)
      return probe:spawn(path, function(context)
        local ref
        repeat ref = context:lookupIsolate(context:property "other") until ref
        local answer = table.pack(ref:request("q", { timeout = 3600 }))
        context:property "probe":send(answer)
        -- The other one's question was for the one who answers.
        local _, message = context.onMessage:next(0)
        if _ == "q" then message:reply "answered after all" end
      end, { other = other })
    end

    spawn("/a", "/b")
    spawn("/b", "/a")

    local codes = {}
    for i, answer in ipairs(probe:heard(2)) do
      codes[i] = answer[3] or answer[1]
    end
    table.sort(codes)
    assert.same({ "answered after all", "deadlock" }, codes)
  end)

  it("is none where a listener answers meanwhile", function()
    local function spawn(path, next)
      return probe:spawn(path, function(context)
        context:onMessage(function(value, message)
          if value == 0 then return message:reply { context.path } end
          local other = context:lookupIsolate(context:property "next")
          local reply = assert(other:request(value - 1, { timeout = 3600 }))
          table.insert(reply, 1, context.path)
          message:reply(reply)
        end)
      end, { next = next })
    end
    local a = spawn("/a", "/b")
    spawn("/b", "/a")

    local reply = a:request(6, { timeout = 3600 })

    assert.same({ "/a", "/b", "/a", "/b", "/a", "/b", "/a" }, reply)
  end)

  it("is none where a timer, a sleep or a listener goes on", function()
    for i, rest in ipairs { "timer", "sleep", "up", "monitor" } do
      local path = "/busy/" .. rest
      local busy = probe:spawn(path, function(context)
        local report = context:property "probe"
        local what = context:property "rest"
        local function answer()
          local _, message = context.onMessage:next()
          message:reply "from beside"
          report:send "beside"
        end
        if what == "timer" then
          context:after(0.02, answer)
        elseif what == "sleep" then
          coroutine.wrap(function()
            context:sleep(0.02)
            answer()
          end)()
        elseif what == "up" then
          context.onIsolateUp:listen(answer)
        else
          local other = context:spawnIsolate(function(other)
            other:sleep(0.02)
          end)
          context:monitor(other, answer)
        end
        report:send(context.isolateRef:request("q", { timeout = 3600 }))
        context:shutdownIsolate()
      end, { rest = rest })
      if rest == "up" then probe:spawn("/new", "spec.support.idle") end

      local heard = probe:heard(2 * i)
      assert.equal("from beside", heard[2 * i])
      assert.equal("shutdown", probe:reasonOf(busy))
    end
  end)

  it("is none where somebody else can answer", function()
    local helper = probe:spawn("/helper", function(context)
      local _, message = context.onMessage:next()
      local report = context:property "probe"
      report:send "has it"
      context.onMessage:next()
      message.replyTo:send "from the helper"
    end)
    probe:spawn("/asked", function(context)
      local _, message = context.onMessage:next()
      context:property "helper":send("q", { replyTo = message.replyTo })
      local asker = context:lookupIsolate "/asker"
      context:property "probe":send(
        table.pack(asker:request("back", { timeout = 3600 })))
    end, { helper = helper })
    probe:spawn("/asker", function(context)
      local ref = context:lookupIsolate "/asked"
      context:property "probe":send(ref:request("q", { timeout = 3600 }))
      local _, message = context.onMessage:next()
      message:reply "at last"
    end)
    probe:heard(1)

    helper:send "go on"

    local heard = probe:heard(3)
    assert.equal("from the helper", heard[2])
    assert.same({ n = 1, "at last" }, heard[3])
  end)

  it("is found or not there, whoever asks whom in which order", function()
    for i = 1, 4 do spawnServer("/s/" .. i) end
    local askers = {}
    for i = 1, 4 do
      askers[i] = probe:spawn("/asker/" .. i, function(context)
        local report = context:property "probe"
        local seed = context:property "seed"
        math.randomseed(seed)
        local deadlocks = 0
        for _ = 1, 50 do
          local first, second = math.random(4), math.random(4)
          local answer = assert(context:lookupIsolate("/s/" .. first)
            :request({ "/s/" .. second, 1000 + math.random(100) },
              { timeout = 3600 }))
          if answer.code then
            assert(answer.code == "deadlock", answer.code)
            deadlocks = deadlocks + 1
          else
            assert(answer.reply.path == "/s/" .. second)
          end
        end
        report:send { context.path, deadlocks }
      end, { seed = i })
    end

    local deadlocks = 0
    for _, heard in ipairs(probe:heard(4)) do
      deadlocks = deadlocks + heard[2]
    end
    assert.is_true(deadlocks > 0)
    for _, asker in ipairs(askers) do
      assert.equal("done", probe:reasonOf(asker))
    end
  end)

  it("never is where each asks only those behind it", function()
    for i = 1, 5 do
      probe:spawn("/s/" .. i, function(context)
        local number = context:property "number"
        for _, message in context.onMessage:iter() do
          local sum = 1
          for next = number + 1, 5 do
            local reply = context:lookupIsolate("/s/" .. next)
              :request("q", { timeout = 3600 })
            sum = sum + (reply or -1000000)
          end
          message:reply(sum)
        end
      end, { number = i })
    end
    for _ = 1, 4 do
      probe:spawn("/asker/", function(context)
        local sums = {}
        for i = 1, 5 do
          sums[i] = context:lookupIsolate("/s/" .. i)
            :request("q", { timeout = 3600 })
        end
        context:property "probe":send(sums)
      end)
    end

    for _, sums in ipairs(probe:heard(4)) do
      assert.same({ 16, 8, 4, 2, 1 }, sums)
    end
  end)
end)
