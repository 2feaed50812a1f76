-- refs_spec.lua - what a ref knows, whose life it stands for, and how it
-- travels.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

describe("A ref", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  local function spawnEcho(path)
    return assert(cluster:spawnIsolate(path, "spec.support.echo"))
  end

  local function spawnGone(path, properties)
    local ref = probe:spawn(path, function() end, properties)
    probe:reasonOf(ref)
    return ref
  end

  it("knows its path and whether its isolate is alive", function()
    local ref = probe:spawn("/a/b", function(context)
      context.onMessage:next()
    end)
    local before = ref.alive

    ref:send "end"
    probe:reasonOf(ref)

    assert.equal("/a/b", ref.path)
    assert.is_true(before)
    assert.is_false(ref.alive)
  end)

  it("is a text with its path", function()
    local text = tostring(spawnEcho "/a/b")

    assert.matches("/a/b", text, 1, true)
  end)

  it("equals each other ref of the same isolate", function()
    local ref = spawnEcho "/a"
    local other = spawnEcho "/b"

    assert.is_true(ref == cluster:lookupIsolate "/a")
    assert.is_true(ref == cluster:lookupIsolates("/")[1])
    assert.is_false(ref == other)
    assert.is_false(ref == "/a")
  end)

  it("is the same key of a table wherever it comes from", function()
    local ref = spawnEcho "/a"
    local names = { [ref] = "a" }

    assert.equal("a", names[cluster:lookupIsolate "/a"])
    assert.equal("a", names[ref:request(ref, { timeout = 10 })])
    assert.equal("a", names[IsolateCluster.decode(IsolateCluster.encode(ref))])
  end)

  it("sends to one life only, though another has its path now", function()
    local old = spawnGone "/a"
    local new = spawnEcho "/a"

    local answer = { old:send "hello" }

    assert.same({ nil, "the isolate /a has ended", "gone" }, answer)
    assert.is_false(old.alive)
    assert.is_true(new.alive)
    assert.is_false(old == new)
    assert.equal("/a", old.path)
    assert.equal("hello", new:request("hello", { timeout = 10 }))
  end)

  it("keeps its answers when its whole cluster is down", function()
    local ref = probe:spawn("/a", "spec.support.idle", { x = 1 })
    cluster:shutdown(10)

    assert.is_false(ref.alive)
    assert.equal("/a", ref.path)
    assert.equal(1, ref:property "x")
    assert.equal("gone", (select(3, ref:send "hello")))
    assert.equal("gone", (select(3, ref:request "hello")))
  end)

  it("can be sent, to be sent to", function()
    local echo = spawnEcho "/echo"
    local relay = probe:spawn("/relay", function(context)
      context:onMessage(function(value)
        value.to[1]:send({ "via", context.path }, { replyTo = value.answer })
      end)
    end)

    relay:send { to = { echo }, answer = probe.ref }

    assert.same({ { "via", "/relay" } }, probe:heard(1))
  end)

  it("keeps its equality in messages, as a value and as a key", function()
    local a, b = spawnEcho "/a", spawnEcho "/b"

    local copy = a:request({ a, b, a, [b] = "b", x = { [a] = "a" } },
      { timeout = 10 })

    assert.is_true(copy[1] == a)
    assert.is_true(copy[2] == b)
    assert.is_true(rawequal(copy[1], copy[3]))
    assert.equal("b", copy[b])
    assert.equal("a", copy.x[a])
  end)

  it("may be a correlationId", function()
    local echo = spawnEcho "/echo"

    local same = probe:inside(function(context)
      local ref = context:lookupIsolate "/echo"
      ref:send("x", { correlationId = { ref } })
      local _, message = context.onMessage:next(10)
      return message.correlationId[1] == ref
    end)

    assert.is_true(same)
    assert.is_true(echo.alive)
  end)

  it("may be a property", function()
    local echo = spawnEcho "/echo"
    local ref = probe:spawn("/a", function(context)
      context:property "probe":send(
        context:property "refs".echo == context:lookupIsolate "/echo")
      context:onMessage(function() end)
    end, { refs = { echo = echo, [echo] = true } })

    assert.same({ true }, probe:heard(1))
    assert.is_true(ref:property "refs".echo == echo)
    assert.is_true(ref:property "refs"[echo])
  end)

  it("survives encode and decode", function()
    local ref = spawnEcho "/a"

    local copy = IsolateCluster.decode(IsolateCluster.encode { ref = ref }).ref

    assert.is_true(copy == ref)
    assert.equal("hello", copy:request("hello", { timeout = 10 }))
  end)

  it("survives encode and decode in another isolate", function()
    local ref = spawnEcho "/a"

    local path, same, reply = probe:inside(function(context)
      local copy = require "isolate_cluster".decode(context:property "bytes")
      return copy.path, copy == context:lookupIsolate "/a",
        copy:request("hello", { timeout = 10 })
    end, { bytes = IsolateCluster.encode(ref) })

    assert.equal("/a", path)
    assert.is_true(same)
    assert.equal("hello", reply)
  end)

  it("of a host script survives encode and decode, and answers its request",
    function()
      local other = probe:spawn("/other", function(context)
        context:onMessage(function(bytes)
          local replyTo = require "isolate_cluster".decode(bytes)
          assert(replyTo.alive)
          assert(replyTo:send "answered by another")
        end)
      end)
      local asked = probe:spawn("/asked", function(context)
        context:onMessage(function(_, message)
          local bytes = require "isolate_cluster".encode(message.replyTo)
          context:property "other":send(bytes)
        end)
      end, { other = other })

      assert.equal("answered by another",
        asked:request("question", { timeout = Probe.DEADLINE }))
    end)

  it("of an isolate that has ended survives all this", function()
    local gone = spawnGone "/gone"
    local bytes = IsolateCluster.encode(gone)
    local new = spawnEcho "/gone"

    local copies = {
      spawnEcho "/echo":request(gone, { timeout = 10 }),
      (IsolateCluster.decode(bytes)),
      probe:inside(function(context) return context:property "gone" end,
        { gone = gone }),
    }

    for i = 1, 3 do
      assert.is_true(copies[i] == gone)
      assert.is_false(copies[i] == new)
      assert.equal("/gone", copies[i].path)
      assert.is_false(copies[i].alive)
      assert.equal("gone", (select(3, copies[i]:send "x")))
    end
  end)

  it("that came by a message outlives the isolate's path", function()
    local ref = probe:spawn("/short", function(context)
      context:property "probe":send { me = context.isolateRef }
    end, { x = { 1 } })
    probe:reasonOf(ref)

    local got = probe:heard(1)[1].me

    assert.is_true(got == ref)
    assert.equal("/short", got.path)
    assert.same({ 1 }, got:property "x")
  end)

  it("of the isolate itself is in its context", function()
    local path, same, alive = probe:inside("/me", function(context)
      local ref = context.isolateRef
      return ref.path, ref == context:lookupIsolate "/me", ref.alive
    end)

    assert.same({ "/me", true, true }, { path, same, alive })
  end)

  it("is refused misuse", function()
    local ref = spawnEcho "/a"

    local raised = refusal.of
    assert.equal("ref:send wants a ref before the colon, got string",
      raised(function() ref.send "hello" end))
    assert.equal("ref:send wants a value to send, got nothing",
      raised(function() ref:send() end))
    assert.equal("unknown option 'kind'; a send takes type, correlationId "
      .. "and replyTo", raised(function() ref:send(1, { kind = "x" }) end))
    assert.equal("option 'type' wants a string, got number",
      raised(function() ref:send(1, { type = 5 }) end))
    assert.equal("option 'replyTo' wants a ref, got string",
      raised(function() ref:send(1, { replyTo = "/a" }) end))
    assert.equal("the options are a table, got string",
      raised(function() ref:send(1, "type") end))
    assert.equal("an option's name is a string, got number",
      raised(function() ref:send(1, { "type" }) end))
    assert.equal("a ref has no field 'pathh'",
      raised(function() return ref.pathh, nil end))
    assert.equal("a ref has no field '1'",
      raised(function() return ref[1], nil end))
    assert.matches("property wants a ref before the colon",
      raised(function() ref.property "x" end))
    assert.matches("key expected, got n",
      raised(function() ref:property() end))
    assert.matches("^attempt to index a",
      raised(function() ref.path = "/b" end))
  end)

  it("hides its metatable", function()
    assert.equal("isolate ref", getmetatable(spawnEcho "/a"))
  end)
end)
