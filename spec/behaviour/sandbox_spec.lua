-- sandbox_spec.lua - what a sandboxed isolate finds, reaches and may spawn; the
-- tricks to get at more are in escape_spec.lua.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"
local Scratch = require "spec.support.scratch"
local refusal = require "spec.support.refusal"

-- What is in lua/isolate_cluster/sandbox.lua, once more: a change there that
-- lets in more is to be seen here.
local GOLDEN = [[
_G _VERSION assert collectgarbage error getmetatable ipairs load next pairs
pcall print rawequal rawget rawlen rawset require select setmetatable tonumber
tostring type warn xpcall
coroutine.close coroutine.create coroutine.isyieldable coroutine.resume
coroutine.running coroutine.status coroutine.wrap coroutine.yield
math.abs math.acos math.asin math.atan math.ceil math.cos math.deg math.exp
math.floor math.fmod math.huge math.log math.max math.maxinteger math.min
math.mininteger math.modf math.pi math.rad math.random math.randomseed math.sin
math.sqrt math.tan math.tointeger math.type math.ult
os.clock os.date os.difftime os.time
string.byte string.char string.find string.format string.gmatch string.gsub
string.len string.lower string.match string.pack string.packsize string.rep
string.reverse string.sub string.unpack string.upper
table.concat table.insert table.move table.pack table.remove table.sort
table.unpack
utf8.char utf8.charpattern utf8.codepoint utf8.codes utf8.len utf8.offset
]]

local function sortedWords(text)
  local words = {}
  for word in text:gmatch "%S+" do words[#words + 1] = word end
  table.sort(words)
  return words
end

-- Sends the names of all globals, and of what is in them.
local function tellGlobals(context)
  local names = {}
  for name, value in pairs(_G) do
    if type(value) == "table" and value ~= _G then
      for field in pairs(value) do names[#names + 1] = name .. "." .. field end
    else
      names[#names + 1] = name
    end
  end
  table.sort(names)
  context:property "probe":send(names)
end

describe("A sandboxed isolate", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  -- Runs fn(context), a function without upvalues, in an isolate with this
  -- sandbox; what it sends to the probe is returned.
  local function inSandbox(sandbox, fn, path)
    assert(cluster:spawnIsolate(path or "/", fn, { probe = probe.ref },
      { sandbox = sandbox }))
    return probe:heard(1)[1]
  end

  it("finds the golden list of globals, and no more", function()
    assert.same(sortedWords(GOLDEN), inSandbox("safe", tellGlobals))
  end)

  it("finds more where that is allowed by name", function()
    local names = inSandbox({ globals = { "os.getenv", "io", "dofile" } },
      tellGlobals)

    local expected = sortedWords(GOLDEN .. " os.getenv dofile")
    local found = {}
    for _, name in ipairs(names) do
      if name:sub(1, 3) ~= "io." then found[#found + 1] = name end
    end
    assert.same(expected, found)
    assert.is_true(#names > #found)
  end)

  it("finds no metatable of what it is given", function()
    local seen = inSandbox("safe", function(context)
      local ref = context.isolateRef
      ref:send "x"
      local subscription = context.onError:listen(function() end)
      local _, message = context.onMessage:next()
      local values = { "", context, context.onMessage, ref, message,
        subscription, context:after(1e6, function() end):cancel() or 1,
        context:group "/", context:monitor(ref, function() end) }
      local kinds = {}
      for i, value in ipairs(values) do
        kinds[i] = type(getmetatable(value))
      end
      context:property "probe":send(kinds)
    end)

    assert.same({ "string", "string", "string", "string", "string", "string",
      "nil", "string", "string" }, seen)
  end)

  it("loads text, within the size limit", function()
    local seen = inSandbox({ sourceSize = 100 }, function(context)
      local parts = { "return ", "7" }
      local count = 0
      local function read() count = count + 1 return parts[count] end
      local fn = load(("x"):rep(10) .. "=1 return _ENV ~= nil", "=name", "bt")
      local big, text = load(("x"):rep(101))
      local endless, endlessText = load(function() return "        " end)
      context:property "probe":send { load(read)(), fn(), _G.x == nil,
        load("return a", "a", "t", { a = 3 })(), tostring(big), text,
        tostring(endless), endlessText, tostring(load("\27Lua")),
        tostring(load("return 1", "x", "b")),
        (select(2, load("+", "=name"))) }
    end)

    assert.same({ 7, true, true, 3, "nil", "the source has more than 100 bytes",
      "nil", "the source has more than 100 bytes", "nil", "nil",
      "name:1: unexpected symbol near '+'" }, seen)
  end)

  it("requires named modules only, and loads them confined", function()
    local scratch = Scratch.new()
    scratch:write("tame.lua", "return { hasIo = io ~= nil, name = ... }")
    scratch:write("wild.lua", "return {}")
    local path = package.path
    package.path = scratch.folder .. "/?.lua;" .. path

    local seen = inSandbox({ require = { "tame" } }, function(context)
      local tame = require "tame"
      context:property "probe":send { tame.hasIo, tame.name,
        require "tame" == tame, require "string" == string,
        select(2, pcall(require, "wild")), (pcall(require, "io")),
        (pcall(require, "isolate_cluster.core")) }
    end)

    package.path = path
    scratch:remove()
    assert.same({ false, "tame", true, true,
      "module the string 'wild' is not available in this sandbox", false,
      false }, seen)
  end)

  it("looks up, lists and hears of what it reaches", function()
    cluster:spawnIsolate("/api/one", "spec.support.idle")
    cluster:spawnIsolate("/secret/two", "spec.support.idle")
    cluster:spawnIsolate("/log", "spec.support.idle")

    local seen = inSandbox({ reach = { "/api/", "/log" } }, function(context)
      local function paths(refs)
        local list = {}
        for i, ref in ipairs(refs) do list[i] = ref.path end
        return table.concat(list, " ")
      end
      local group = context:group "/secret/"
      local escaped = context:group "/api/"
      rawset(escaped, "prefix", "/secret/")
      local found, _, code = context:lookupIsolate "/secret/two"
      context:property "probe":send {
        context:lookupIsolate "/api/one".path,
        context:lookupIsolate "/log".path,
        tostring(found), code,
        select(3, context:lookupIsolate "/log/x"),
        paths(context:lookupIsolates "/"), paths(group:list()),
        paths(escaped:list()),
      }
    end, "/confined")

    assert.same({ "/api/one", "/log", "nil", "denied", "denied",
      "/api/one /log", "", "" }, seen)
  end)

  it("hears of the ups and downs that it reaches", function()
    local ref = assert(cluster:spawnIsolate("/ears", function(context)
      local heard = {}
      context.onIsolateUp:listen(function(up) heard[#heard + 1] = up.path end)
      context.onIsolateDown:listen(function(down)
        heard[#heard + 1] = "-" .. down.path
      end)
      context:onMessage(function(_, message) message:reply(heard) end)
    end, nil, { sandbox = { reach = { "/api/" } } }))
    local function comeAndGo(path)
      cluster:spawnIsolate(path, function() end)
      cluster.onIsolateDown:next(Probe.DEADLINE)
    end
    comeAndGo "/secret/a"
    comeAndGo "/api/b"

    assert.same({ "/api/b", "-/api/b" },
      ref:request("heard", { timeout = Probe.DEADLINE }))
  end)

  it("uses a ref that it was given, wherever that leads", function()
    cluster:spawnIsolate("/echo", "spec.support.echo")
    cluster:spawnIsolate("/confined", function(context)
      local echo = context:property "echo"
      context:property "probe":send(echo:request(1))
    end, { probe = probe.ref, echo = cluster:lookupIsolate "/echo" },
      { sandbox = { reach = {} } })

    assert.same({ 1 }, probe:heard(1))
  end)

  it("makes no ref of bytes", function()
    local secret = cluster:spawnIsolate("/secret", "spec.support.idle")

    cluster:spawnIsolate("/confined", function(context)
      local decode = require "isolate_cluster".decode
      local forged = decode(context:property "bytes")
      context:property "probe":send { type(forged), forged[4] }
    end, { probe = probe.ref, bytes = IsolateCluster.encode(secret) },
      { sandbox = { require = { "isolate_cluster" } } })

    assert.same({ { "table", "/secret" } }, probe:heard(1))
  end)

  it("does not shut the node down", function()
    local seen = inSandbox("safe", function(context)
      context:property "probe":send { select(3, context:shutdownNode(0)) }
    end)

    assert.same({ "denied" }, seen)
    assert.is_true(cluster.up)
  end)

  it("spawns where it reaches, functions and named modules", function()
    local seen = inSandbox({ reach = { "/api/" },
      require = { "spec.support.idle" } }, function(context)
      local function code(...)
        local _, _, name = context:spawnIsolate(...)
        return name
      end
      local function entry() end
      context:property "probe":send {
        tostring(code("/api/", entry)), tostring(code("/api/x", entry)),
        code("/elsewhere", entry), code(entry), code("/api", entry),
        tostring(code("/api/", "spec.support.idle")),
        code("/api/", "spec.support.echo"),
        code("/api/", "spec/support/idle.lua"),
      }
    end)

    assert.same({ "nil", "nil", "denied", "denied", "denied", "nil", "denied",
      "denied" }, seen)
  end)

  -- What a child of a confined isolate finds, whatever its spawner wants.
  local function childOf(sandbox, wanted)
    assert(cluster:spawnIsolate("/api/parent", function(context)
      assert(context:spawnIsolate("/api/child", function(child)
        local found = child:lookupIsolate "/probe"
        child:property "probe":send { io ~= nil, os.getenv ~= nil,
          found ~= nil, (pcall(require, "spec.support.idle")),
          load(("x"):rep(200) .. "=1") ~= nil }
      end, { probe = context:property "probe" },
        { sandbox = context:property "wanted" }))
    end, { probe = probe.ref, wanted = wanted }, { sandbox = sandbox }))
    return probe:heard(1)[1]
  end

  it("has a family of so many, whoever of it spawns them", function()
    local refusals = inSandbox({ isolates = 3 }, function(context)
      local function child(itsContext)
        local grandchild = itsContext:spawnIsolate(function(c)
          c:onMessage(function() end)
        end)
        itsContext:onMessage(function(_, message)
          message:reply(grandchild ~= nil)
        end)
      end
      local first = assert(context:spawnIsolate(child))
      assert(first:request(1))
      local second = assert(context:spawnIsolate(child))
      local seen = { second:request(1) }
      seen[2], seen[3], seen[4] = context:spawnIsolate(child)
      context:property "probe":send { seen[1], seen[2] or "none", seen[3],
        seen[4] }
    end)

    assert.same({ false, "none",
      "as many isolates live as the sandbox may have spawned", "full" },
      refusals)
  end)

  it("may spawn again when one of its family has ended", function()
    local seen = inSandbox({ isolates = 1 }, function(context)
      local function child(itsContext) itsContext:onMessage(function() end) end
      local function brief() end
      local results = {}
      for i = 1, 50 do
        local ended = assert(context:spawnIsolate(brief))
        local isDown = false
        context:monitor(ended, function() isDown = true end)
        while not isDown do context:sleep(0.001) end
        results[i] = i
      end
      assert(context:spawnIsolate(child))
      results[51] = select(3, context:spawnIsolate("no.such.module"))
      results[52] = select(3, context:spawnIsolate(child))
      context:property "probe":send { #results, results[51], results[52] }
    end)

    assert.same({ 52, "denied", "full" }, seen)
  end)

  it("keeps its place for nothing that does not load", function()
    local seen = inSandbox({ isolates = 1, require = { "no.such.module" } },
      function(context)
        local codes = {}
        for i = 1, 20 do
          codes[i] = select(3, context:spawnIsolate("no.such.module"))
        end
        local ref = context:spawnIsolate(function() end)
        context:property "probe":send { codes[1], codes[20], ref ~= nil }
      end)

    assert.same({ "load", "load", true }, seen)
  end)

  it("gives its children no more than it has", function()
    local narrow = { reach = { "/api/" }, sourceSize = 100,
      globals = { "os.getenv" } }
    local all = { globals = { "io", "os.getenv" }, sourceSize = 10 ^ 6 // 1 | 0,
      require = { "spec.support.idle" }, reach = { "/" } }

    assert.same({ false, true, false, false, false }, childOf(narrow, all))
  end)

  it("gives its children its own sandbox if they are to have none", function()
    assert.same({ false, false, true, false, true }, childOf("safe", "none"))
  end)

  it("gives its children its own sandbox if nothing is said", function()
    assert.same({ false, true, true, true, true },
      childOf { globals = { "os.getenv" }, require = { "spec.support.idle" } })
  end)

  it("gives its children less where that is wanted", function()
    local wide = { globals = { "io" }, require = { "spec.support.idle" } }

    assert.same({ false, false, false, false, true },
      childOf(wide, { reach = { "/api/" } }))
  end)
end)

describe("A sandboxed isolate's limits", function()
  local probe, cluster, ends

  before_each(function()
    probe = Probe.new()
    cluster, ends = probe.cluster, {}
    cluster.onIsolateDown:listen(function(ref, reason, err)
      ends[ref.path] = { reason = reason, text = err and err.message }
    end)
  end)

  after_each(function() probe:close() end)

  -- How the isolate at this path ends.
  local function endOf(path)
    local deadline = os.time() + 60
    while not ends[path] and os.time() < deadline do cluster:wait(0.01) end
    return assert(ends[path], path .. " has not ended")
  end

  local HOARD = [[
    local t = {}
    for i = 1, math.huge do t[i] = ("x"):rep(10000) .. i end]]

  -- What becomes of a child that a confined isolate with these limits spawns
  -- with others.
  local function endOfChild(child, limits, wanted)
    limits.sandbox = "safe"
    assert(cluster:spawnIsolate("/parent", function(context)
      local properties = context.properties
      assert(context:spawnIsolate("/parent/child", load(properties.child), nil,
        properties.wanted))
      context:onMessage(function() end)
    end, { child = child, wanted = wanted }, limits))
    return endOf "/parent/child"
  end

  it("are 64 MB of memory where nothing is said", function()
    assert(cluster:spawnIsolate("/hoard", load(HOARD), nil,
      { sandbox = "safe" }))

    local stop = endOf "/hoard"

    assert.equal("memory", stop.reason)
    assert.matches("limit of 64 MB", stop.text, 1, true)
  end)

  it("are 64 MB of memory where it is to have none", function()
    assert(cluster:spawnIsolate("/hoard", load(HOARD), nil,
      { sandbox = "safe", memory = false }))

    assert.matches("limit of 64 MB", endOf "/hoard".text, 1, true)
  end)

  for name, wanted in pairs { nothing = {}, ["no limit"] = { memory = false },
    ["1 GB"] = { memory = "1GB" } } do
    it("are its children's where for them is said: " .. name, function()
      local stop = endOfChild(HOARD, { memory = "4MB" }, wanted)

      assert.equal("memory", stop.reason)
      assert.matches("limit of 4 MB", stop.text, 1, true)
    end)
  end

  it("are its children's, however much time is wanted for them", function()
    local stop = endOfChild("while true do end", { cpu = 0.05 },
      { cpu = false })

    assert.equal("cpu", stop.reason)
    assert.matches("limit of 0.05 s", stop.text, 1, true)
  end)

  it("may be less for its children", function()
    local stop = endOfChild(HOARD, { memory = "64MB" }, { memory = "4MB" })

    assert.equal("memory", stop.reason)
    assert.matches("limit of 4 MB", stop.text, 1, true)
  end)
end)

describe("The option sandbox", function()
  local cluster

  after_each(function() if cluster then cluster:shutdown() end end)

  local function tell(context)
    context.onMessage:listen(function(_, message)
      message:reply(io ~= nil)
    end)
  end

  it("can be the cluster's, and a spawn's comes first", function()
    cluster = IsolateCluster.singleNode { sandbox = "safe" }
    local confined = cluster:spawnIsolate(tell)
    local free = cluster:spawnIsolate("/free", tell, nil, { sandbox = "none" })

    assert.is_false(confined:request(1, { timeout = 10 }))
    assert.is_true(free:request(1, { timeout = 10 }))
  end)

  it("holds for what a free isolate spawns without a word", function()
    cluster = IsolateCluster.singleNode { sandbox = { globals = { "os" } } }
    local free = cluster:spawnIsolate("/free", function(context)
      context.onMessage:listen(function(_, message)
        local child = context:spawnIsolate(function(inner)
          local _, question = inner.onMessage:next()
          question:reply { io ~= nil, os.getenv ~= nil }
        end)
        message:reply(child:request(1))
      end)
    end, nil, { sandbox = "none" })

    assert.same({ false, true }, free:request(1, { timeout = 10 }))
  end)

  it("is refused with the reason", function()
    cluster = IsolateCluster.singleNode()
    local function refused(sandbox)
      return refusal.of(function()
        cluster:spawnIsolate("/x", function() end, nil, { sandbox = sandbox })
      end)
    end

    assert.equal("option 'sandbox' must be 'safe', 'none' or a table, got the "
      .. "string 'tight'", refused "tight")
    assert.equal("unknown option the string 'limit' of a sandbox; it knows "
      .. "base, globals, isolates, reach, require, sourceSize",
      refused { limit = 1 })
    assert.equal("option 'base' of a sandbox must be 'safe', got 5",
      refused { base = 5 })
    assert.equal("a sandbox can't allow 'os.fork', which is no global",
      refused { globals = { "os.fork" } })
    assert.equal("option 'require' of a sandbox must be a list of strings, got "
      .. "the string 'json'", refused { require = "json" })
    assert.equal("malformed path 'api/' in a sandbox's reach: it must begin "
      .. "with '/'", refused { reach = { "api/" } })
    assert.equal("option 'sourceSize' of a sandbox must be a number of bytes, "
      .. "got 1.5", refused { sourceSize = 1.5 })
    assert.equal("option 'isolates' of a sandbox must be a positive integer, "
      .. "got 0", refused { isolates = 0 })
  end)

  it("is refused for a cluster too", function()
    cluster = nil

    assert.equal("option 'sandbox' must be 'safe', 'none' or a table, got true",
      refusal.of(function() IsolateCluster.singleNode { sandbox = true } end))
  end)
end)
