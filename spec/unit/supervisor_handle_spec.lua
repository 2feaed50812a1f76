-- supervisor_handle_spec.lua - commands to a supervisor, which the spec is.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

describe("A supervisor's handle", function()
  local core, Handle, handle, ref, sent, asked, watched

  before_each(function()
    sent, asked, watched = {}, {}, {}
    core = FakeCore.new {
      isRef = function(value)
        return type(value) == "table" and value.isRef == true
      end,
      sendRequest = function(to, value, ticket, kind, isCommand)
        if to.isGone then return nil, "it has ended", "gone" end
        table.insert(sent, { to = to, value = value, ticket = ticket,
          kind = kind, isCommand = isCommand })
        return true
      end,
      watchEnd = function(to)
        watched[#watched + 1] = to
        return #watched
      end,
      forgetEnd = function(number) watched[number] = "nobody" end,
      askToEnd = function(to)
        table.insert(asked, to)
        return true
      end,
    }
    Handle = core:load "supervisor_handle"
    ref = { isRef = true, path = "/sup", alive = true }
    handle = Handle.new(ref)
  end)

  -- What handle:name(...) returns when it gets this reply.
  local function resultOf(reply, name, ...)
    local results
    local arguments = table.pack(...)
    FakeCore.start(function()
      results = table.pack(handle[name](handle,
        table.unpack(arguments, 1, arguments.n)))
    end)
    core:raise("reply", sent[#sent].ticket, 0, table.unpack(reply, 1, 3))
    return results
  end

  it("sends each command as a command", function()
    local calls = { children = {}, count = {}, terminateChild = { "a" },
      restartChild = { "a" }, deleteChild = { ref } }
    for name, arguments in pairs(calls) do
      local results = resultOf({ { value = "the outcome" } }, name,
        arguments[1])

      assert.same({ n = 1, "the outcome" }, results)
      local last = sent[#sent]
      assert.equal(ref, last.to)
      assert.same({ name, arguments[1] }, last.value)
      assert.is_true(last.isCommand)
    end
  end)

  it("sends a child as a plan", function()
    resultOf({ { value = ref } }, "startChild",
      { path = "a", entry = "some.module" })

    assert.same({ "startChild", { path = "a", kind = "module",
      entry = "some.module", restart = "permanent", shutdown = 5 } },
      sent[1].value)
  end)

  it("returns what the supervisor says went wrong", function()
    local results = resultOf({ { message = "no child z",
      code = "not found" } }, "terminateChild", "z")

    assert.same({ n = 3, nil, "no child z", "not found" }, results)
  end)

  it("tells of a supervisor that has ended", function()
    ref.alive = false
    assert.same({ n = 3, nil, "gone", "gone" },
      resultOf({ nil, "gone", "gone" }, "count"))
    ref.isGone = true

    local results
    FakeCore.start(function() results = table.pack(handle:count()) end)

    assert.same({ n = 3, nil, "it has ended", "gone" }, results)
  end)

  it("tells of a supervisor that ends before it answers", function()
    local results
    FakeCore.start(function() results = table.pack(handle:count()) end)
    ref.alive = false

    core:raise("ended", 1, ref, "killed")

    assert.same({ n = 3, nil, "the isolate /sup has ended", "gone" }, results)
  end)

  it("does not watch it any longer than it waits", function()
    resultOf({ { value = 7 } }, "count")

    assert.same({ "nobody" }, watched)
  end)

  it("tells of an isolate that is none", function()
    assert.same({ n = 3, nil, "/sup is no supervisor", "not found" },
      resultOf({ nil, "gone", "gone" }, "count"))
  end)

  it("asks the supervisor to end", function()
    assert.is_true(handle:stop())

    assert.same({ ref }, asked)
  end)

  it("lets no sandboxed isolate command", function()
    core.isConfined = function() return true end
    local refused = { nil, "a sandboxed isolate can't command the supervisor "
      .. "/sup", "denied" }

    assert.same(refused, { handle:startChild { entry = "some.module" } })
    assert.same(refused, { handle:children() })
    assert.same(refused, { handle:stop() })
    assert.same({}, sent)
    assert.same({}, asked)
  end)

  it("waits for a supervisor to have started", function()
    local results
    FakeCore.start(function()
      results = table.pack(Handle.started(ref, 7))
    end)
    assert.equal(7, sent[1].ticket)

    core:raise("reply", 7, 0, { value = true })

    assert.same({ n = 1, ref }, results)
  end)

  it("waits for the end of one that does not start", function()
    local results
    FakeCore.start(function()
      results = table.pack(Handle.started(ref, 7))
    end)
    core:raise("reply", 7, 0, { message = "it is broken", code = "load" })
    assert.is_nil(results)

    core:raise("ended", 2, ref, "error")

    assert.same({ n = 3, nil, "it is broken", "load" }, results)
  end)

  it("refuses misuse", function()
    assert.equal("a child is named by its id or its ref, got 5",
      refusal.of(function() handle:terminateChild(5) end))
    assert.equal("the child must be a table, got nil",
      refusal.of(function() handle:startChild() end))
    assert.matches("^supervisor:count is a method: write supervisor:count",
      refusal.of(function() handle.count() end))
  end)
end)
