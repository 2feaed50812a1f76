-- group_spec.lua - whom a group sends to; its members are the spec's.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

describe("A group", function()
  local core, Group, members, version, lookups, received

  -- A member that gets all, or one whose send gives nil, a text and the code.
  local function member(name, code)
    local ref = { name = name, isMember = true }
    function ref:send(value, options)
      if code then return nil, name .. " refuses", code end
      received[#received + 1] = self.name .. " " .. tostring(value)
        .. (options and " " .. options.type or "")
      return true
    end
    return ref
  end

  -- The members that are looked up from now on.
  local function setMembers(...)
    members, version = { ... }, version + 1
  end

  -- As context:group does: it ends with this call.
  local function group(prefix, options)
    return Group.new("handle", prefix, options)
  end

  before_each(function()
    members, version, lookups, received = {}, 0, 0, {}
    core = FakeCore.new {
      isRef = function(value)
        return type(value) == "table" and value.isMember
      end,
      version = function() return version end,
      list = function(_, prefix)
        assert.equal("/workers/", prefix)
        lookups = lookups + 1
        return members
      end,
    }
    Group = core:load "group"
    setMembers(member "a", member "b", member "c")
  end)

  describe("that sends in turn", function()
    it("gives each value to the next member", function()
      local workers = group "/workers/"

      for i = 1, 5 do assert.is_true(workers:send(i)) end

      assert.same({ "a 1", "b 2", "c 3", "a 4", "b 5" }, received)
    end)

    it("passes the options on", function()
      group("/workers/", { select = "roundRobin" }):send(1, { type = "job" })

      assert.same({ "a 1 job" }, received)
    end)

    it("has a turn of its own", function()
      group "/workers/":send(1)
      group "/workers/":send(2)

      assert.same({ "a 1", "a 2" }, received)
    end)

    it("passes over those that have ended", function()
      setMembers(member("a", "gone"), member("b", "gone"), member "c")
      local workers = group "/workers/"

      assert.is_true(workers:send(1))
      assert.is_true(workers:send(2))

      assert.same({ "c 1", "c 2" }, received)
    end)

    it("tells when all have ended", function()
      setMembers(member("a", "gone"), member("b", "gone"))

      assert.same({ nil, "b refuses", "gone" }, { group "/workers/":send(1) })
    end)

    it("tells of any other failure at once", function()
      setMembers(member("a", "unsendable"), member "b")

      assert.same({ nil, "a refuses", "unsendable" },
        { group "/workers/":send(1) })
      assert.same({}, received)
    end)

    it("goes on when the members change", function()
      local workers = group "/workers/"
      for i = 1, 3 do workers:send(i) end

      setMembers(member "a")
      workers:send(4)

      assert.equal("a 4", received[4])
    end)
  end)

  describe("that sends to all", function()
    local function sendToAll(...)
      return group("/workers/", { select = "all" }):send(...)
    end

    it("gives the value to each member", function()
      assert.is_true(sendToAll("v", { type = "job" }))

      assert.same({ "a v job", "b v job", "c v job" }, received)
    end)

    it("is content if one got it and the others have ended", function()
      setMembers(member("a", "gone"), member "b")

      assert.is_true(sendToAll "v")
    end)

    it("tells when all have ended, or the value can't be sent", function()
      setMembers(member("a", "gone"))
      assert.same({ nil, "a refuses", "gone" }, { sendToAll "v" })

      setMembers(member("a", "unsendable"))
      assert.same({ nil, "a refuses", "unsendable" }, { sendToAll "v" })
    end)
  end)

  describe("whose function selects", function()
    it("gives the value to the one that it returns", function()
      local workers = group("/workers/", {
        select = function(refs, value) return refs[value] end })

      workers:send(3)
      workers:send(1)

      assert.same({ "c 3", "a 1" }, received)
    end)

    it("tells if that is nobody", function()
      local workers = group("/workers/", { select = function() end })

      assert.same({ nil, "the group /workers/ selected nobody", "not found" },
        { workers:send(1) })
    end)

    it("is told that it must return a ref", function()
      local workers = group("/workers/", { select = function() return 5 end })

      assert.equal("the group's select function must return a ref or nil, "
        .. "got 5", refusal.of(function()
          local _ = workers:send(1)
        end))
    end)
  end)

  it("without members says so", function()
    setMembers()

    assert.same({ nil, "no isolate beneath /workers/", "not found" },
      { group "/workers/":send(1) })
  end)

  it("looks its members up again only after a change", function()
    local workers = group "/workers/"
    workers:send(1)
    workers:send(2)
    assert.equal(1, lookups)

    setMembers(member "d")
    workers:send(3)

    assert.equal(2, lookups)
    assert.equal("d 3", received[3])
  end)

  it("gives a list that may be changed", function()
    local workers = group "/workers/"

    table.remove(workers:list())

    assert.equal(3, #workers:list())
  end)

  describe("that is asked for wrongly", function()
    local function complaintOf(...)
      local arguments = table.pack(...)
      return refusal.of(function()
        local _ = group(table.unpack(arguments, 1, arguments.n))
      end)
    end

    it("names a bad prefix", function()
      assert.equal("a group's prefix must be a string, got nil", complaintOf())
      assert.equal("malformed path '/workers': a prefix must end in '/'",
        complaintOf "/workers")
    end)

    it("names a bad option", function()
      assert.equal("unknown option the string 'by' of context:group; "
        .. "it knows select", complaintOf("/workers/", { by = 1 }))
      assert.equal("option 'select' must be 'roundRobin', 'all' or a function, "
        .. "got the string 'random'",
        complaintOf("/workers/", { select = "random" }))
      assert.equal("option 'select' must be 'roundRobin', 'all' or a function, "
        .. "got false", complaintOf("/workers/", { select = false }))
    end)

    it("wants a value to send, and known options", function()
      local workers = group "/workers/"

      assert.equal("group:send wants a value to send, got nothing",
        refusal.of(function() workers:send() end))
      assert.matches("^unknown option the string 'to' of group:send",
        refusal.of(function() workers:send(1, { to = 1 }) end))
      assert.equal("option 'type' must be a string or nil, got 5",
        refusal.of(function() workers:send(1, { type = 5 }) end))
      assert.equal("option 'replyTo' must be a ref or nil, got 5",
        refusal.of(function() workers:send(1, { replyTo = 5 }) end))
      assert.same({}, received)
    end)

    it("asks for the colon", function()
      local workers = group "/workers/"

      assert.equal("group:send is a method: write group:send(...), with a "
        .. "colon (group expected before it, got 1)",
        refusal.of(function() workers.send(1) end))
      assert.matches("^group:list is a method",
        refusal.of(function() workers.list() end))
    end)
  end)
end)
