-- dead_letter_spec.lua - values that reach nobody are counted, and told.

local Probe = require "spec.support.probe"

describe("A dead letter", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  local function spawnEnded(path)
    local ref = probe:spawn(path, function() end)
    probe:reasonOf(ref)
    return ref
  end

  -- Listens to the cluster, and returns what it heard once that are [count].
  local letters
  local function listen()
    letters = {}
    return cluster.onDeadLetter:listen(function(letter)
      letters[#letters + 1] = letter
    end)
  end
  local function heard(count)
    while #letters < count do
      assert(cluster:settle(10))
    end
    return letters
  end

  it("is what is sent to an isolate that has ended", function()
    local gone = spawnEnded "/gone"
    listen()

    gone:send({ "from the host" }, { type = "greeting" })
    local sender = probe:inside("/sender", function(context)
      context:property "gone":send "from an isolate"
      return context.isolateRef
    end, { gone = gone })

    heard(2)
    assert.same({ content = { "from the host" }, to = gone,
      type = "greeting", reason = "gone", missed = 0 }, letters[1])
    assert.same({ content = "from an isolate", to = gone, sender = sender,
      reason = "gone", missed = 0 }, letters[2])
    assert.equal(2, cluster:stats().deadLetters)
  end)

  it("is what an isolate had not read when it ended", function()
    listen()
    local ref = probe:spawn("/a", function(context)
      context:property "probe":send "runs"
      repeat local go = context:lookupIsolate "/go" until go
    end)
    probe:heard(1)
    for i = 1, 3 do ref:send(i) end

    cluster:spawnIsolate("/go", "spec.support.idle")
    probe:reasonOf(ref)

    local contents = {}
    for i, letter in ipairs(heard(3)) do
      contents[i] = letter.content
      assert.equal("unread", letter.reason)
      assert.equal(ref, letter.to)
    end
    table.sort(contents)
    assert.same({ 1, 2, 3 }, contents)
    assert.equal(3, cluster:stats().deadLetters)
  end)

  it("is a request that nobody reads, which is answered too", function()
    local gone = spawnEnded "/gone"
    listen()

    local _, _, code = gone:request "q"

    assert.equal("gone", code)
    assert.equal("q", heard(1)[1].content)
  end)

  it("is a reply to one that has ended", function()
    listen()
    local answerer = probe:spawn("/answerer", function(context)
      local report = context:property "probe"
      local question
      context:onMessage(function(value, message)
        if value == "q" then
          question = message
          report:send "asked"
        else
          report:send(table.pack(question:reply "too late"))
        end
      end)
    end)
    local asker = probe:spawn("/asker", function(context)
      context:property "answerer":send "q"
      context:onMessage(function() context:shutdownIsolate() end)
    end, { answerer = answerer })
    probe:heard(1)
    asker:send "end"
    probe:reasonOf(asker)

    answerer:send "answer"

    assert.equal("gone", probe:heard(2)[2][3])
    local letter = heard(1)[1]
    assert.same({ "too late", asker, answerer },
      { letter.content, letter.to, letter.sender })
  end)

  it("is no reply that is late, as long as its asker lives", function()
    listen()
    local slow = probe:spawn("/slow", function(context)
      local _, message = context.onMessage:next()
      context.onMessage:next()
      message:reply "late"
      select(2, context.onMessage:next()):reply "done"
    end)
    slow:request("q", { timeout = 0.001 })
    slow:send "go on"
    slow:request("q", { timeout = 10 })

    local stats = cluster:stats()
    assert.equal(0, stats.deadLetters)
    assert.equal(1, stats.lateReplies)
    assert.same({}, letters)
  end)

  it("is counted where nobody listens any more", function()
    local gone = spawnEnded "/gone"
    local subscription = listen()
    gone:send(1)
    heard(1)
    subscription:cancel()

    gone:send(2)
    probe:inside(function(context) context:sleep(0) end)

    assert.equal(1, #letters)
    assert.equal(2, cluster:stats().deadLetters)
  end)

  it("of a flood is told only to a limit, and then how many were not",
    function()
      local gone = spawnEnded "/gone"
      listen()

      probe:inside(function(context)
        local to = context:property "gone"
        for i = 1, 5000 do to:send(i) end
      end, { gone = gone })

      assert.is_true(#heard(1) >= 1)
      heard(#letters)
      gone:send "last"
      while letters[#letters].content ~= "last" do heard(#letters + 1) end
      local missed = 0
      for _, letter in ipairs(letters) do missed = missed + letter.missed end
      assert.equal(5001, #letters + missed)
      assert.equal(5001, cluster:stats().deadLetters)
    end)

  it("can be waited for and assigned to, as other events", function()
    local gone = spawnEnded "/gone"
    local assigned
    cluster.onDeadLetter = function(letter) assigned = letter.content end
    probe:spawn("/sender", function(context)
      context:sleep(0.001)
      context:property "gone":send "later"
    end, { gone = gone })

    local letter = cluster.onDeadLetter:next(10)

    assert.equal("later", letter.content)
    assert.equal("later", assigned)
  end)

  it("is the matter of the cluster that it was sent into", function()
    local other = require("isolate_cluster").singleNode()
    local mine, theirs = 0, 0
    cluster.onDeadLetter:listen(function() mine = mine + 1 end)
    other.onDeadLetter:listen(function() theirs = theirs + 1 end)
    local ended = other:spawnIsolate("/ended", function() end)
    while ended.alive do other.onIsolateDown:next(0.001) end

    probe:inside(function(context)
      context:property "ended":send "there"
    end, { ended = ended })
    while theirs == 0 do probe:heard(0) end

    assert.equal(0, mine)
    assert.equal(1, other:stats().deadLetters)
    other:shutdown(10)
  end)
end)
