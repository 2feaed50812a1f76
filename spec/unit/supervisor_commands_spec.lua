-- supervisor_commands_spec.lua - what a running supervisor is told to do.

local Nursery = require "spec.support.nursery"

local child = Nursery.child

describe("A supervisor that is told to", function()
  local nursery

  before_each(function()
    nursery = Nursery.started { maxRestarts = 9, backoff = { first = 1 },
      children = { child "a", child("b", { restart = "transient" }),
        child("c", { restart = "temporary" }) } }
  end)

  -- A child's description as a handle sends it.
  local function plan(path, more)
    local made = { path = path, kind = "module", entry = "m",
      restart = "permanent", shutdown = 5 }
    for name, value in pairs(more or {}) do made[name] = value end
    return made
  end

  it("lists its children", function()
    nursery:fails "a"

    assert.same({ value = {
      { id = "a", path = "/sup/a", state = "restarting", kind = "worker",
        restart = "permanent", restarts = 0 },
      { id = "b", path = "/sup/b", state = "running", kind = "worker",
        restart = "transient", restarts = 0, ref = nursery.refs.b },
      { id = "c", path = "/sup/c", state = "running", kind = "worker",
        restart = "temporary", restarts = 0, ref = nursery.refs.c },
    } }, (nursery:tell "children"))
  end)

  it("counts restarts", function()
    nursery:fails "a"
    nursery:wait(1)

    assert.equal(1, nursery:tell("children").value[1].restarts)
  end)

  it("counts its children", function()
    nursery:fails "a"

    assert.same({ value = { specs = 3, active = 2, supervisors = 0,
      workers = 3 } }, (nursery:tell "count"))
  end)

  it("starts a child, behind all others", function()
    local answer = nursery:tell("startChild", plan "d")

    assert.same({ value = nursery.refs.d }, answer)
    assert.equal("a running, b running, c running, d running",
      nursery:states())
    nursery:history()
    nursery:ask()
    assert.equal("ask d, ask c, ask b, ask a, end shutdown",
      nursery:history())
  end)

  it("restarts that child too", function()
    nursery:tell("startChild", plan "d")
    nursery:history()

    nursery:fails "d"
    nursery:wait(1)

    assert.equal("start d", nursery:history())
  end)

  it("names a child that is not named", function()
    nursery:tell("startChild", plan "5")
    nursery:tell("startChild", plan(nil))
    nursery:tell("startChild", plan(nil))
    nursery:tell("startChild", plan("w/"))

    assert.equal("start 5, start 6, start 7, start w/7", (nursery:history()
      :gsub("start w/%d+$", "start w/7")))
  end)

  it("does not start a child whose id is taken", function()
    nursery:tell("terminateChild", "b")

    assert.same({ message = "there is a child 'a', which is running",
      code = "in use" }, (nursery:tell("startChild", plan "a")))
    assert.same({ message = "there is a child 'b', which is stopped",
      code = "in use" },
      (nursery:tell("startChild", plan("x", { id = "b" }))))
  end)

  it("forgets a new child that does not start", function()
    nursery.failing.d = { text = "it is broken", code = "load" }

    local answer = nursery:tell("startChild", plan "d")

    assert.same({ message = "it is broken", code = "load" }, answer)
    assert.equal("a running, b running, c running", nursery:states())
  end)

  it("refuses a significant child where that means nothing", function()
    local answer = nursery:tell("startChild",
      plan("d", { significant = true, restart = "transient" }))

    assert.equal("invalid", answer.code)
  end)

  it("terminates a child, which stays known", function()
    assert.same({ value = true }, (nursery:tell("terminateChild", "a")))

    assert.equal("ask a", nursery:history())
    assert.equal("a stopped, b running, c running", nursery:states())
  end)

  it("terminates a child by its ref", function()
    nursery:tell("terminateChild", nursery.refs.a)

    assert.equal("ask a", nursery:history())
  end)

  it("forgets a temporary child that it terminates", function()
    nursery:tell("terminateChild", "c")

    assert.equal("a running, b running", nursery:states())
  end)

  it("terminates a stopped child again without a word", function()
    nursery:tell("terminateChild", "a")

    assert.same({ value = true }, (nursery:tell("terminateChild", "a")))
  end)

  it("starts a stopped child again", function()
    nursery:fails("b", "done")

    local answer = nursery:tell("restartChild", "b")

    assert.same({ value = nursery.refs.b }, answer)
    assert.equal("start b", nursery:history())
  end)

  it("leaves a child stopped that does not start again", function()
    nursery:tell("terminateChild", "a")
    nursery.failing.a = { text = "it is broken" }

    assert.same({ message = "it is broken", code = "load" },
      (nursery:tell("restartChild", "a")))
    assert.equal("a stopped, b running, c running", nursery:states())
  end)

  it("forgets a stopped child", function()
    nursery:tell("terminateChild", "a")

    assert.same({ value = true }, (nursery:tell("deleteChild", "a")))
    assert.equal("b running, c running", nursery:states())
  end)

  it("does not do so with one that runs, or is to run", function()
    nursery:fails "a"

    for _, command in ipairs { "restartChild", "deleteChild" } do
      assert.same({ message = "child 'a' is restarting", code = "in use" },
        (nursery:tell(command, "a")))
      assert.same({ message = "child 'b' is running", code = "in use" },
        (nursery:tell(command, "b")))
    end
  end)

  it("has the id of a forgotten child for another", function()
    nursery:tell("terminateChild", "a")
    nursery:tell("deleteChild", "a")
    local ref = nursery:tell("startChild", plan "a").value

    assert.equal("b running, c running, a running", nursery:states())
    assert.same({ value = true }, (nursery:tell("terminateChild", ref)))
    assert.equal("b running, c running, a stopped", nursery:states())
  end)

  it("does nothing to a child that there is not", function()
    for _, command in ipairs { "terminateChild", "restartChild",
      "deleteChild" } do
      assert.same({ message = "no child z", code = "not found" },
        (nursery:tell(command, "z")))
    end
  end)
end)
