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

  it("blames the line that asks for a probe with a wrong path", function()
    local cluster = testing.cluster()
    local function probe(path) cluster:probe(path) end
    cluster:probe "/a"

    assert.matches("testing_spec.lua:%d+: malformed path '/a b': ",
      errorOf(probe, "/a b"))
    assert.matches("testing_spec.lua:%d+: path in use: /a",
      errorOf(probe, "/a"))
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

    assert.matches("1 descriptor is left: /dev/null", text, 1, true)
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

  it("tells of the isolates as they were before it ended them", function()
    local cluster = testing.cluster()
    cluster:spawnIsolate("/stubborn", function(context)
      context.onShutdownRequest = function() end
      context:onMessage(function() end)
    end):send(1)
    cluster:settle()

    local text = errorOf(testing.finish)

    assert.matches("/stubborn: 0 in the mailbox, 1 received, 0 sent", text, 1,
      true)
  end)

  it("lets an isolate take its time to end", function()
    local cluster = testing.cluster()
    cluster:spawnIsolate(function(context)
      context.onShutdownRequest = function()
        context:sleep(0.05)
        context:shutdownIsolate()
      end
    end)

    testing.finish()
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

-- What busted prints of a file of specs.
local function bustedOn(spec, options)
  options = options or {}
  options.files = { ["failing_spec.lua"] = [[
    local testing = require "isolate_cluster.testing"
  ]] .. spec }
  local result = command.run([[
    arg = { [0] = "busted", "failing_spec.lua" }
    require "busted.runner" { standalone = false }
  ]], options)
  return result.stdout .. result.stderr, result.status
end

local function countOf(text, part)
  local count, at = 0, 1
  while true do
    local first, last = text:find(part, at, true)
    if not first then return count end
    count, at = count + 1, last + 1
  end
end

describe("A failing spec", function()
  it("prints the seed, what isolates wrote, and the trace", function()
    local text = bustedOn([[
      describe("it", function()
        after_each(function() testing.finish() end)
        it("fails", function()
          local cluster = testing.cluster { time = "virtual" }
          cluster:spawnIsolate("/a", function() print "hello" end)
          cluster:wait()
          assert.equal(1, 2)
        end)
      end)
    ]], { environment = "ISOLATE_SEED=77" })

    assert.matches("the cluster of the failed test 'it fails'", text, 1, true)
    assert.matches("ISOLATE_SEED=77 runs it again", text, 1, true)
    assert.matches("hello", text, 1, true)
    assert.matches("/a ends: done", text, 1, true)
  end)

  it("is told of once, where a probe has told of the cluster", function()
    local text = bustedOn [[
      describe("it", function()
        after_each(function() testing.finish() end)
        it("fails", function()
          local cluster = testing.cluster { seed = 5 }
          cluster:probe("/here"):expect("nothing", 1)
        end)
      end)
    ]]

    assert.equal(1, countOf(text, "/here: 0 in the mailbox"))
    assert.equal(1, countOf(text, "ISOLATE_SEED=5"))
  end)

  it("is named where it leaves something", function()
    local text, status = bustedOn [[
      describe("a file", function()
        after_each(function() testing.finish() end)
        it("is closed", function() testing.cluster() end)
        it("is left", function()
          testing.cluster()
          left = io.open "/dev/null"
        end)
      end)
    ]]

    assert.matches("failing_spec.lua:%d+: after the test 'a file is left':\n"
      .. "1 descriptor is left: /dev/null\n", text)
    assert.equal(1, status)
  end)

  it("that does not finish is named, and not the next one", function()
    local text, status = bustedOn [[
      describe("a cluster", function()
        it("is left up", function() testing.cluster() end)
        it("is not made", function() testing.cluster() end)
      end)
    ]]

    assert.matches("failing_spec.lua:%d+: the test 'a cluster is left up' has "
      .. "left its cluster up: testing.finish%(%) in after_each", text)
    assert.matches("a cluster of the test 'a cluster is left up' was left up",
      text, 1, true)
    assert.equal(1, status)
  end)

  it("that does not finish makes the suite fail, if it is the last, too",
    function()
      local text, status = bustedOn [[
        it("leaves it up", function() testing.cluster() end)
      ]]

      assert.matches("1 success", text, 1, true)
      assert.matches("a cluster of the test 'leaves it up' was left up", text,
        1, true)
      assert.equal(1, status)
    end)

  it("may share a cluster with others", function()
    local text, status = bustedOn [[
      describe("a cluster", function()
        setup(function() testing.cluster() end)
        teardown(function() testing.finish() end)
        for i = 1, 2 do it("is shared " .. i, function() end) end
      end)
    ]]

    assert.matches("2 successes", text, 1, true)
    assert.equal(0, status)
  end)

  it("of many seeds is at its line, with the calls in between", function()
    local text = bustedOn [[
      it("fails", function()
        testing.seeds(3, function() error "on purpose" end)
      end)
    ]]

    assert.matches("failing_spec.lua:3: seed 1 of 3 failed; ISOLATE_SEED=1 runs"
      .. " it alone\nfailing_spec.lua:3: on purpose\nstack traceback:\n"
      .. "[^\n]*failing_spec.lua:3[^\n]*\nseed 1: ", text)
  end)
end)
