-- testing_spec.lua - clusters under test: what is captured, what is left.

local command = require "spec.support.command"
local testing = require "isolate_cluster.testing"

local itUnlessSanitized = command.SANITIZED and pending or it

local function echo(context)
  context:onMessage(function(value, message) message:reply(value) end)
end

-- The text that fn raises.
local function errorOf(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  return text
end

describe("A cluster under test", function()
  after_each(function() testing.finish() end)

  it("keeps what isolates print", function()
    local cluster = testing.cluster()
    cluster:spawnIsolate("/a", function()
      print("one", 2)
      io.write "un"
      io.write "finished"
    end)
    cluster:spawnIsolate("/b", function() io.stderr:write "from b\n" end)
    cluster:wait()

    assert.equal("one\t2\nunfinished", cluster:output "/a")
    assert.equal("from b\n", cluster:output "/b")
    assert.equal(#"one\t2\nunfinished" + #"from b\n", #cluster:output())
  end)

  it("keeps the errors that nobody caught", function()
    local cluster = testing.cluster()
    cluster:spawnIsolate("/bad", function() error "on purpose" end)
    cluster:wait()

    local errors = cluster:errors()

    assert.equal(1, #errors)
    assert.equal("/bad", errors[1].path)
    assert.matches("on purpose", errors[1].text, 1, true)
    assert.same(errors, cluster:errors "/bad")
    assert.same({}, cluster:errors "/good")
  end)

  it("takes the options of singleNode, and refuses others", function()
    assert.is_true(testing.cluster({ thread = "shared", threads = 1 }).up)
    assert.has_error(function() testing.cluster { tread = "own" } end)
    assert.has_error(function() testing.cluster { seed = 1.5 } end,
      "option 'seed' must be an integer, got 1.5")
    assert.has_error(function() testing.cluster { time = "fast" } end,
      "option 'time' must be 'real' or 'virtual', got the string 'fast'")
  end)

  it("lets real time go by", function()
    local cluster = testing.cluster()
    local probe = cluster:probe()
    cluster:spawnIsolate(function(context)
      context:sleep(0.01)
      context:property "to":send "slept"
    end, { to = probe.ref })

    cluster:advance(0.02)

    assert.same({ "slept" }, probe:messages())
  end)

  it("has no trace if threads run it", function()
    local cluster = testing.cluster()

    assert.has_error(function() cluster:trace() end,
      "cluster:trace wants a cluster with a seed, or virtual time")
  end)
end)

describe("testing.finish", function()
  it("shuts down what is up", function()
    local cluster = testing.cluster()
    cluster:spawnIsolate(echo)

    testing.finish()

    assert.is_false(cluster.up)
    testing.finish()
  end)

  it("complains of a descriptor that is left", function()
    testing.cluster()
    local file <close> = assert(io.open "/dev/null")

    local text = errorOf(testing.finish)

    assert.matches("1 descriptors are left", text, 1, true)
    assert.is_truthy(file)
  end)

  it("complains of an isolate that did not agree to end, and names it",
    function()
      local cluster = testing.cluster { seed = 1 }
      cluster:spawnIsolate("/stubborn", function(context)
        context.onShutdownRequest = function() end
        print "staying"
      end)

      local text = errorOf(testing.finish)

      assert.matches("had to be stopped by force: /stubborn", text, 1, true)
      assert.matches("staying", text, 1, true)
      assert.matches("seed 1: ISOLATE_SEED=1", text, 1, true)
    end)
end)

describe("Under plain Lua", function()
  -- Where the module is sanitized it needs a preload.
  itUnlessSanitized("is found before isolate_cluster is", function()
    local result = command.run([[
      local testing = require "isolate_cluster.testing"
      local probe = testing.cluster({ seed = 2 }):probe()
      probe.ref:send "hello"
      print((probe:expect()))
      testing.finish()
    ]], { program = command.plainLua() })

    assert.equal("hello\n", result.stdout)
  end)
end)

describe("A failing spec", function()
  it("prints the seed, what isolates wrote, and the trace", function()
    local result = command.run([[
      arg = { [0] = "busted", "failing_spec.lua" }
      require "busted.runner" { standalone = false }
    ]], {
      files = {
        ["failing_spec.lua"] = [[
          local testing = require "isolate_cluster.testing"
          describe("it", function()
            after_each(function() testing.finish() end)
            it("fails", function()
              local cluster = testing.cluster { time = "virtual" }
              cluster:spawnIsolate("/a", function() print "hello" end)
              cluster:wait()
              assert.equal(1, 2)
            end)
          end)
        ]],
      },
      environment = "ISOLATE_SEED=77",
    })

    assert.matches("ISOLATE_SEED=77 runs it again", result.stderr, 1, true)
    assert.matches("hello", result.stderr, 1, true)
    assert.matches("/a ends: done", result.stderr, 1, true)
  end)
end)
