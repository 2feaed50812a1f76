-- exit_spec.lua - os.exit: in an isolate it ends that isolate, in the host
-- script the process, after a shutdown.

local Probe = require "spec.support.probe"
local command = require "spec.support.command"

-- Entries that call os.exit with the property "code"; what follows must not
-- run.
local PLACES = {
  ["the entry"] = function(context)
    os.exit(context:property "code")
    context:property "probe":send "went on"
  end,
  ["pcall"] = function(context)
    local probe = context:property "probe"
    pcall(os.exit, context:property "code")
    probe:send "went on"
  end,
  ["pcalls that try again"] = function(context)
    local probe = context:property "probe"
    for _ = 1, 100 do
      pcall(pcall, function() os.exit(context:property "code") end)
    end
    probe:send "went on"
  end,
  ["xpcall, and its handler"] = function(context)
    local probe = context:property "probe"
    xpcall(error, function() os.exit(context:property "code") end)
    probe:send "went on"
  end,
  ["a coroutine"] = function(context)
    local probe = context:property "probe"
    coroutine.resume(coroutine.create(function()
      pcall(os.exit, context:property "code")
      probe:send "went on in the coroutine"
    end))
    probe:send "went on"
  end,
  ["a wrapped coroutine in a coroutine"] = function(context)
    local probe = context:property "probe"
    pcall(coroutine.wrap(function()
      coroutine.wrap(function() os.exit(context:property "code") end)()
    end))
    probe:send "went on"
  end,
  ["a sort's comparator"] = function(context)
    pcall(table.sort, { 1, 2, 3 }, function()
      pcall(os.exit, context:property "code")
    end)
    context:property "probe":send "went on"
  end,
  ["gsub's replacement"] = function(context)
    pcall(string.gsub, "xyz", ".", function()
      os.exit(context:property "code")
    end)
    context:property "probe":send "went on"
  end,
  ["a metamethod"] = function(context)
    local object = setmetatable({}, {
      __index = function() os.exit(context:property "code") end,
      __tostring = function() os.exit(context:property "code") end,
    })
    pcall(tostring, object)
    context:property "probe":send(object.x)
  end,
  ["__close"] = function(context)
    do
      local _ <close> = setmetatable({}, {
        __close = function() os.exit(context:property "code") end,
      })
    end
    context:property "probe":send "went on"
  end,
  ["__close after an error"] = function(context)
    pcall(function()
      local _ <close> = setmetatable({}, {
        __close = function() os.exit(context:property "code") end,
      })
      error "x"
    end)
    context:property "probe":send "went on"
  end,
  ["a finalizer"] = function(context)
    setmetatable({}, {
      __gc = function() os.exit(context:property "code") end,
    })
    warn "@off"
    collectgarbage()
    context:property "probe":send "went on"
  end,
  ["a message's handler"] = function(context)
    local code = context:property "code"
    context.isolateRef:send "now"
    context:onMessage(function()
      context.onMessage:listen(function() end)
      os.exit(code)
    end)
  end,
  ["a timer"] = function(context)
    context:every(0, function() pcall(os.exit, context:property "code") end)
  end,
  ["a handler that has waited"] = function(context)
    context.isolateRef:send "now"
    context:onMessage(function()
      context:sleep(0)
      os.exit(context:property "code")
    end)
  end,
  ["a listener of onError"] = function(context)
    context.onError:listen(function() os.exit(context:property "code") end)
    context:after(0, error)
    context:onMessage(function() end)
  end,
  ["a stream's predicate"] = function(context)
    context.isolateRef:send "now"
    context.onMessage:where(function() os.exit(context:property "code") end)
      :next()
  end,
}

describe("os.exit in an isolate", function()
  local probe

  before_each(function() probe = Probe.new() end)
  after_each(function() probe:close() end)

  for place, entry in pairs(PLACES) do
    it("ends that isolate, called in " .. place, function()
      local ref = probe:spawn("/exits", entry, { code = 0 })

      assert.equal("done", probe:reasonOf(ref))
      probe.ref:send "this first"
      assert.same({ "this first" }, probe:heard(1))
    end)
  end

  it("leaves finalizers what they hear where their calls fail", function()
    local ref = probe:spawn("/exits", function(context)
      local heard = context:property "probe"
      local function codeOf(...) return (select(3, ...)) end
      -- luacheck: ignore 111
      Kept = setmetatable({}, { __gc = function()
        heard:send(codeOf(context:lookupIsolate "/nobody"))
        heard:send(codeOf(heard:send(print)))
        heard:send(codeOf(context:spawnIsolate("/exits", function() end)))
      end })
      os.exit(0)
    end)

    assert.equal("done", probe:reasonOf(ref))
    assert.same({ "not found", "unsendable", "in use" }, probe:heard(3))
  end)

  it("tells by its code whether that is an error", function()
    local function reasonOf(how)
      return probe:reasonOf(probe:spawn("/exits", function(context)
        local code = context:property "code"
        if code == "nothing" then os.exit() end
        if code == "close" then os.exit(true, true) end
        os.exit(code)
      end, { code = how }))
    end

    for _, good in ipairs { "nothing", "close", true, 0 } do
      assert.equal("done", reasonOf(good))
    end
    for _, bad in ipairs { false, 1, 255, -1 } do
      assert.equal("error", reasonOf(bad))
      probe.downs = {}
    end
  end)

  it("ends it when it was asked to end", function()
    local ref = probe:spawn("/exits", function(context)
      context.onShutdownRequest = function() os.exit(0) end
      context:property "probe":send "ready"
    end)
    probe:heard(1)

    assert.is_true(probe.cluster:shutdown(Probe.DEADLINE))
    assert.equal("done", probe:reasonOf(ref))
  end)

  it("fails the spawn when a module loads", function()
    local ref, text, code = probe.cluster:spawnIsolate("/exits",
      "spec.support.exits")

    assert.is_nil(ref)
    assert.equal("load", code)
    assert.matches("os.exit", text)
    assert.is_nil(probe.cluster:lookupIsolate "/exits")
  end)

  it("leaves the others as they are", function()
    local echo = probe:spawn("/echo", "spec.support.echo")
    for _ = 1, 50 do
      probe:reasonOf(probe:spawn("/exits/", function() os.exit(0, true) end))
      assert.equal("still", echo:request("still", { timeout = 10 }))
    end
  end)
end)

local SCRIPT = [[
  local IsolateCluster = require "isolate_cluster"
  local cluster = IsolateCluster.singleNode()
  local other = IsolateCluster.singleNode()
  local function entry(context)
    context.onShutdownRequest = function()
      print("asked " .. context.path)
      context:shutdownIsolate()
    end
  end
  cluster:spawnIsolate("/a", entry)
  other:spawnIsolate("/b", entry)
]]

local function sortedLines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local programs = { ["the command"] = {} }
if not command.SANITIZED then
  programs["plain Lua"] = { program = command.plainLua() }
end

for name, options in pairs(programs) do
  describe("os.exit in the host script, with " .. name, function()
    local function exits(how, status)
      local result = command.run(SCRIPT .. how, options)

      assert.equal("", result.stderr)
      assert.equal("asked /a\nasked /b", sortedLines(result.stdout))
      assert.equal(status, result.status)
    end

    it("shuts all clusters down and ends with its status", function()
      exits("os.exit(7)", 7)
      exits("os.exit(false)", 1)
      exits("os.exit()", 0)
    end)

    it("does so when it is to close the state", function()
      exits("os.exit(3, true)", 3)
    end)

    it("does so in a listener", function()
      exits([[
        cluster.onIsolateUp:listen(function() os.exit(5) end)
        cluster:spawnIsolate("/c", function() end)
        cluster:wait()
      ]], 5)
    end)

    it("does so in a coroutine, in a pcall", function()
      exits("coroutine.wrap(pcall)(os.exit, 9)", 9)
    end)

    it("refuses what is no status, and shuts nothing down", function()
      exits("assert(not pcall(os.exit, {}) and cluster.up) os.exit(2)", 2)
    end)
  end)
end
