-- limits_spec.lua - what the options of limits may be, and what C gets of them.

require "isolate_cluster"
local limits = require "isolate_cluster.limits"
local refusal = require "spec.support.refusal"

local function complaint(options)
  return refusal.of(function()
    local function method() local _ = limits.of(options, 2) end
    method()
  end)
end

describe("Options of limits", function()
  it("are nil where there are none", function()
    assert.is_nil(limits.of(nil, 1))
    assert.is_nil(limits.of({ thread = "own" }, 1))
  end)

  it("take sizes in bytes, and in units of 1024", function()
    local sizes = {}
    for i, size in ipairs { 1000, "1000B", "1KB", "64MB", "1.5MB", "2 GB",
      4096.0 } do
      sizes[i] = limits.of({ memory = size }, 1).memory
    end

    assert.same({ 1000, 1000, 1024, 64 << 20, 3 << 19, 2 << 30, 4096 }, sizes)
  end)

  it("take seconds, and false for no limit", function()
    assert.same({ cpu = 0.5, cpuTotal = false },
      limits.of({ cpu = 0.5, cpuTotal = false }, 1))
  end)

  it("take what a mailbox may hold", function()
    assert.same({ messages = 10, bytes = 1024, whenFull = 2 }, limits.of({
      mailbox = { messages = 10, bytes = "1KB", whenFull = "dropOldest" } }, 1))
    assert.same({ messages = false, bytes = false },
      limits.of({ mailbox = false }, 1))
  end)

  it("are refused with what was expected", function()
    assert.equal("option 'memory' must be bytes, or a text such as '64MB', "
      .. "got the string '64'", complaint { memory = "64" })
    assert.equal("option 'memory' must be bytes, or a text such as '64MB', "
      .. "got the string '1TB'", complaint { memory = "1TB" })
    assert.equal("option 'memory' must be bytes, or a text such as '64MB', "
      .. "got 0", complaint { memory = 0 })
    assert.equal("option 'cpu' must be more than 0 seconds, got 0",
      complaint { cpu = 0 })
    assert.equal("option 'cpuTotal' must be more than 0 seconds, got the "
      .. "string '1'", complaint { cpuTotal = "1" })
    assert.equal("option 'mailbox' must be a table, got 5",
      complaint { mailbox = 5 })
    assert.equal("option 'mailbox.messages' must be a positive integer, "
      .. "got 1.5", complaint { mailbox = { messages = 1.5 } })
    assert.equal("unknown field the string 'size' of the option 'mailbox'; it "
      .. "knows bytes, messages, whenFull",
      complaint { mailbox = { size = 1 } })
    assert.equal("option 'mailbox.whenFull' must be 'fail', 'wait', "
      .. "'dropOldest' or 'dropNewest', got the string 'block'",
      complaint { mailbox = { whenFull = "block" } })
  end)

  it("of a node are a table of their own", function()
    local function ofNode(options)
      return refusal.of(function()
        local function method() local _ = limits.ofNode(options, 2) end
        method()
      end)
    end

    assert.same({ cpu = 1 }, limits.ofNode({ limits = { cpu = 1 } }, 1))
    assert.equal("option 'limits' must be a table, got 5",
      ofNode { limits = 5 })
    assert.equal("unknown limit the string 'thread'; singleNode knows cpu, "
      .. "cpuTotal, mailbox, memory", ofNode { limits = { thread = "own" } })
  end)
end)
