-- spawn_spec.lua - the arguments of a spawn, and its wait for a module; of
-- look-ups, the arguments.

local FakeCore = require "spec.support.fake_core"
local refusal = require "spec.support.refusal"

local function entry() end

-- An argument list with a call that takes it, as the methods of a context: they
-- end with that call.
local function complaintOf(fn, ...)
  local arguments = table.pack(...)
  local function method(...) return fn("handle", ...) end
  return refusal.of(function()
    local _ = method(table.unpack(arguments, 1, arguments.n))
  end)
end

describe("A spawn", function()
  local core, spawn, spawned

  before_each(function()
    spawned = {}
    core = FakeCore.new {
      spawn = function(handle, path, kind, what, properties, ticket, isShared)
        table.insert(spawned, { handle = handle, path = path, kind = kind,
          entry = what, properties = properties, ticket = ticket,
          isShared = isShared })
        if kind == "module" then return false end
        return "the ref"
      end,
    }
    spawn = core:load "spawn"
  end)

  -- What the C side is given for these arguments, without the ticket.
  local function given(...)
    FakeCore.start(spawn.isolate, "handle", ...)
    local last = spawned[#spawned]
    last.ticket = nil
    return last
  end

  it("of a function gives the ref at once", function()
    assert.equal("the ref", spawn.isolate("handle", "/a", entry))
  end)

  it("takes a path or none", function()
    assert.same({ handle = "handle", path = "/a", kind = "function",
      entry = entry }, given("/a", entry))
    assert.same({ handle = "handle", kind = "function", entry = entry },
      given(entry))
    assert.same({ handle = "handle", path = "/w/", kind = "function",
      entry = entry }, given("/w/", entry))
  end)

  it("takes properties with a path or without", function()
    local properties = { id = 1 }

    assert.equal(properties, given("/a", entry, properties).properties)
    assert.equal(properties, given(entry, properties).properties)
    assert.equal(properties, given("a.module", properties).properties)
  end)

  it("takes the option of its thread", function()
    local own = given("/a", entry, nil, { thread = "own" })
    local shared = given(entry, nil, { thread = "shared" })

    assert.same({ "/a", false }, { own.path, own.isShared })
    assert.same({ nil, true }, { shared.path, shared.isShared })
    assert.is_nil(given(entry, nil, {}).isShared)
  end)

  it("tells a file by its ending, with a path or without", function()
    local alone = given "lib/worker.lua"
    local absolute = given "/srv/worker.lua"
    local placed = given("/w", "/srv/worker.lua")

    assert.same({ "file", "lib/worker.lua" }, { alone.kind, alone.entry })
    assert.same({ "file", "/srv/worker.lua" },
      { absolute.kind, absolute.entry })
    assert.same({ "/w", "file", "/srv/worker.lua" },
      { placed.path, placed.kind, placed.entry })
  end)

  it("takes any other text for a module's name", function()
    local alone = given "workers.parser"
    local placed = given("/w", "workers.parser")

    assert.same({ "module", "workers.parser" }, { alone.kind, alone.entry })
    assert.same({ "/w", "module", "workers.parser" },
      { placed.path, placed.kind, placed.entry })
  end)

  it("may use globals in its entry", function()
    local function usesGlobals() return print end

    assert.equal(usesGlobals, given(usesGlobals).entry)
  end)

  describe("is refused, in the caller's line,", function()
    local function complaint(...) return complaintOf(spawn.isolate, ...) end

    after_each(function() assert.same({}, spawned) end)

    it("without an entry", function()
      assert.equal("the entry must be a function, a module name, a .lua "
        .. "file or a supervisor, got nil", complaint())
      assert.equal("an entry must follow the path '/a': a function, a module "
        .. "name, a .lua file or a supervisor, got nil", complaint "/a")
      assert.equal("an entry must follow the path '/a': a function, a module "
        .. "name, a .lua file or a supervisor, got a table",
        complaint("/a", { id = 1 }))
    end)

    it("with an entry of another type", function()
      assert.equal("the entry must be a function, a module name, a .lua "
        .. "file or a supervisor, got 5", complaint(5))
      assert.equal("the entry is an empty string", complaint "")
      assert.equal("the entry's name holds a byte 0", complaint "a\0b")
      assert.equal("the entry is a function of C, which can't be sent",
        complaint(print))
    end)

    it("with an entry that captures a local, which it names", function()
      local config = {}
      local function captures() return config end
      local line = debug.getinfo(captures, "S").linedefined

      assert.equal(("entry captures 'config' (%s:%d); pass it as a property "
        .. "or require it inside"):format(
        debug.getinfo(1, "S").short_src, line), complaint(captures))
    end)

    it("with a malformed path", function()
      assert.equal("malformed path 'a': it must begin with '/'",
        complaint("a", entry))
      assert.equal("malformed path '/a//b': a segment is empty",
        complaint("/a//b", entry))
      assert.equal("malformed path '/a\0': it holds a byte 0",
        complaint("/a\0", entry))
      assert.equal("a path must be a string, got 5", complaint(5, entry))
    end)

    it("with properties that are no table", function()
      assert.equal("the properties must be a table or nil, got the string 'p'",
        complaint("/a", entry, "p"))
      assert.equal("the properties must be a table or nil, got 5",
        complaint(entry, 5))
    end)

    it("with an option that is unknown", function()
      assert.equal("unknown option the string 'name' of spawnIsolate; "
        .. "it knows cpu, cpuTotal, mailbox, memory, sandbox, thread",
        complaint(entry, nil, { name = "a" }))
      assert.equal("option 'memory' must be bytes, or a text such as '64MB', "
        .. "got true", complaint(entry, nil, { memory = true }))
      assert.equal("option 'thread' must be 'own' or 'shared', "
        .. "got the string 'pool'",
        complaint(entry, nil, { thread = "pool" }))
      assert.equal("the options of spawnIsolate must be a table, got true",
        complaint("/a", entry, {}, true))
    end)
  end)

  it("gives a failure of the C side as it is", function()
    function core.spawn() return nil, "path in use: /a", "in use" end

    assert.same({ nil, "path in use: /a", "in use" },
      { spawn.isolate("handle", "/a", entry) })
  end)

  it("whose generated path is too long is refused", function()
    function core.spawn() return nil, "an argument is wrong", "invalid" end

    assert.equal("malformed path '/long/': with a generated segment it has "
      .. "more than 1,024 bytes", complaintOf(spawn.isolate, "/long/", entry))
  end)

  describe("of a module", function()
    local outcome

    local function spawnModule(handle)
      FakeCore.start(function()
        outcome = table.pack(spawn.isolate(handle or "handle", "a.module"))
      end)
      return spawned[#spawned].ticket
    end

    before_each(function() outcome = nil end)

    it("waits for its isolate", function()
      local ticket = spawnModule()
      assert.is_nil(outcome)

      core:raise("spawned", ticket, "the ref")

      assert.same({ n = 1, "the ref" }, outcome)
    end)

    it("is told apart from another that waits", function()
      local outcomes = {}
      for i = 1, 2 do
        FakeCore.start(function()
          outcomes[i] = spawn.isolate("handle", "a.module")
        end)
      end

      core:raise("spawned", spawned[2].ticket, "second")
      core:raise("spawned", spawned[1].ticket, "first")

      assert.same({ "first", "second" }, outcomes)
    end)

    it("gives the reason why it does not load", function()
      core:raise("spawned", spawnModule(), nil, "no such module", "load")

      assert.same({ n = 3, nil, "no such module", "load" }, outcome)
    end)

    it("ends when the node is down", function()
      spawnModule "handle"

      spawn.nodeDown "another"
      assert.is_nil(outcome)
      spawn.nodeDown "handle"

      assert.same({ n = 3, nil, "the node is down", "down" }, outcome)
    end)

    it("is refused where it can't wait; of a function it is not", function()
      local text, ref
      FakeCore.start(function()
        table.sort({ 2, 1 }, function()
          text = complaintOf(spawn.isolate, "a.module")
          ref = spawn.isolate("handle", entry)
          return false
        end)
      end)

      assert.matches("^can't wait here", text)
      assert.equal("the ref", ref)
    end)
  end)
end)

describe("A look-up", function()
  local core, spawn

  before_each(function()
    core = FakeCore.new {
      lookup = function(handle, path) return handle .. " " .. path end,
      list = function(handle, prefix) return { handle .. " " .. prefix } end,
    }
    spawn = core:load "spawn"
  end)

  it("asks the cluster for the path, or for all beneath a prefix", function()
    assert.equal("handle /a", spawn.lookup("handle", "/a"))
    assert.same({ "handle /w/" }, spawn.list("handle", "/w/"))
    assert.same({ "handle /" }, spawn.list("handle", "/"))
  end)

  it("refuses what is no path, in the caller's line", function()
    assert.equal("a path must be a string, got nil", complaintOf(spawn.lookup))
    assert.equal("malformed path 'a': it must begin with '/'",
      complaintOf(spawn.lookup, "a"))
    assert.equal("malformed path '/a/': a segment is empty",
      complaintOf(spawn.lookup, "/a/"))
  end)

  it("refuses what is no prefix, in the caller's line", function()
    assert.equal("a prefix must be a string, got 5",
      complaintOf(spawn.list, 5))
    assert.equal("malformed path '/a': a prefix must end in '/'",
      complaintOf(spawn.list, "/a"))
  end)
end)
