-- spawn_spec.lua - the forms of a spawn, and what it has done when it returns.

local testing = require "isolate_cluster.testing"

local Probe = require "spec.support.probe"
local Scratch = require "spec.support.scratch"

describe("spawnIsolate", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  local function report(context)
    context:property "probe":send(context.path)
    context:onMessage(function() end)
  end

  it("takes a path and a function", function()
    local ref = cluster:spawnIsolate("/a/b", report, { probe = probe.ref })

    assert.equal("/a/b", ref.path)
    assert.same({ "/a/b" }, probe:heard(1))
  end)

  it("takes a path and a module's name", function()
    local ref = cluster:spawnIsolate("/echo", "spec.support.echo")

    assert.equal("/echo", ref.path)
    assert.equal("hello", ref:request("hello", { timeout = 10 }))
  end)

  it("takes a path and a .lua file", function()
    local ref = cluster:spawnIsolate("/echo", "spec/support/echo.lua")

    assert.equal("/echo", ref.path)
    assert.equal("hello", ref:request("hello", { timeout = 10 }))
  end)

  it("takes a file by its whole path, though that begins with /", function()
    local scratch <close> = setmetatable({ Scratch.new() }, {
      __close = function(self) self[1]:remove() end,
    })
    local file = scratch[1]:write("entry.lua", [[
      local context = ...
      context:property "probe":send(context:property "word")
    ]])

    cluster:spawnIsolate(file, { probe = probe.ref, word = "alone" })
    cluster:spawnIsolate("/p", file, { probe = probe.ref, word = "behind" })

    assert.same({ "alone", "behind" }, probe:heardSorted(2))
  end)

  it("generates a path beneath / where there is none", function()
    local byFunction = cluster:spawnIsolate(report, { probe = probe.ref })
    local byModule = cluster:spawnIsolate("spec.support.idle", {})
    local byFile = cluster:spawnIsolate "spec/support/idle.lua"
    local byNil = cluster:spawnIsolate(nil, report, { probe = probe.ref })

    assert.same({ "/1", "/2", "/3", "/4" },
      { byFunction.path, byModule.path, byFile.path, byNil.path })
    assert.same({ "/1", "/4" }, probe:heardSorted(2))
  end)

  it("generates the last segment where the path ends in /", function()
    local paths = {}
    for i = 1, 3 do
      local ref = cluster:spawnIsolate("/workers/", "spec.support.idle")
      paths[i] = ref.path
    end
    local deep = cluster:spawnIsolate("/workers/x/", "spec.support.idle")

    assert.same({ "/workers/1", "/workers/2", "/workers/3" }, paths)
    assert.equal("/workers/x/1", deep.path)
  end)

  it("generates no path that is taken", function()
    cluster:spawnIsolate("/workers/1", "spec.support.idle")

    local ref = cluster:spawnIsolate("/workers/", "spec.support.idle")

    assert.equal("/workers/2", ref.path)
  end)

  it("takes its options behind the properties", function()
    local own = cluster:spawnIsolate("/a", report, { probe = probe.ref },
      { thread = "own" })
    local none = cluster:spawnIsolate("/b", "spec.support.idle", nil, {})

    assert.is_true(own.alive)
    assert.is_true(none.alive)
  end)

  it("has registered the isolate when it returns", function()
    local ref = cluster:spawnIsolate("/here", "spec.support.idle")

    assert.is_true(ref.alive)
    assert.equal(ref, cluster:lookupIsolate "/here")
  end)

  it("returns while the entry still runs", function()
    local ref = probe:spawn("/busy", function(context)
      repeat local go = context:lookupIsolate "/go" until go
      context:property "probe":send "done"
    end)
    local wasAlive = ref.alive
    cluster:spawnIsolate("/go", "spec.support.idle")

    assert.is_true(wasAlive)
    assert.same({ "done" }, probe:heard(1))
  end)

  it("is there for isolates too, in all its forms", function()
    local paths = probe:inside("/parent", function(context)
      local function idle(inner) inner:onMessage(function() end) end
      local refs = {
        context:spawnIsolate("/child", idle),
        context:spawnIsolate("/children/", idle, { a = 1 }),
        context:spawnIsolate(idle, nil, { thread = "own" }),
        context:spawnIsolate("/module", "spec.support.idle"),
        context:spawnIsolate "spec/support/idle.lua",
      }
      local found = {}
      for i, ref in ipairs(refs) do found[i] = ref.path end
      return found
    end)

    assert.same({ "/child", "/children/1", "/1", "/module", "/2" }, paths)
    assert.is_true(cluster:lookupIsolate("/child").alive)
  end)

  it("gives the isolate a state of its own", function()
    local before = rawget(_G, "leak")
    probe:spawn("/a", function(context)
      leak = "from an isolate" -- luacheck: ignore
      context:property "probe":send(leak) -- luacheck: ignore
    end)
    probe:heard(1)

    local seen = probe:inside(function() return tostring(leak) end) -- luacheck: ignore

    assert.equal("nil", seen)
    assert.equal(before, rawget(_G, "leak"))
  end)
end)

describe("A cluster that may have so many isolates", function()
  after_each(testing.finish)

  it("has no more", function()
    local cluster = testing.cluster { isolates = 2 }
    local first = cluster:spawnIsolate("/1", function(context)
      context:onMessage(function() context:shutdownIsolate() end)
    end)
    cluster:spawnIsolate("/2", function(context)
      context:onMessage(function(_, message)
        message:reply { context:spawnIsolate("/3", "spec.support.idle") }
      end)
    end)

    local text = "as many isolates live as the cluster may have"
    assert.same({ nil, text, "full" },
      { cluster:spawnIsolate("/3", "spec.support.idle") })
    assert.same({ nil, text, "full" },
      cluster:lookupIsolate "/2":request(1, { timeout = 10 }))

    local downs = cluster.onIsolateDown
    first:send "end"
    downs:next(10)

    assert(cluster:spawnIsolate("/3", "spec.support.idle"))
  end)
end)

describe("The spawner's search paths", function()
  local probe, scratch, path, cpath

  before_each(function()
    probe, scratch = Probe.new(), Scratch.new()
    path, cpath = package.path, package.cpath
  end)

  after_each(function()
    package.path, package.cpath = path, cpath
    probe:close()
    scratch:remove()
  end)

  it("are the isolate's", function()
    package.path = path .. ";./here/?.lua"
    package.cpath = "./there/?.so;" .. cpath

    local found = { probe:inside(function()
      return package.path, package.cpath
    end) }

    assert.same({ package.path, package.cpath }, found)
  end)

  it("are where a module is looked for", function()
    scratch:write("entry_of_this_spec.lua", [[
      return function(context) context:property "probe":send "found" end
    ]])
    local before = { probe.cluster:spawnIsolate("/a", "entry_of_this_spec") }
    package.path = scratch:path "?.lua;" .. path

    probe:spawn("/a", "entry_of_this_spec")

    assert.equal("load", before[3])
    assert.same({ "found" }, probe:heard(1))
  end)

  it("reach the isolates that the isolate spawns", function()
    scratch:write("grandchild.lua", [[
      return function(context) context:property "probe":send "found" end
    ]])
    package.path = scratch:path "?.lua;" .. path

    probe:spawn("/child", function(context)
      context:spawnIsolate("grandchild", context.properties)
    end)

    assert.same({ "found" }, probe:heard(1))
  end)
end)

describe("A spawn that waits for a module", function()
  local probe, scratch

  before_each(function() probe, scratch = Probe.new(), Scratch.new() end)

  after_each(function()
    probe:close()
    scratch:remove()
  end)

  it("lets the isolate handle other messages meanwhile", function()
    scratch:write("slow.lua", ([[
      local go
      repeat go = io.open(%q) until go
      go:close()
      return function(context) context:onMessage(function() end) end
    ]]):format(scratch:path "go"))

    local ref = probe:spawn("/spawner", function(context)
      local folder = context:property "folder"
      context:onMessage(function(word)
        if word == "spawn" then
          package.path = folder .. "/?.lua;" .. package.path
          local slow = assert(context:spawnIsolate("/slow", "slow"))
          context:property "probe":send("spawned " .. slow.path)
        else
          context:property "probe":send "handled"
          assert(io.open(folder .. "/go", "w")):close()
        end
      end)
    end, { folder = scratch.folder })
    ref:send "spawn"
    ref:send "go"

    assert.same({ "handled", "spawned /slow" }, probe:heard(2))
  end)

  it("keeps its path for it, but shows nobody a half-born isolate", function()
    scratch:write("slow.lua", ([[
      local go
      repeat go = io.open(%q) until go
      go:close()
      return function(context) context:onMessage(function() end) end
    ]]):format(scratch:path "go"))

    local taken, found = probe:inside(function(context)
      local folder = context:property "folder"
      package.path = folder .. "/?.lua;" .. package.path
      local spawn = coroutine.wrap(function()
        context:spawnIsolate("/slow", "slow")
      end)
      spawn()
      local taken = { context:spawnIsolate("/slow", "spec.support.idle") }
      local found = { context:lookupIsolate "/slow" }
      assert(io.open(folder .. "/go", "w")):close()
      return { taken[2], taken[3] }, found[3]
    end, { folder = scratch.folder })

    assert.same({ "path in use: /slow", "in use" }, taken)
    assert.equal("not found", found)
  end)
end)
