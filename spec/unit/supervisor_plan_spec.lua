-- supervisor_plan_spec.lua - what a description may say, what is made of it.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

local function entry() end

describe("A supervisor's plan", function()
  local spawn, Plan

  before_each(function()
    spawn, Plan = FakeCore.new {
      isRef = function() return false end,
    }:load("spawn", "supervisor_plan")
  end)

  -- As IsolateCluster.supervisor does: it ends with this call.
  local function describe_(description) return Plan.new(description) end

  local function plan(description)
    return spawn.plans[describe_(description)]
  end

  local function complaint(description)
    return refusal.of(function()
      local _ = describe_(description)
    end)
  end

  -- What is wrong with a description whose one child is this.
  local function complaintOfChild(child, more)
    local description = { children = { child } }
    for name, value in pairs(more or {}) do description[name] = value end
    return complaint(description)
  end

  it("is that of OTP where nothing is said", function()
    assert.same({ strategy = "oneForOne", maxRestarts = 1, within = 5,
      autoShutdown = "never", children = {} }, plan {})
  end)

  it("has what is said", function()
    local made = plan { strategy = "restForOne", maxRestarts = math.huge,
      within = 0.5, autoShutdown = "allSignificant",
      backoff = { first = 1, jitter = 0.5 } }

    assert.same({ strategy = "restForOne", maxRestarts = math.huge,
      within = 0.5, autoShutdown = "allSignificant", children = {},
      backoff = { first = 1, max = 30, factor = 2, jitter = 0.5 } }, made)
  end)

  it("shows nothing of itself", function()
    local token = describe_ {}

    assert.is_nil(next(token))
    assert.equal("supervisor (not started)", tostring(token))
    assert.equal("supervisor", getmetatable(token))
  end)

  it("has the children in their order, with what is not said", function()
    local children = plan { children = {
      { path = "module", entry = "workers.parser" },
      { path = "/file", entry = "a/b.lua", restart = "transient",
        shutdown = 0.5, properties = { id = 1 }, options = { thread = "own" },
        id = "reader" },
      { path = "tree", entry = describe_ { children = {} } },
      { path = "kill", entry = "m", shutdown = "kill", restart = "temporary" },
      { path = "infinity", entry = "m", shutdown = "infinity" },
    } }.children

    local said = { strategy = "oneForOne", maxRestarts = 1, within = 5,
      autoShutdown = "never", children = {} }
    assert.same({
      { id = "module", path = "module", kind = "module",
        entry = "workers.parser", restart = "permanent", shutdown = 5 },
      { id = "reader", path = "/file", kind = "file", entry = "a/b.lua",
        restart = "transient", shutdown = 0.5, properties = { id = 1 },
        options = { thread = "own" } },
      { id = "tree", path = "tree", kind = "supervisor", entry = said,
        restart = "permanent", shutdown = math.huge },
      { id = "kill", path = "kill", kind = "module", entry = "m",
        restart = "temporary", shutdown = "kill" },
      { id = "infinity", path = "infinity", kind = "module", entry = "m",
        restart = "permanent", shutdown = math.huge },
    }, children)
  end)

  it("has a function's bytecode", function()
    local child = plan { children = { { entry = function(a) return a + 1 end } }
      }.children[1]

    assert.equal("function", child.kind)
    assert.equal(4, load(child.entry, "=entry", "b")(3))
  end)

  it("names children that are not named by their number", function()
    local children = plan { children = { { entry = "m" },
      { entry = "m", path = "pool/" }, { entry = "m", path = "/abs/" },
      { entry = "m", id = "own" } } }.children
    local names = {}
    for i, child in ipairs(children) do
      names[i] = child.id .. " " .. child.path
    end

    assert.same({ "1 1", "pool/2 pool/2", "/abs/3 /abs/3", "own 4" }, names)
  end)

  it("refuses what is no table, and what it does not know", function()
    assert.equal("IsolateCluster.supervisor wants a table or the ref of a "
      .. "supervisor, got nil", complaint(nil))
    assert.equal("unknown option the string 'kids' of "
      .. "IsolateCluster.supervisor; it knows autoShutdown, backoff, "
      .. "children, maxRestarts, strategy, within", complaint { kids = {} })
    assert.equal("unknown option the string 'start' of children[1]; it knows "
      .. "entry, id, options, path, properties, restart, shutdown, significant",
      complaintOfChild { start = entry })
    assert.equal("children must be a list, got 5", complaint { children = 5 })
    assert.equal("children must be a list, it has the key the string 'a'",
      complaint { children = { a = { entry = entry } } })
    assert.equal("children[1] must be a table, got a function",
      complaintOfChild(entry))
  end)

  it("refuses a strategy that there is not", function()
    assert.equal("strategy must be 'oneForOne', 'oneForAll' or 'restForOne', "
      .. "got the string 'one_for_one'",
      complaint { strategy = "one_for_one" })
    assert.equal("autoShutdown must be 'never', 'anySignificant' or "
      .. "'allSignificant', got true", complaint { autoShutdown = true })
  end)

  it("refuses limits that are none", function()
    local integer = "maxRestarts must be an integer from 0 on or math.huge, "
      .. "got "
    assert.equal(integer .. "-1", complaint { maxRestarts = -1 })
    assert.equal(integer .. "1.5", complaint { maxRestarts = 1.5 })
    assert.equal(integer .. "the string '1'", complaint { maxRestarts = "1" })
    assert.equal("within must be more than 0 seconds, got 0",
      complaint { within = 0 })
    assert.matches("^within must be more than 0 seconds, got %-?nan$",
      complaint { within = 0 / 0 })
  end)

  it("refuses a back-off that is none", function()
    local function of(backoff) return complaint { backoff = backoff } end

    assert.equal("backoff must be a table, got 5", of(5))
    assert.equal("unknown option the string 'min' of backoff; it knows factor, "
      .. "first, jitter, max", of { min = 1 })
    assert.equal("backoff.first must be 0 seconds or more, got -1",
      of { first = -1 })
    assert.equal("backoff.max must be 0 seconds or more, got the string '1'",
      of { max = "1" })
    assert.equal("backoff.factor must be a number from 1 on, got 0.5",
      of { factor = 0.5 })
    assert.equal("backoff.jitter must be a number from 0 to 1, got 1.5",
      of { jitter = 1.5 })
  end)

  it("refuses an entry as a spawn does", function()
    local captured = 1
    assert.matches("^children%[1%]: entry captures 'captured' %(.-:%d+%); pass "
      .. "it as a property or require it inside$",
      complaintOfChild { entry = function() return captured end })
    assert.equal("children[1]: the entry must be a function, a module name, a "
      .. ".lua file or a supervisor, got nil", complaintOfChild {})
    assert.equal("children[1]: the entry is a function of C, which can't be "
      .. "sent", complaintOfChild { entry = print })
  end)

  it("refuses a malformed path, and an id that comes twice", function()
    assert.matches("^children%[1%]: malformed path 'a b': ",
      complaintOfChild { entry = entry, path = "a b" })
    assert.equal("children[1].path must be a string or nil, got 5",
      complaintOfChild { entry = entry, path = 5 })
    assert.equal("children[1].id must be a string or nil, got 5",
      complaintOfChild { entry = entry, id = 5 })
    assert.equal("children[2] has the id 'a' of children[1]",
      complaint { children = { { entry = entry, path = "a" },
        { entry = entry, path = "/other/a", id = "a" } } })
  end)

  it("refuses what can't be said of a child", function()
    local function of(name, value, more)
      return complaintOfChild({ entry = entry, [name] = value }, more)
    end

    assert.equal("children[1].restart must be 'permanent', 'transient' or "
      .. "'temporary', got the string 'always'", of("restart", "always"))
    assert.equal("children[1].shutdown must be seconds, 'kill' or 'infinity', "
      .. "got the string 'now'", of("shutdown", "now"))
    assert.equal("children[1].shutdown must be seconds, 'kill' or 'infinity', "
      .. "got -1", of("shutdown", -1))
    assert.equal("children[1].properties must be a table or nil, got 5",
      of("properties", 5))
    assert.equal("children[1].options must be a table or nil, got 5",
      of("options", 5))
    assert.matches("^children%[1%].options: unknown option the string 'x' of "
      .. "spawnIsolate; it knows ", of("options", { x = 1 }))
    assert.equal("children[1].options: option 'thread' must be 'own' or "
      .. "'shared', got 5", of("options", { thread = 5 }))
    assert.equal("children[1].options: option 'memory' must be bytes, or a "
      .. "text such as '64MB', got true", of("options", { memory = true }))
    assert.equal("children[1].options: option 'sandbox' must be 'safe', "
      .. "'none' or a table, got 5", of("options", { sandbox = 5 }))
    assert.equal("children[1].significant must be a boolean, got 5",
      of("significant", 5))
    assert.equal("children[1]: a permanent child can't be significant, as it "
      .. "never ends", of("significant", true,
        { autoShutdown = "anySignificant" }))
    assert.equal("children[1]: a child can be significant only where "
      .. "autoShutdown is 'anySignificant' or 'allSignificant'",
      complaintOfChild { entry = entry, significant = true,
        restart = "temporary" })
  end)
end)
