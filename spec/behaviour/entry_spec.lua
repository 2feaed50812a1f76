-- entry_spec.lua - what may be an entry, what an entry gets, what does not
-- load, and for how long an isolate lives.

local Probe = require "spec.support.probe"
local Scratch = require "spec.support.scratch"
local refusal = require "spec.support.refusal"

describe("An entry", function()
  local probe, cluster, scratch

  before_each(function()
    probe, scratch = Probe.new(), Scratch.new()
    cluster = probe.cluster
  end)

  after_each(function()
    probe:close()
    scratch:remove()
  end)

  it("that is a function is called with the context alone", function()
    probe:spawn("/a", function(...)
      local context = ...
      context:property "probe":send { select("#", ...), context.path }
    end)

    assert.same({ { 1, "/a" } }, probe:heard(1))
  end)

  it("that is a function may use globals", function()
    probe:spawn("/a", function(context)
      local words = {}
      for word in string.gmatch("b a", "%a") do table.insert(words, word) end
      table.sort(words)
      context:property "probe":send(words)
    end)

    assert.same({ { "a", "b" } }, probe:heard(1))
  end)

  it("that is a module is called with the context alone", function()
    package.path = scratch:path "?.lua;" .. package.path
    finally(function() package.path = package.path:match ";(.*)" end)
    scratch:write("entry_module.lua", [[
      return function(...)
        local context = ...
        context:property "probe":send { select("#", ...), context.path }
      end
    ]])

    probe:spawn("/a", "entry_module")

    assert.same({ { 1, "/a" } }, probe:heard(1))
  end)

  it("that is a module is loaded anew for each isolate", function()
    package.path = scratch:path "?.lua;" .. package.path
    finally(function() package.path = package.path:match ";(.*)" end)
    scratch:write("counting.lua", [[
      loads = (loads or 0) + 1
      return function(context) context:property "probe":send(loads) end
    ]])

    probe:spawn("/a", "counting")
    probe:spawn("/b", "counting")

    assert.same({ 1, 1 }, probe:heard(2))
    assert.is_nil(package.loaded.counting)
  end)

  it("that is a file is a chunk with the context for its ...", function()
    local file = scratch:write("entry.lua", [[
      local context = ...
      context:property "probe":send { select("#", ...), context.path }
    ]])

    probe:spawn("/a", file)

    assert.same({ { 1, "/a" } }, probe:heard(1))
  end)

  it("that is a file may return a function, which is called too", function()
    local file = scratch:write("entry.lua", [[
      local outer = ...
      return function(...)
        local context = ...
        context:property "probe":send {
          select("#", ...), context.path, context == outer }
      end
    ]])

    probe:spawn("/a", file)

    assert.same({ { 1, "/a", true } }, probe:heard(1))
  end)

  it("that is a file may return something else, which is ignored", function()
    local file = scratch:write("entry.lua", [[
      local context = ...
      context:onMessage(function(_, message) message:reply "alive" end)
      return { not_a = "function" }
    ]])

    local ref = probe:spawn("/a", file)

    assert.equal("alive", ref:request(nil, { timeout = 10 }))
  end)

  it("keeps its file and lines for its errors", function()
    local line = debug.getinfo(1, "l").currentline
    probe:spawn("/a", function(context)
      context.onError:listen(function(err)
        context:property "probe":send(err.message)
      end)
      error "here"
    end)

    assert.same({ ("spec/behaviour/entry_spec.lua:%d: here"):format(line + 5) },
      { (probe:heard(1)[1]:gsub("^%./", "")) })
  end)

  it("must capture no local, which is named", function()
    local config = { verbose = true }

    local text = refusal.of(function()
      cluster:spawnIsolate("/a", function() return config end)
    end)

    assert.matches("^entry captures 'config' %(.*entry_spec%.lua:%d+%); "
      .. "pass it as a property or require it inside$", text)
    assert.is_nil(cluster:lookupIsolate "/a")
  end)

  it("must capture no local in a function inside it either", function()
    local config = { verbose = true }

    local text = refusal.of(function()
      cluster:spawnIsolate(function(context)
        context:onMessage(function() print(config) end)
      end)
    end)

    assert.matches("^entry captures 'config'", text)
  end)

  it("must be no function of C", function()
    local text = refusal.of(function() cluster:spawnIsolate("/a", print) end)

    assert.equal("the entry is a function of C, which can't be sent", text)
  end)
end)

describe("An entry that does not load", function()
  local probe, cluster, scratch, path

  before_each(function()
    probe, scratch = Probe.new(), Scratch.new()
    cluster, path = probe.cluster, package.path
    package.path = scratch:path "?.lua;" .. path
  end)

  after_each(function()
    package.path = path
    probe:close()
    scratch:remove()
  end)

  -- What the spawn answered; nothing of the isolate may be left.
  local function failedSpawn(entry)
    local before = cluster:stats()
    local ref, text, code = cluster:spawnIsolate("/broken", entry)
    local after = cluster:stats()
    assert.is_nil(ref)
    assert.equal("load", code)
    assert.equal("not found", (select(3, cluster:lookupIsolate "/broken")))
    assert.equal(before.live, after.live)
    assert.equal(before.spawned, after.spawned)
    assert.truthy(cluster:spawnIsolate("/broken", "spec.support.idle"))
    -- Had the broken one come up, its event would be here before this one.
    cluster:spawnIsolate("/last", "spec.support.idle")
    while probe.ups[#probe.ups] ~= "/last" do
      assert(cluster.onIsolateUp:next(10))
    end
    assert.same({ "/broken", "/last" },
      { table.unpack(probe.ups, #probe.ups - 1) })
    return text
  end

  it("for its module is missing", function()
    local text = failedSpawn "no_such.module"

    assert.matches("module 'no_such.module' not found", text, 1, true)
    assert.matches("no file '" .. scratch:path "no_such/module.lua'", text, 1,
      true)
    assert.matches("stack traceback:", text, 1, true)
  end)

  it("for its module does not compile", function()
    scratch:write("wrong.lua", "return function(context)\n  x = = 1\nend")

    local text = failedSpawn "wrong"

    assert.matches("wrong.lua:2: unexpected symbol near '='", text, 1, true)
    assert.matches("stack traceback:", text, 1, true)
  end)

  it("for its module raises", function()
    scratch:write("raising.lua", [[
      local function configure() error("no configuration") end
      configure()
    ]])

    local text = failedSpawn "raising"

    assert.matches("raising.lua:1: no configuration", text, 1, true)
    assert.matches("stack traceback:", text, 1, true)
    assert.matches("in %a+ 'configure'", text)
  end)

  it("for its module raises a table", function()
    scratch:write("raising.lua", "error {}")

    local text = failedSpawn "raising"

    assert.matches("error object is a table value", text, 1, true)
  end)

  it("for its module returns no function", function()
    scratch:write("numeric.lua", "return 42")
    scratch:write("silent.lua", "")

    local number = failedSpawn "numeric"
    cluster:shutdown(10)
    probe = Probe.new()
    cluster = probe.cluster
    local nothing = failedSpawn "silent"

    assert.matches("module 'numeric' must return a function, got number",
      number, 1, true)
    assert.matches("module 'silent' must return a function, got boolean",
      nothing, 1, true)
  end)

  it("for its file is missing", function()
    local text = failedSpawn "no/such/file.lua"

    assert.matches("cannot open no/such/file.lua", text, 1, true)
    assert.matches("stack traceback:", text, 1, true)
  end)

  it("for its file does not compile", function()
    local text = failedSpawn(scratch:write("wrong.lua", "\nlocal = 1"))

    assert.matches("wrong.lua:2: <name> expected near '='", text, 1, true)
    assert.matches("stack traceback:", text, 1, true)
  end)

  it("is told to an isolate that spawns in the same way", function()
    scratch:write("raising.lua", "error 'no configuration'")

    local answer = probe:inside(function(context)
      return { context:spawnIsolate("/broken", "raising") }
    end)

    assert.is_nil(answer[1])
    assert.matches("raising.lua:1: no configuration", answer[2], 1, true)
    assert.equal("load", answer[3])
  end)
end)

describe("An isolate", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  it("is done when its entry has left nothing that calls it", function()
    local ref = probe:spawn("/a", function() end)

    assert.equal("done", probe:reasonOf(ref))
    assert.is_false(ref.alive)
  end)

  it("is done though it still listens to its errors", function()
    local ref = probe:spawn("/a", function(context)
      context.onError:listen(function() end)
    end)

    assert.equal("done", probe:reasonOf(ref))
  end)

  it("lives as long as it has a listener", function()
    local ref = probe:spawn("/a", function(context)
      local subscription
      subscription = context.onMessage:listen(function(value)
        context:property "probe":send(value)
        if value == "last" then subscription:cancel() end
      end)
    end)
    ref:send "first"
    ref:send "last"

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ "first", "last" }, probe:heard(2))
  end)

  local events = { "onIsolateUp", "onIsolateDown", "onShutdownRequest" }
  for _, name in ipairs(events) do
    it("lives as long as it listens to " .. name, function()
      local ref = probe:spawn("/a", function(context)
        context[context:property "event"]:listen(function()
          context:shutdownIsolate()
        end)
        context:property "probe":send "listens"
      end, { event = name })
      probe:heard(1)

      -- A while in which it would have ended: another lives and ends.
      local other = probe:spawn("/b", function() end)
      probe:reasonOf(other)
      if name == "onShutdownRequest" then
        assert.is_true(ref.alive)
        assert.is_true(probe.cluster:shutdown(10))
      end

      assert.equal("shutdown", probe:reasonOf(ref))
    end)
  end

  it("lives as long as it has a timer", function()
    local ref = probe:spawn("/a", function(context)
      context:after(0.01, function()
        context:property "probe":send "fired"
      end)
    end)

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ "fired" }, probe:heard(1))
  end)

  it("lives as long as a coroutine waits", function()
    local ref = probe:spawn("/a", function(context)
      local value = context.onMessage:next()
      context:property "probe":send(value)
    end)
    ref:send "value"

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ "value" }, probe:heard(1))
  end)

  it("ends by itself with shutdownIsolate", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function(value)
        context:shutdownIsolate()
        context:property "probe":send(value)
      end)
    end)
    ref:send(1)
    ref:send(2)

    assert.equal("shutdown", probe:reasonOf(ref))
    assert.same({ 1 }, probe:heard(1))
  end)

  it("may end itself in its entry", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function() end)
      context:shutdownIsolate()
    end)

    assert.equal("shutdown", probe:reasonOf(ref))
  end)

  it("ends with an error of its entry", function()
    local ref = probe:spawn("/a", function(context)
      context:onMessage(function() end)
      context.onError:listen(function(err)
        context:property "probe":send { err.message, err.traceback }
      end)
      local function deep() error "of the entry" end
      deep()
    end)

    assert.equal("error", probe:reasonOf(ref))
    local told = probe:heard(1)[1]
    assert.matches("entry_spec%.lua:%d+: of the entry$", told[1])
    assert.matches(told[1], told[2], 1, true)
    assert.matches("stack traceback:.*in local 'deep'", told[2])
  end)

  it("ends with an error of its entry behind a wait", function()
    local ref = probe:spawn("/a", function(context)
      context.onError:listen(function(err)
        context:property "probe":send(err.message)
      end)
      context:sleep(0)
      error("late", 0)
    end)

    assert.equal("error", probe:reasonOf(ref))
    assert.same({ "late" }, probe:heard(1))
  end)

  it("outlives an error of a handler", function()
    local ref = probe:spawn("/a", function(context)
      context.onError:listen(function(err)
        context:property "probe":send(err.message)
      end)
      context:onMessage(function(value, message)
        if value == "bad" then error("of the handler", 0) end
        message:reply(value)
      end)
    end)
    ref:send "bad"

    assert.equal("good", ref:request("good", { timeout = 10 }))
    assert.same({ "of the handler" }, probe:heard(1))
  end)
end)
