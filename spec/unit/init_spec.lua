-- init_spec.lua - the module's table.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

describe("The module", function()
  it("sets no global", function()
    local before = {}
    for name in pairs(_G) do before[name] = true end
    local kept = package.loaded["isolate_cluster"]
    package.loaded["isolate_cluster"] = nil

    require "isolate_cluster"
    package.loaded["isolate_cluster"] = kept

    local added = {}
    for name in pairs(_G) do
      if not before[name] then table.insert(added, name) end
    end
    assert.same({}, added)
  end)

  it("knows its version", function()
    assert.matches("^%d+%.%d+%.%d+$", IsolateCluster.version)
  end)

  it("is the same in an isolate", function()
    local probe = Probe.new()
    finally(function() probe:close() end)

    local names = probe:inside(function()
      local list = {}
      for name in pairs(require "isolate_cluster") do
        table.insert(list, name)
      end
      table.sort(list)
      return list
    end)

    assert.same({ "decode", "encode", "singleNode", "supervisor",
      "version" }, names)
  end)
end)

describe("IsolateCluster.singleNode", function()
  it("starts a cluster that is up, each time another", function()
    local first = IsolateCluster.singleNode()
    local second = IsolateCluster.singleNode {}

    assert.is_true(first.up and second.up)
    assert.are_not.equal(first, second)
    assert.is_true(first:shutdown())
    assert.is_true(second.up)
    assert.is_true(second:shutdown())
  end)

  it("takes what runs the isolates, and how many threads may", function()
    for _, thread in ipairs { "own", "shared" } do
      local cluster = IsolateCluster.singleNode {
        thread = thread, threads = 1 }
      assert.is_true(cluster:shutdown())
    end
  end)

  it("refuses options that it does not know", function()
    assert.equal("unknown option the string 'name' of singleNode; "
      .. "it knows isolates, limits, sandbox, stuckAfter, thread, threads",
      refusal.of(function() IsolateCluster.singleNode { name = "n" } end))
    assert.equal("option 'thread' must be 'own' or 'shared', got true",
      refusal.of(function() IsolateCluster.singleNode { thread = true } end))
    for _, threads in ipairs { 0, 1025, 1.5, "2" } do
      assert.matches("^option 'threads' must be an integer from 1 to 1024, got",
        refusal.of(function()
          IsolateCluster.singleNode { threads = threads }
        end))
      assert.matches("^option 'isolates' must be an integer from 1 to 10+, got",
        refusal.of(function()
          IsolateCluster.singleNode { isolates = threads ~= 1025 and threads }
        end))
    end
    assert.equal("the options of singleNode must be a table, got 5",
      refusal.of(function() IsolateCluster.singleNode(5) end))
  end)

  it("asks for the dot", function()
    assert.equal("write IsolateCluster.singleNode(...), with a dot",
      refusal.of(function() IsolateCluster:singleNode() end))
  end)

  it("is refused in an isolate", function()
    local probe = Probe.new()
    finally(function() probe:close() end)

    local text = probe:inside(function()
      local IC = require "isolate_cluster"
      return select(2, pcall(function() IC.singleNode() end))
    end)

    assert.matches("an isolate can't start a cluster; it is in one: "
      .. "use its context$", text)
  end)
end)

describe("IsolateCluster.encode", function()
  it("wants a value, which may be nil", function()
    assert.equal("\xf6", IsolateCluster.encode(nil))
    assert.equal("IsolateCluster.encode wants a value, got nothing",
      refusal.of(function() IsolateCluster.encode() end))
  end)

  it("takes one value", function()
    assert.equal("\x01", IsolateCluster.encode(1, 2, 3))
  end)

  it("gives nil, a text and a code for what can't be sent", function()
    local bytes, text, code = IsolateCluster.encode { list = { print } }

    assert.is_nil(bytes)
    assert.matches("list%[1%]: a C function can't be sent$", text)
    assert.equal("unsendable", code)
  end)
end)

describe("IsolateCluster.decode", function()
  it("wants a string, and no number for it", function()
    assert.equal("what IsolateCluster.decode reads must be a string, got nil",
      refusal.of(function() IsolateCluster.decode() end))
    assert.equal("what IsolateCluster.decode reads must be a string, got 1",
      refusal.of(function() IsolateCluster.decode(1) end))
  end)

  it("gives nil, a text and a code for malformed bytes", function()
    local value, text, code = IsolateCluster.decode "\xff"

    assert.is_nil(value)
    assert.is_string(text)
    assert.equal("malformed", code)
  end)

  it("says how a supervisor is written", function()
    assert.equal("write IsolateCluster.supervisor(...), with a dot",
      refusal.of(function() IsolateCluster:supervisor {} end))
    assert.equal("strategy must be 'oneForOne', 'oneForAll' or 'restForOne', "
      .. "got 1",
      refusal.of(function() IsolateCluster.supervisor { strategy = 1 } end))
  end)
end)
