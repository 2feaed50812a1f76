-- properties_spec.lua - what an isolate is given at its spawn, for all to read.

local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

describe("Properties", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  it("are read from the context, as a table and one by one", function()
    cluster:spawnIsolate("/a", function(context)
      context:property "probe":send {
        one = context:property "one", again = context.properties.one,
        list = context:property "list", missing = context:property "missing",
        no = context:property "no", byNumber = context:property(1),
        byTrue = context:property(true),
      }
    end, { probe = probe.ref, one = 1, list = { 2, { 3 } }, no = false,
           "first", [true] = "true" })

    assert.same({ { one = 1, again = 1, list = { 2, { 3 } }, no = false,
      byNumber = "first", byTrue = "true" } }, probe:heard(1))
  end)

  it("are read from every ref", function()
    local ref = cluster:spawnIsolate("/w/a", "spec.support.idle",
      { type = "receiver", list = { 1, 2 }, no = false, [1] = "first" })

    local seen = probe:inside(function(context)
      local found = context:lookupIsolate "/w/a"
      return { found:property "type", found:property "list",
        found:property "no", found:property(1) }
    end)

    assert.same({ "receiver", { 1, 2 }, false, "first" }, seen)
    assert.equal("receiver", ref:property "type")
    assert.same({ 1, 2 }, ref:property "list")
    assert.is_false(ref:property "no")
    assert.is_nil(ref:property "missing")
    assert.equal("receiver", cluster:lookupIsolates("/w/")[1]:property "type")
  end)

  it("are read from the sender of a message, and after its death", function()
    local viewer = probe:spawn("/viewer", function(context)
      local kept
      context:onMessage(function(_, message)
        kept = kept or message
        context:property "probe":send(kept.sender:property "name")
      end)
    end)
    local sender = probe:spawn("/sender", function(context)
      context:property "to":send "hello"
    end, { to = viewer, name = { "sender" } })
    probe:reasonOf(sender)
    viewer:send "once more"

    assert.same({ { "sender" }, { "sender" } }, probe:heard(2))
    assert.same({ "sender" }, sender:property "name")
  end)

  it("are there when the isolate is announced", function()
    local types = {}
    cluster.onIsolateUp:listen(function(ref)
      types[#types + 1] = ref:property "type"
    end)
    local subscription = cluster.onIsolateDown:listen(function(ref, reason)
      types[#types + 1] = reason .. " " .. ref:property "type"
    end)

    local ref = cluster:spawnIsolate("/a", function() end, { type = "short" })
    probe:reasonOf(ref)
    subscription:cancel()

    assert.same({ "short", "done short" }, types)
  end)

  it("are empty if none are given", function()
    local ref = cluster:spawnIsolate("/a", function(context)
      context:onMessage(function(_, message)
        message:reply { next(context.properties) == nil,
          context:property "x" == nil }
      end)
    end)

    assert.same({ true, true }, ref:request(nil, { timeout = 10 }))
    assert.is_nil(ref:property "x")
  end)

  it("are copied once", function()
    local properties = { list = { 1 } }
    local ref = cluster:spawnIsolate("/a", function(context)
      context:onMessage(function(_, message)
        message:reply(context:property "list")
      end)
    end, properties)

    properties.list[1] = "changed"
    properties.list = nil

    assert.same({ 1 }, ref:property "list")
    assert.same({ 1 }, ref:request(nil, { timeout = 10 }))
  end)

  it("are not changed for others by who changes its copy", function()
    local ref = cluster:spawnIsolate("/a", function(context)
      context.properties.list[1] = "changed"
      context.properties.new = "new"
      context:onMessage(function(_, message) message:reply "changed" end)
    end, { list = { 1 } })
    ref:request(nil, { timeout = 10 })

    local seen = probe:inside(function(context)
      local found = context:lookupIsolate "/a"
      return { found:property "list", found:property "new" }
    end)

    assert.same({ { 1 } }, seen)
    assert.same({ 1 }, ref:property "list")
  end)

  it("keep the identity of their tables, and lose metatables", function()
    local shared = setmetatable({ "s" }, { __index = { inherited = 1 } })

    local ref = cluster:spawnIsolate("/a", "spec.support.idle",
      { all = { shared, shared } })

    local all = ref:property "all"
    assert.is_true(rawequal(all[1], all[2]))
    assert.is_nil(all[1].inherited)
    assert.same({ "s" }, all[1])
  end)

  it("must be a table", function()
    assert.equal("the properties must be a table or nil, got 5",
      refusal.of(function()
        cluster:spawnIsolate("/a", "spec.support.idle", 5)
      end))
    assert.equal("the properties must be a table or nil, got true",
      refusal.of(function() cluster:spawnIsolate(function() end, true) end))
  end)

  it("are asked for by a key", function()
    local texts = probe:inside(function(context)
      local raised = require("spec.support.refusal").of
      return {
        raised(function() context:property() end),
        raised(function() context.property "x" end),
      }
    end)

    assert.same({ "context:property wants a key, got nil",
      "context:property is a method: write context:property(...), with a "
        .. "colon (context expected before it, got the string 'x')" }, texts)
  end)
end)
