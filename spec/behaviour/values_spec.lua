-- values_spec.lua - what survives being sent, and what can't be sent. The bytes
-- are looked at in unit/value_spec.lua and unit/cbor_spec.lua.

local IsolateCluster = require "isolate_cluster"
local Probe = require "spec.support.probe"

describe("A value that is sent", function()
  local probe, echo

  before_each(function()
    probe = Probe.new()
    echo = probe.cluster:spawnIsolate("/echo", "spec.support.echo")
  end)

  after_each(function() probe:close() end)

  -- There and back again.
  local function sent(value)
    local copy, text = echo:request(value, { timeout = 10 })
    return copy, text
  end

  it("keeps the subtype of its numbers", function()
    for _, number in ipairs {
      0, 1, -1, 23, 24, 255, 256, 65535, 65536, 0xffffffff, 0x100000000,
      math.maxinteger, math.mininteger, 0.0, 1.0, -1.0, 0.5, 1e300, 5e-324,
      2.0 ^ 53, 2.0 ^ 63, 1 / 3, math.huge, -math.huge,
    } do
      local copy = sent(number)
      assert.equal(number, copy)
      assert.equal(math.type(number), math.type(copy))
    end
  end)

  it("keeps the sign of zero", function()
    local copy = sent(-0.0)

    assert.equal("float", math.type(copy))
    assert.equal(-math.huge, 1 / copy)
  end)

  it("keeps a NaN", function()
    local copy = sent(0 / 0)

    assert.equal("number", type(copy))
    assert.are_not.equal(copy, copy)
  end)

  it("keeps booleans", function()
    assert.is_true(sent(true))
    assert.is_false(sent(false))
  end)

  it("keeps every byte of a string", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local all = table.concat(bytes)

    assert.equal(all, sent(all))
    assert.equal("", sent "")
    assert.equal("Käse \0 \u{10ffff}", sent "Käse \0 \u{10ffff}")
  end)

  it("may be a string of 1 MiB", function()
    local mebibyte = ("\0\xffab"):rep(256 * 1024)

    local copy = sent(mebibyte)

    assert.equal(1048576, #copy)
    assert.is_true(mebibyte == copy)
  end)

  it("may be a table with keys of every sendable kind", function()
    local value = {
      1, 2, nil, 4, x = "y", [true] = 1, [false] = 2, [-1] = 3, [0] = 4,
      [1.5] = 5, [math.huge] = 6, [""] = 7, ["\xff"] = 8,
      [math.maxinteger] = 9,
    }

    assert.same(value, sent(value))
  end)

  it("may have tables for keys", function()
    local key = { "key" }

    local copy = sent { [key] = "value", key = key }

    assert.same({ "key" }, copy.key)
    assert.equal("value", copy[copy.key])
  end)

  it("tells 1 from 1.0 nowhere but in its type", function()
    local copy = sent { 1, 1.0, { [2.0] = "two" } }

    assert.equal("integer", math.type(copy[1]))
    assert.equal("float", math.type(copy[2]))
    assert.equal("two", copy[3][2])
  end)

  it("keeps the identity of its tables", function()
    local shared = { "shared" }

    local copy = sent { a = shared, b = shared, c = { "shared" }, d = { shared } }

    assert.equal(copy.a, copy.b)
    assert.equal(copy.a, copy.d[1])
    assert.are_not.equal(copy.a, copy.c)
    assert.same({ "shared" }, copy.a)
  end)

  it("may be cyclic", function()
    local value = { name = "root", child = {} }
    value.self, value.child.parent = value, value
    value[value] = "itself"

    local copy = sent(value)

    assert.equal("root", copy.name)
    assert.is_true(rawequal(copy, copy.self))
    assert.is_true(rawequal(copy, copy.child.parent))
    assert.equal("itself", copy[copy])
  end)

  it("may be nested to a depth of 10,000", function()
    local value = {}
    for _ = 2, 10000 do value = { value } end

    local copy = sent(value)

    local depth = 0
    while copy do depth, copy = depth + 1, copy[1] end
    assert.equal(10000, depth)
  end)

  it("may not be nested more deeply", function()
    local value = {}
    for _ = 2, 10001 do value = { value } end

    local copy, text, code = echo:send(value)

    assert.is_nil(copy)
    assert.matches("10,?000", text)
    assert.equal("unsendable", code)
  end)

  it("loses its metatables", function()
    local value = setmetatable({ 1 }, {
      __index = { inherited = true },
      __len = function() error "not to be called" end,
      __pairs = function() error "not to be called" end,
    })

    local copy = sent { value }

    assert.same({ 1 }, copy[1])
    assert.is_nil(getmetatable(copy[1]))
    assert.is_nil(copy[1].inherited)
  end)

  it("is a copy", function()
    local value = { list = { 1, 2, 3 } }

    local copy = sent(value)
    value.list[1] = "changed"

    assert.same({ list = { 1, 2, 3 } }, copy)
  end)

  it("may be large", function()
    local records = {}
    for i = 1, 5000 do
      records[i] = { id = i, name = "record " .. i, tags = { "a", "b" } }
    end

    assert.same(records, sent(records))
  end)
end)

describe("A value that can't be sent", function()
  local probe, echo

  before_each(function()
    probe = Probe.new()
    echo = probe.cluster:spawnIsolate("/echo", "spec.support.echo")
  end)

  after_each(function() probe:close() end)

  local function here() end
  local line = debug.getinfo(here, "S").linedefined
  local aFunction = (" a function (%s:%d) can't be sent")
    :format(debug.getinfo(here, "S").short_src, line)

  local cases = {
    { here, "message:" .. aFunction },
    { { items = { {}, {}, { cb = here } } }, "message.items[3].cb:" .. aFunction },
    { { here }, "message[1]:" .. aFunction },
    { { ["a b"] = { here } }, 'message["a b"][1]:' .. aFunction },
    { { [1.5] = { [true] = here } }, "message[1.5][true]:" .. aFunction },
    { { [-7] = here }, "message[-7]:" .. aFunction },
    { { print = print }, "message.print: a C function can't be sent" },
    { { co = coroutine.create(here) }, "message.co: a thread can't be sent" },
    { { out = io.stdout }, "message.out: a userdata can't be sent" },
  }

  for _, case in ipairs(cases) do
    it("is refused with its place: " .. case[2]:match "^[^:]*: %S+ %S+",
      function()
        local answer, text, code = echo:send(case[1])

        assert.is_nil(answer)
        assert.equal(case[2], text)
        assert.equal("unsendable", code)
      end)
  end

  it("is refused as a key", function()
    local answer, text, code = echo:send { list = { [here] = 1 } }

    assert.is_nil(answer)
    assert.matches("message.list", text, 1, true)
    assert.matches("a function", text, 1, true)
    assert.matches("can't be sent", text, 1, true)
    assert.equal("unsendable", code)
  end)

  it("is refused wherever values go", function()
    local cluster = probe.cluster
    local wanted = ".x: a C function can't be sent"

    local answers = {
      { echo:send { x = print } },
      { echo:send(1, { correlationId = { x = print } }) },
      { echo:request { x = print } },
      { IsolateCluster.encode { x = print } },
      { cluster:spawnIsolate("/new", "spec.support.idle", { x = print }) },
      { cluster:spawnIsolate("/new", function() end, { x = print }) },
    }
    local places = { "message", "correlationId", "message", "message",
                     "properties", "properties" }

    for i, answer in ipairs(answers) do
      assert.same({ nil, places[i] .. wanted, "unsendable" }, answer)
    end
  end)

  it("is refused to a reply", function()
    probe:spawn("/a", function(context)
      context:onMessage(function(_, message)
        context:property "probe":send { message:reply { x = print } }
        message:reply "then this"
      end)
    end)

    local reply = probe.cluster:lookupIsolate("/a"):request(nil,
      { timeout = 10 })

    assert.equal("then this", reply)
    assert.same({ { nil, "message.x: a C function can't be sent",
      "unsendable" } }, probe:heard(1))
  end)

  it("leaves nothing behind", function()
    echo:send { "a part that could be sent", print }
    local before = probe.cluster:stats().isolates["/echo"].received
    local ref = probe.cluster:spawnIsolate("/new", "spec.support.idle",
      { print })

    assert.is_nil(ref)
    assert.is_nil(probe.cluster:lookupIsolate "/new")
    assert.equal("hello", echo:request("hello", { timeout = 10 }))
    assert.equal(before + 1,
      probe.cluster:stats().isolates["/echo"].received)
    assert.is_true(echo:send { "again" })
  end)
end)
