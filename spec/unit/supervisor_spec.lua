-- supervisor_spec.lua - which children a supervisor starts and stops, when, and
-- in which order; the children, the clock and all that happens are the spec's.

local Nursery = require "spec.support.nursery"

local child = Nursery.child

-- A supervisor of a, b and c, where b is as it is said.
local function three(strategy, b, more)
  local description = { strategy = strategy,
    children = { child "a", child("b", b), child "c" } }
  for name, value in pairs(more or {}) do description[name] = value end
  return Nursery.started(description)
end

describe("A supervisor that starts", function()
  it("starts its children in order", function()
    local nursery = Nursery.new { children = { child "a", child "b",
      child "c" } }

    nursery:start()

    assert.equal("start a, start b, start c", nursery:history())
  end)

  it("lives without a child", function()
    local nursery = Nursery.new {}

    nursery:start()

    assert.equal("", nursery:history())
  end)

  it("stops all if one does not start, the last first", function()
    local nursery = Nursery.new { children = { child "a", child "b",
      child "c", child "d" } }
    nursery.failing.c = { text = "no such module" }

    nursery:start()
    nursery:tell "started"

    assert.equal("start a, start b, can't start c, ask b, ask a, end error",
      nursery:history())
    assert.equal("child 'c' (/sup/c) did not start: no such module",
      nursery.text)
  end)

  it("tells who waits for it why it did not", function()
    local nursery = Nursery.new { children = { child("a", {
      shutdown = 1 }), child "b" } }
    nursery.failing.b = { text = "path in use: /sup/b", code = "in use" }
    nursery.stubborn.a = true
    nursery:start()
    local _, answer = nursery:tell "started"

    nursery:wait(1)

    assert.same({ code = "in use", message = "child 'b' (/sup/b) did not "
      .. "start: path in use: /sup/b" }, answer())
  end)

  it("ends as if it was asked to if the node goes down", function()
    local nursery = Nursery.new { children = { child "a", child "b" } }
    nursery.failing.b = { code = "down" }

    nursery:start()
    nursery:tell "started"

    assert.equal("start a, can't start b, ask a, end shutdown",
      nursery:history())
  end)

  it("waits a moment for who asks why it did not start", function()
    local nursery = Nursery.new { children = { child "a" } }
    nursery.failing.a = { text = "no such module", code = "load" }
    nursery:start()
    assert.equal("can't start a", nursery:history())

    local answer = nursery:tell "started"

    assert.same({ code = "load", message = "child 'a' (/sup/a) did not "
      .. "start: no such module" }, answer)
    assert.equal("end error", nursery:history())
  end)

  it("does not wait for ever for who never asks", function()
    local nursery = Nursery.new { children = { child "a" } }
    nursery.failing.a = { text = "no such module", code = "load" }

    nursery:start()
    nursery:wait(1)

    assert.equal("can't start a, end error", nursery:history())
  end)

  it("does not wait for who asks when it is asked to end", function()
    local nursery = Nursery.new { children = { child "a" } }
    nursery.failing.a = { text = "no such module", code = "load" }

    nursery:start()
    nursery:ask()

    assert.equal("can't start a, end error", nursery:history())
  end)
end)

describe("A child that ends", function()
  -- What follows the end of b, by strategy and restart type; "yes" where b is
  -- restarted for good reasons only.
  local restarted = {
    oneForOne = "start b",
    oneForAll = "ask c, ask a, start a, start b, start c",
    restForOne = "ask c, start b, start c",
  }
  local cases = {
    permanent = { done = true, shutdown = true, error = true, killed = true },
    transient = { done = false, shutdown = false, error = true,
      killed = true },
    temporary = { done = false, shutdown = false, error = false,
      killed = false },
  }
  for strategy, expected in pairs(restarted) do
    for restart, reasons in pairs(cases) do
      for reason, isRestarted in pairs(reasons) do
        it(("with '%s', %s, under %s, is %s"):format(reason, restart,
          strategy, isRestarted and "restarted" or "left alone"), function()
          local nursery = three(strategy, { restart = restart })

          nursery:fails("b", reason)

          assert.equal(isRestarted and expected or "", nursery:history())
        end)
      end
    end
  end

  it("stays known if it is transient, and not if it is temporary", function()
    local transient = three("oneForOne", { restart = "transient" })
    local temporary = three("oneForOne", { restart = "temporary" })

    transient:fails("b", "done")
    temporary:fails("b", "error")

    assert.equal("a running, b stopped, c running", transient:states())
    assert.equal("a running, c running", temporary:states())
  end)

  it("gets its path and its properties again", function()
    local nursery = three("oneForOne", { properties = { id = 7 } })
    local before = nursery.refs.b

    nursery:fails "b"

    assert.equal("/sup/b", nursery.refs.b.path)
    assert.same({ id = 7 }, nursery.refs.b.properties)
    assert.are_not.equal(before, nursery.refs.b)
  end)
end)

describe("A group that is restarted", function()
  it("leaves the temporary ones out", function()
    local nursery = Nursery.started { strategy = "oneForAll", children = {
      child "a", child("b", { restart = "temporary" }), child "c" } }

    nursery:fails "a"

    assert.equal("ask c, ask b, start a, start c", nursery:history())
    assert.equal("a running, c running", nursery:states())
  end)

  it("has those back that had ended well", function()
    local nursery = Nursery.started { strategy = "restForOne", children = {
      child "a", child("b", { restart = "transient" }) } }
    nursery:fails("b", "done")

    nursery:fails "a"

    assert.equal("start a, start b", nursery:history())
  end)

  it("has those back that had been terminated", function()
    local nursery = three "oneForAll"
    nursery:tell("terminateChild", "c")
    nursery:history()

    nursery:fails "a"

    assert.equal("ask b, start a, start b, start c", nursery:history())
  end)

  it("handles an end in the middle of it only once", function()
    local nursery = Nursery.started { strategy = "oneForAll", children = {
      child "a", child "b" }, maxRestarts = 1 }
    nursery.stubborn.b = true
    nursery:fails "a"

    nursery:fails "b"

    assert.equal("ask b, start a, start b", nursery:history())
  end)

  it("tries all again from the one that does not start", function()
    local nursery = Nursery.started { strategy = "restForOne", maxRestarts = 2,
      children = { child "a", child "b", child "c" } }
    nursery.failing.b = {}
    nursery:fails "a"
    nursery.failing.b = nil

    assert.equal("ask c, ask b, start a, can't start b, can't start b, "
      .. "ask a, end error", nursery:history())
  end)

  it("goes on where that one starts at last", function()
    local nursery = Nursery.started { strategy = "restForOne", maxRestarts = 2,
      backoff = { first = 1 },
      children = { child "a", child "b", child "c" } }
    nursery.failing.b = {}
    nursery:fails "a"
    nursery:wait(1)
    nursery.failing.b = nil

    nursery:wait(1)

    assert.equal("ask c, ask b, start a, can't start b, start b, start c",
      nursery:history())
    assert.equal("a running, b running, c running", nursery:states())
  end)
end)

describe("A supervisor says", function()
  it("that a child does not start again, and why", function()
    local nursery = three("oneForOne", nil, { maxRestarts = 3 })
    nursery.failing.b = { text = "it is broken" }

    nursery:fails "b"

    local said = "child 'b' (/sup/b) did not start: it is broken"
    assert.equal(3, #nursery.core.reports)
    assert.equal(said, nursery.core.reports[1])
    assert.equal(said, nursery.core.reports[2])
    assert.matches("^gave up after 4 failures .* did not start: it is broken$",
      nursery.core.reports[3])
  end)

  it("that it had to kill a child that did not end in its time", function()
    local nursery = three("oneForAll", { shutdown = 2 })
    nursery.stubborn.b = true

    nursery:fails "a"
    nursery:wait(2)

    assert.same({ "child 'b' (/sup/b) had to be killed, as it did not end "
      .. "within 2 s" }, nursery.core.reports)
  end)

  it("nothing of that where it is asked to end, or the child is not", function()
    local nursery = three("oneForAll", { shutdown = "kill" })
    nursery:fails "a"
    assert.same({}, nursery.core.reports)
    nursery = three("oneForAll", { shutdown = 2 })
    nursery.stubborn.b = true

    nursery:ask()
    nursery:wait(2)

    assert.same({}, nursery.core.reports)
  end)
end)

describe("A supervisor whose children fail too often", function()
  it("gives up at one more than maxRestarts, and stops all", function()
    local nursery = three("oneForOne", nil, { maxRestarts = 2, within = 10 })
    nursery:fails "b"
    nursery:fails "a"
    assert.equal("start b, start a", nursery:history())

    nursery:fails("b", "error", "app.lua:3: boom")

    assert.equal("ask c, ask a, end error", nursery:history())
    local text = "gave up after 3 failures within 10 s (maxRestarts is 2): "
      .. "child 'b' (/sup/b) ended with reason 'error': app.lua:3: boom"
    assert.equal(text, nursery.text)
    assert.same({ text }, nursery.core.reports)
  end)

  it("allows one in 5 seconds if nothing is said", function()
    local nursery = three "oneForOne"
    nursery:fails "b"
    nursery:wait(5)

    nursery:fails "b"

    assert.equal("start b, ask c, ask a, end error", nursery:history())
  end)

  it("forgets failures that are older than the window", function()
    local nursery = three "oneForOne"
    nursery:fails "b"
    nursery:wait(5.001)

    nursery:fails "b"

    assert.equal("start b, start b", nursery:history())
  end)

  it("counts one for a group, and one for each failed start", function()
    local nursery = three("oneForAll", nil, { maxRestarts = 2 })
    nursery.failing.b = { text = "it is broken" }

    nursery:fails "a"

    assert.equal("ask c, ask b, "
      .. "start a, can't start b, ask a, start a, can't start b, "
      .. "ask a, end error", nursery:history())
    assert.equal("gave up after 3 failures within 5 s (maxRestarts is 2): "
      .. "child 'b' (/sup/b) did not start: it is broken", nursery.text)
  end)

  it("does not count those that are not restarted", function()
    local nursery = Nursery.started { maxRestarts = 0, children = {
      child("a", { restart = "temporary" }),
      child("b", { restart = "transient" }), child "c" } }

    nursery:fails "a"
    nursery:fails("b", "done")

    assert.equal("", nursery:history())
  end)
end)

describe("A back-off", function()
  local BACKOFF = { first = 1, factor = 3, max = 5 }

  local function patient(strategy)
    return three(strategy or "oneForOne", nil, { maxRestarts = math.huge,
      within = 20, backoff = BACKOFF })
  end

  it("is longer after each failure, up to its longest", function()
    local nursery = patient()
    for _, delay in ipairs { 1, 3, 5, 5 } do
      nursery:fails "b"
      nursery:wait(delay - 0.001)
      assert.equal("", nursery:history())
      nursery:wait(0.002)
      assert.equal("start b", nursery:history())
    end
  end)

  it("starts anew once a child has lived for as long as the window",
    function()
      local nursery = patient()
      nursery:fails "b"
      nursery:wait(1)
      nursery:wait(20)

      nursery:fails "b"
      nursery:wait(1)

      assert.equal("start b, start b", nursery:history())
    end)

  it("goes on where it lived for less", function()
    local nursery = patient()
    nursery:fails "b"
    nursery:wait(1)
    nursery:wait(19.9)

    nursery:fails "b"
    nursery:wait(2.9)

    assert.equal("start b", nursery:history())
  end)

  it("goes on where it did not start", function()
    local nursery = patient()
    nursery.failing.b = {}
    nursery:fails "b"
    nursery:wait(1)
    nursery:wait(2.9)
    assert.equal("can't start b", nursery:history())

    nursery:wait(0.1)

    assert.equal("can't start b", nursery:history())
  end)

  it("is each child's own", function()
    local nursery = patient()
    nursery:fails "b"
    nursery:wait(1)
    nursery:fails "b"

    nursery:fails "a"
    nursery:wait(1)

    assert.equal("start b, start a", nursery:history())
    assert.equal("a running, b restarting, c running", nursery:states())
  end)

  it("has a group stopped at once, and started after it", function()
    local nursery = patient "oneForAll"

    nursery:fails "b"

    assert.equal("ask c, ask a", nursery:history())
    assert.equal("a stopped, b restarting, c stopped", nursery:states())
    nursery:wait(1)
    assert.equal("start a, start b, start c", nursery:history())
  end)

  it("is over where the child is started with an earlier one", function()
    local nursery = patient "restForOne"
    nursery:fails "b"
    nursery:fails "a"
    nursery:wait(1)
    assert.equal("ask c, start a, start b, start c", nursery:history())

    nursery:wait(10)

    assert.equal("", nursery:history())
  end)

  it("ends when the supervisor is asked to end", function()
    local nursery = patient()
    nursery:fails "b"

    nursery:ask()
    assert.equal("ask c, ask a, end shutdown", nursery:history())

    nursery:wait(100)
    assert.equal("", nursery:history())
  end)

  it("ends when the child is terminated", function()
    local nursery = patient()
    nursery:fails "b"
    assert.same({ value = true }, (nursery:tell("terminateChild", "b")))

    nursery:wait(100)

    assert.equal("", nursery:history())
    assert.equal("a running, b stopped, c running", nursery:states())
  end)
end)

describe("A supervisor that is asked to end", function()
  it("stops its children, the last first", function()
    local nursery = three "oneForOne"

    nursery:ask()

    assert.equal("ask c, ask b, ask a, end shutdown", nursery:history())
  end)

  it("waits for each as long as it may take, then kills it", function()
    local nursery = three("oneForOne", { shutdown = 2 })
    nursery.stubborn.b = true
    nursery.stubborn.c = true
    nursery:ask()
    nursery:wait(4.9)
    assert.equal("ask c", nursery:history())
    nursery:wait(0.1)
    assert.equal("kill c, ask b", nursery:history())

    nursery:wait(2)

    assert.equal("kill b, ask a, end shutdown", nursery:history())
  end)

  it("kills at once where it says so", function()
    local nursery = three("oneForOne", { shutdown = "kill" })

    nursery:ask()

    assert.equal("ask c, kill b, ask a, end shutdown", nursery:history())
  end)

  it("waits without end where it says so", function()
    local nursery = three("oneForOne", { shutdown = "infinity" })
    nursery.stubborn.b = true
    nursery:ask()
    nursery:wait(1e6)
    assert.equal("ask c, ask b", nursery:history())

    nursery:fails("b", "shutdown")

    assert.equal("ask a, end shutdown", nursery:history())
  end)

  it("does not restart who ends meanwhile", function()
    local nursery = three "oneForOne"
    nursery.stubborn.c = true
    nursery:ask()
    nursery:fails "a"

    nursery:fails "c"

    assert.equal("ask c, ask b, end shutdown", nursery:history())
  end)

  it("breaks a restart off", function()
    local nursery = three "oneForAll"
    nursery.stubborn.c = true
    nursery:fails "b"
    nursery:ask()
    assert.equal("ask c", nursery:history())

    nursery:wait(5)

    assert.equal("kill c, ask a, end shutdown", nursery:history())
  end)

  it("ends though the node takes no spawn for a restart any more", function()
    local nursery = three "oneForOne"
    nursery.failing.b = { code = "down" }
    nursery:fails "b"
    assert.equal("can't start b", nursery:history())

    nursery:ask()

    assert.equal("ask c, ask a, end shutdown", nursery:history())
  end)

  it("tells those who wait for an answer", function()
    local nursery = three "oneForOne"
    nursery.stubborn.c = true
    nursery:ask()
    local _, answer = nursery:tell "children"
    assert.is_nil(answer())

    nursery:fails "c"

    assert.same({ message = "the supervisor has ended", code = "gone" },
      answer())
  end)
end)

describe("A supervisor with significant children", function()
  local function significant(autoShutdown)
    return Nursery.started { autoShutdown = autoShutdown, maxRestarts = 9,
      children = { child "a",
        child("b", { restart = "transient", significant = true }),
        child("c", { restart = "temporary", significant = true }) } }
  end

  it("ends with any of them", function()
    local nursery = significant "anySignificant"

    nursery:fails "c"

    assert.equal("ask b, ask a, end shutdown", nursery:history())
  end)

  it("ends with the last of them", function()
    local nursery = significant "allSignificant"
    nursery:fails("b", "done")
    assert.equal("", nursery:history())

    nursery:fails("c", "error")

    assert.equal("ask a, end shutdown", nursery:history())
  end)

  it("does not end where one is restarted, or terminated", function()
    local nursery = significant "anySignificant"

    nursery:fails("b", "error")
    nursery:tell("terminateChild", "b")

    assert.equal("start b, ask b", nursery:history())
  end)
end)
