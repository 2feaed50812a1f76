-- value_spec.lua - what a value keeps on its way through bytes, what can't be
-- sent, and what hostile bytes can't do. The format itself: cbor_spec.lua.

local IsolateCluster = require "isolate_cluster"
local encode, decode = IsolateCluster.encode, IsolateCluster.decode

local function bytes(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function hex(text)
  return (text:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

local function big(number, size)
  return string.pack(">I" .. size, number)
end

local function nested(depth)
  local value = {}
  for _ = 2, depth do
    value = { value }
  end
  return value
end

local function depthOf(value)
  local depth = 0
  while type(value) == "table" do
    depth, value = depth + 1, value[1]
  end
  return depth
end

local function timed(fn, ...)
  collectgarbage()
  local start = os.clock()
  fn(...)
  return os.clock() - start
end

-- KiB that were allocated while decoding, nothing collected in between.
local function allocated(encoded)
  collectgarbage()
  collectgarbage "stop"
  local before = collectgarbage "count"
  decode(encoded)
  local after = collectgarbage "count"
  collectgarbage "restart"
  return after - before
end

describe("A string", function()
  local texts = {
    "", "a", "\0", "abcdefg", "abcdefgh", "abcdefghi",
    "\u{7f}\u{80}", "\u{7ff}\u{800}", "\u{ffff}", "\u{10ffff}",
    "\u{d7ff}\u{e000}", ("x"):rep(100000) .. "\u{e9}",
  }
  local others = {
    "\x80", "abcdefg\xff", "abcdefgh\xff", "\xc3", "\xc0\x80", "\xc1\xbf",
    "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
    "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
    "\xe6\xb0", "\xf0\x90\x85", "\xc3\xbc\xbc",
  }

  it("of UTF-8 is a text string", function()
    for _, text in ipairs(texts) do
      local written = encode(text)
      assert.equal(3, written:byte() >> 5)
      assert.equal(text, decode(written))
    end
  end)

  it("of other bytes is a byte string", function()
    for _, other in ipairs(others) do
      local written = encode(other)
      assert.equal(2, written:byte() >> 5)
      assert.equal(other, decode(written))
    end
  end)

  it("marked as text is taken as it is", function()
    local value = decode "\x62\xc3\x28"

    assert.equal("\xc3\x28", value)
  end)

  it("in chunks is joined", function()
    local value = decode("\x7f" .. ("\x60\x61a"):rep(50000) .. "\xff")

    assert.equal(("a"):rep(50000), value)
  end)

  it("keeps its bytes at every length of a head", function()
    for _, size in ipairs { 23, 24, 255, 256, 65535, 65536 } do
      local text = ("x"):rep(size)
      assert.equal(text, decode(encode(text)))
    end
  end)
end)

describe("A table", function()
  local function roundTrip(value)
    return decode((assert(encode(value))))
  end

  it("is an array where its keys are exactly 1..n", function()
    local filledBackwards = {}
    for i = 40, 1, -1 do
      filledBackwards[i] = i
    end
    local shrunk = { 1, 2, 3, x = 1, y = 2 }
    shrunk.x, shrunk.y = nil, nil

    assert.equal(4, encode({ 1 }):byte() >> 5)
    assert.equal("9828", hex(encode(filledBackwards):sub(1, 2)))
    assert.equal("83010203", hex(encode(shrunk)))
  end)

  it("is a map where another key hides before the last", function()
    -- Integers in the hash part, and a key of another kind among them.
    for size = 1, 40 do
      for _, odd in ipairs { "x", 0.5, true, 0, -1, size + 2 } do
        local value = {}
        for i = size, 1, -1 do
          value[i] = i
        end
        value[odd] = "odd"
        assert.equal(5, encode(value):byte() >> 5)
        assert.same(value, roundTrip(value))
      end
    end
  end)

  it("is a map where a string looks like the missing number", function()
    local value = { [1] = 1, [2] = 2, ["3"] = 3, [4] = 4 }

    assert.same(value, roundTrip(value))
  end)

  it("may begin with floats and go on with anything", function()
    for _, floats in ipairs { 0, 1, 2, 63, 64, 65, 1000 } do
      for _, next in ipairs { 7, "text", true, { 0.5 }, 0.25 } do
        local value = {}
        for i = 1, floats do
          value[i] = i + 0.5
        end
        table.move({ next, 1.5, next }, 1, 3, floats + 1, value)
        local encoded = encode(value)
        assert.equal(4, encoded:byte() >> 5)
        assert.same(value, decode(encoded))
        for _, less in ipairs { 1, 8, 9, 10 } do
          local _, _, code = decode(encoded:sub(1, -1 - less))
          assert.equal("malformed", code)
        end
      end
    end
  end)

  it("may begin with numbers of both kinds and go on with anything", function()
    for numbers = 0, 33 do
      for _, next in ipairs { "text", true, { 0.5 } } do
        local value = {}
        for i = 1, numbers do
          value[i] = i % 3 == 0 and i / 4 or -i << i
        end
        value[numbers + 1] = next
        value[numbers + 2] = 1
        assert.same(value, roundTrip(value))
        assert.equal(4, encode(value):byte() >> 5)
        value.x = 1
        assert.same(value, roundTrip(value))
      end
    end
  end)

  it("has its own keys in a list, whatever the one before it has", function()
    local names = { "a", "b", "ab", "id", "name", "nama", ("k"):rep(22),
      ("k"):rep(23), ("l"):rep(23), ("k"):rep(24), ("k"):rep(22) .. "l" }
    for i = 1, 20 do
      names[#names + 1] = "key" .. i
    end
    local list, number = {}, 1
    local function chance(most)
      number = (number * 16807) % 2147483647
      return number % most + 1
    end
    for i = 1, 1000 do
      local record, keys = {}, chance(i % 7 == 0 and 30 or 5)
      for _ = 1, keys do
        record[names[chance(i % 3 == 0 and #names or 8)]] = chance(100)
      end
      if i % 11 == 0 then record[i] = { a = 1, b = { name = i } } end
      list[i] = record
    end

    assert.same(list, roundTrip(list))
  end)

  it("is a map where it has holes", function()
    local value = { 1, nil, 3, nil, nil, 6 }

    assert.equal(5, encode(value):byte() >> 5)
    assert.same(value, roundTrip(value))
  end)

  it("has any number of pairs", function()
    for _, size in ipairs { 1, 22, 23, 24, 25, 255, 256, 257, 70000 } do
      local value = {}
      for i = 1, size do
        value["k" .. i] = i
      end
      assert.same(value, roundTrip(value))
    end
  end)

  it("has any number of pairs with tables among them", function()
    for _, size in ipairs { 1, 22, 23, 24, 25, 255, 256, 257 } do
      local value = {}
      for i = 1, size do
        value["k" .. i] = i % 3 == 0 and { i } or i
      end
      assert.same(value, roundTrip(value))
    end
  end)

  it("may have booleans and floats as keys", function()
    local value = { [true] = 1, [false] = 2, [1.5] = 3, [-math.huge] = 4 }
    value[2.0 ^ 70] = 5

    assert.same(value, roundTrip(value))
  end)

  it("may have tables as keys", function()
    local key = { 1, { 2 } }
    local value = { [key] = key }

    local copyKey, copy = next(roundTrip(value))

    assert.same(key, copyKey)
    assert.equal(copyKey, copy)
  end)

  it("travels without metatables, and does not ask them", function()
    local function never()
      error "asked"
    end
    local value = setmetatable({ 1, 2, x = { y = 1 } }, {
      __index = never, __newindex = never, __len = never, __pairs = never,
      __eq = never, __name = "Thing",
    })

    local copy = roundTrip(value)

    assert.same({ 1, 2, x = { y = 1 } }, copy)
    assert.is_nil(getmetatable(copy))
  end)

  it("keeps the identity of what it holds twice", function()
    local shared = { "shared" }

    local copy = roundTrip { shared, { shared }, x = shared }

    assert.equal(copy[1], copy[2][1])
    assert.equal(copy[1], copy.x)
    assert.same({ "shared" }, copy[1])
  end)

  it("does not confuse what is equal with what is the same", function()
    local copy = roundTrip { {}, {}, { 1 }, { 1 } }

    assert.not_equal(copy[1], copy[2])
    assert.not_equal(copy[3], copy[4])
  end)

  it("may hold itself", function()
    local value = { name = "me" }
    value.self, value[1], value[value] = value, { value }, value

    local copy = roundTrip(value)

    assert.equal(copy, copy.self)
    assert.equal(copy, copy[1][1])
    assert.equal(copy, copy[copy])
    assert.equal("me", copy.name)
  end)

  it("numbers the shared in the order of their bytes", function()
    local a, b = {}, {}

    local written = encode { a, b, b, a, { a, b } }

    assert.equal("85d81c80d81c80d81d01d81d0082d81d00d81d01", hex(written))
  end)

  it("shares thousands of tables", function()
    local value = {}
    for i = 1, 3000 do
      value[i] = { i }
      value[6001 - i] = value[i]
    end

    local copy = roundTrip(value)

    for i = 1, 3000 do
      assert.equal(copy[i], copy[6001 - i])
      assert.equal(i, copy[i][1])
    end
  end)

  it("nests 10000 deep, and not deeper", function()
    local deepest = nested(10000)

    assert.equal(10000, depthOf(roundTrip(deepest)))
    local value, message, code = encode { deepest }
    assert.is_nil(value)
    local place = "message" .. ("[1]"):rep(6) .. " ... " .. ("[1]"):rep(6)
    local what = ": tables nested deeper than 10000 can't be sent"
    assert.equal(place .. what, message)
    assert.equal("unsendable", code)
  end)

  it("nests 10000 deep in maps and in keys", function()
    local maps, keys = {}, {}
    for _ = 2, 10000 do
      maps, keys = { m = maps }, { [keys] = 1 }
    end

    local mapsCopy, keysCopy = roundTrip(maps), roundTrip(keys)

    for _ = 2, 10000 do
      mapsCopy, keysCopy = mapsCopy.m, next(keysCopy)
    end
    assert.same({}, mapsCopy)
    assert.same({}, keysCopy)
  end)

  it("is read 10000 deep, and not deeper", function()
    local closed = decode(("\x81"):rep(9999) .. "\x80")
    local open = decode(("\x9f"):rep(10000) .. ("\xff"):rep(10000))
    local value, message, code = decode(("\x81"):rep(10000) .. "\x80")

    assert.equal(10000, depthOf(closed))
    assert.equal(10000, depthOf(open))
    assert.is_nil(value)
    assert.matches("^byte 10000: arrays and maps nested deeper", message)
    assert.equal("range", code)
  end)
end)

describe("A map", function()
  it("has no pair where the value is nil", function()
    local value = decode(bytes "a3 6161 f6 6162 01 6163 f7")

    assert.same({ b = 1 }, value)
  end)

  for name, example in pairs {
    ["a string twice"] = "a2 6161 01 6161 02",
    ["a string as text and as bytes"] = "a2 6161 01 4161 02",
    ["a string in chunks too"] = "a2 6161 01 7f6161ff 02",
    ["an integer twice"] = "a2 01 01 01 02",
    ["an integer and its float"] = "a2 01 01 f93c00 02",
    ["a float and its integer"] = "a2 f93c00 01 01 02",
    ["both zeros"] = "a2 f90000 01 f98000 02",
    ["a boolean twice"] = "bf f4 01 f4 02 ff",
    ["a key first with nil"] = "a2 6161 f6 6161 01",
    ["a key twice with nil"] = "a2 6161 f6 6161 f6",
    ["the same table twice"] = "a2 d81c80 01 d81d00 02",
  } do
    it("is malformed with " .. name, function()
      local value, message, code = decode(bytes(example))

      assert.is_nil(value)
      assert.matches("^byte %d+: a map key that comes twice$", message)
      assert.equal("malformed", code)
    end)
  end

  it("is malformed with a key twice that the one before it has", function()
    local before = bytes "a3 6161 01 6162 01 6461626364 01"
    for _, example in ipairs {
      "a3 6161 01 6161 01 6162 01", "a3 6162 01 6162 01 6163 01",
      "a3 6161 01 6162 01 6161 01", "a3 6161 01 6162 01 6162 01",
      "a3 6461626364 01 6162 01 6461626364 01",
    } do
      local head = "\x98\x65" .. before:rep(100)
      local value, message, code = decode(head .. bytes(example))

      assert.is_nil(value)
      assert.matches("^byte %d+: a map key that comes twice$", message)
      assert.equal("malformed", code)
    end
  end)

  it("is malformed where the key of the one before it is cut off", function()
    local before = bytes "a1 6461626364 01"
    local list = "\x98\x65" .. before:rep(101)

    assert.equal(101, #decode(list))
    for less = 1, 20 do
      local value, _, code = decode(list:sub(1, -1 - less))

      assert.is_nil(value)
      assert.equal("malformed", code)
    end
  end)

  local unfit = { ["nil"] = "a1 f6 01", ["NaN"] = "a1 f97e00 01" }
  for name, example in pairs(unfit) do
    it("is malformed with the key " .. name, function()
      local value, message, code = decode(bytes(example))

      assert.is_nil(value)
      assert.equal("byte 1: a map key that is " .. name, message)
      assert.equal("malformed", code)
    end)
  end

  it("may have a nil key's neighbours in any order", function()
    local value = decode(bytes "bf 01 f6 02 9f01f603ff f93e00 f6 ff")

    assert.same({ [2] = { 1, nil, 3 } }, value)
  end)

  it("of indefinite length may be nested in any way", function()
    local first = "bf 01 bf ff 02 a1 03 bf 04 05 06 bf ff ff"
    local value = decode(bytes(first .. "80 9f bf 07 08 ff ff ff"))

    local keys = {}
    for key, content in pairs(value) do
      keys[type(key)] = content
    end
    assert.same({}, value[1])
    assert.same({ [3] = { [4] = 5, [6] = {} } }, value[2])
    assert.same({ { [7] = 8 } }, keys.table)
  end)
end)

describe("A tag", function()
  it("that is unknown is as if it were not there", function()
    local number, object = "c1d9d9f7db0000000100000000 01", "d81b 82 6161 02"
    local value = decode(bytes("82" .. number .. object))

    assert.same({ 1, { "a", 2 } }, value)
  end)

  it("may be repeated a million times", function()
    local value = decode(("\xc1"):rep(1000000) .. "\x07")

    assert.equal(7, value)
  end)

  it("may share what is no table", function()
    local value = decode(bytes "84 d81c6161 d81d00 d81cf6 d81d01")

    assert.same({ "a", "a" }, value)
  end)

  it("may be repeated around what is shared", function()
    local value = decode(bytes "83 d81cc1d81c80 d81d00 d81d01")

    assert.equal(value[1], value[2])
    assert.equal(value[1], value[3])
  end)

  it("shares an array that is still open", function()
    local value = decode(bytes "d81c 9f d81d00 ff")

    assert.equal(value, value[1])
  end)

  for name, example in pairs {
    ["to nothing"] = "d81d00",
    ["to what comes later"] = "82 d81d00 d81c80",
    ["to itself"] = "d81cd81d00",
    ["beyond the last"] = "82 d81c80 d81d01",
    ["by something else than a number"] = "82 d81c80 d81d6130",
    ["by a negative number"] = "82 d81c80 d81d20",
    ["by a huge number"] = "82 d81c80 d81d1bffffffffffffffff",
    ["before a break"] = "9f d81c ff",
    ["without content"] = "d81d",
  } do
    it("is malformed as a reference " .. name, function()
      local value, message, code = decode(bytes(example))

      assert.is_nil(value)
      assert.matches("^byte %d+: ", message)
      assert.equal("malformed", code)
    end)
  end
end)

describe("A finalizer", function()
  it("may encode and decode while a value is decoded", function()
    local encoded = encode { { { "inner" } }, x = { y = 1.5 } }
    local runs, wrong = 0, 0
    local function litter()
      setmetatable({}, {
        __gc = function()
          local copy = decode(encoded)
          local _, message = decode "\x81"
          runs = runs + 1
          local right = encode(copy) == encoded and copy.x.y == 1.5
          wrong = wrong + (right and message and 0 or 1)
        end,
      })
    end
    local records = {}
    for i = 1, 2000 do
      records[i] = { id = i, list = { i, { i } } }
    end
    local encodedRecords = encode(records)

    for _ = 1, 50 do
      litter()
      assert.same(records[2000], decode(encodedRecords)[2000])
    end

    assert.is_true(runs > 0)
    assert.equal(0, wrong)
  end)
end)

describe("What can't be sent", function()
  local function refused(value)
    local written, message, code = encode(value)
    assert.is_nil(written)
    assert.equal("unsendable", code)
    return message
  end

  local function unsent(place)
    return place .. " a C function can't be sent"
  end

  it("is named with its place", function()
    local callback = load("return function() end", "@app.lua")()

    local message = refused { items = { 1, 2, { cb = callback } } }

    local expected = "message.items[3].cb: a function (app.lua:1) can't be sent"
    assert.equal(expected, message)
  end)

  it("is named at the root", function()
    local thread = coroutine.create(print)
    assert.equal("message: a thread can't be sent", refused(thread))
    assert.equal(unsent "message:", refused(print))
    assert.equal("message: a userdata can't be sent", refused(io.stdout))
  end)

  it("is named as a key", function()
    assert.equal(unsent "message: a key that is", refused { [print] = 1 })
    local inside = { a = { [print] = 1 } }
    assert.equal(unsent "message.a: a key that is", refused(inside))
    local place = "message.a: a key that is"
    local value = { { 1 }, a = { [io.stdout] = {} } }
    assert.equal(place .. " a userdata can't be sent", refused(value))
  end)

  it("is named inside a key and behind one that is a table", function()
    assert.equal(unsent "message[a key][1]:", refused { [{ print }] = 1 })
    assert.equal(unsent "message[table][1]:", refused { [{}] = { print } })
  end)

  it("is named behind every kind of key", function()
    local places = {
      [".name_1"] = "name_1",
      ['["1name"]'] = "1name",
      ['["a b"]'] = "a b",
      ['[""]'] = "",
      ['["\\"\\\\\\010\\000"]'] = '"\\\n\0',
      ['["\u{e9}"]'] = "\u{e9}",
      ['["\\255a"]'] = "\xffa",
      ["[-3]"] = -3,
      ["[1.5]"] = 1.5,
      ["[true]"] = true,
    }

    for place, key in pairs(places) do
      assert.equal(unsent("message" .. place .. ":"), refused { [key] = print })
    end
  end)

  it("is named in an array, in a record and behind tables", function()
    assert.equal(unsent "message[3]:", refused { 1, 2, print })
    assert.equal(unsent "message[3]:", refused { 1, {}, print })
    assert.equal(unsent "message[2].x:", refused { 1, { x = print } })
    assert.equal(unsent "message.x.x:", refused { x = { x = print } })
  end)

  it("is named in a text that long keys and paths do not fill", function()
    local value = { print }
    for _ = 1, 30 do
      value = { [("\1"):rep(1000)] = value }
    end

    local message = refused(value)

    assert.is_true(#message < 800)
    assert.matches(": a C function can't be sent$", message)
  end)

  it("leaves nothing behind", function()
    refused { 1, { 2, { print } }, {} }

    assert.equal("82018102", hex(encode { 1, { 2 } }))
  end)
end)

describe("Hostile bytes", function()
  it("that claim much allocate little", function()
    local claims = {
      "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
      "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
      "\x9a\x7f\xff\xff\xff",
      "\xba\x10\x00\x00\x00",
      "\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
      "\x7a\x7f\xff\xff\xff",
    }

    for _, claim in ipairs(claims) do
      assert.is_true(allocated(claim) < 10)
      assert.is_true(allocated(claim:rep(1000)) < 100)
      assert.is_true(allocated("\x9f" .. claim .. ("\0"):rep(1000)) < 100)
    end
  end)

  it("whose nested claims share their bytes allocate in proportion", function()
    -- Each array claims all that is left: only the first can be believed.
    local parts, size = {}, 100000
    for i = 1, 1000 do
      parts[i] = "\x9a" .. big(size - 5 * i, 4)
    end
    local encoded = table.concat(parts) .. ("\0"):rep(size - 5000)

    assert.is_true(allocated(encoded) * 1024 < 40 * #encoded)
  end)

  it("of a million tiny tables allocate in proportion", function()
    local empty = { "\x80", "\xa0", "\x9f\xff", "\xbf\xff" }

    for _, tiny in ipairs(empty) do
      local encoded = "\x9f" .. tiny:rep(100000) .. "\xff"
      assert.is_true(allocated(encoded) * 1024 < 150 * #encoded)
    end
  end)

  it("with keys that Lua's tables can't spread are refused at once", function()
    local function integers(step, count, head)
      local parts = { head or ("\xba" .. big(count, 4)) }
      for i = 1, count do
        table.insert(parts, "\x1b" .. big(i * step, 8) .. "\0")
      end
      return table.concat(parts) .. (head and "\xff" or "")
    end
    local function floats(count)
      local parts = { "\xba" .. big(count, 4) }
      for i = 1, count do
        table.insert(parts, string.pack(">Bd", 0xfb, 1 + i * 2.0 ^ -52) .. "\0")
      end
      return table.concat(parts)
    end
    local hostile = {
      integers((1 << 17) - 1, 1 << 17),
      integers((1 << 17) - 1, 1 << 17, "\xbf"),
      floats(1 << 17),
    }

    for _, encoded in ipairs(hostile) do
      local value, message, code
      local seconds = timed(function()
        value, message, code = decode(encoded)
      end)
      assert.is_nil(value)
      assert.matches("^byte %d+: map keys that collide$", message)
      assert.equal("malformed", code)
      assert.is_true(seconds < 2)
    end
  end)

  it("are not taken for hostile where keys are many and regular", function()
    for _, step in ipairs { 1, 2, 1000, 1024, 65536, 1 << 32, 1 << 40 } do
      local value = {}
      for i = 1, 20000 do
        value[-i * step], value[i * step + 0.5] = i, i
      end
      assert.same(value[-step], decode(encode(value))[-step])
    end
  end)

  it("take time in proportion to their size", function()
    local makers = {
      function(n) return ("\x9f"):rep(n) end,
      function(n) return ("\x81"):rep(n) end,
      function(n) return ("\xd8\x1c"):rep(n) .. "\x80" end,
      function(n) return "\x7f" .. ("\x60"):rep(n) .. "\xff" end,
      function(n) return "\x9f" .. ("\xbf\xff"):rep(n) .. "\xff" end,
      function(n) return "\x9f" .. ("\xf6"):rep(n) .. "\0\xff" end,
      function(n)
        local items = "\x9f" .. ("\0"):rep(n) .. "\xff"
        return ("\xbf\0"):rep(9000) .. items .. ("\xff"):rep(9000)
      end,
    }

    -- What grows with the square would take hours.
    for _, make in ipairs(makers) do
      assert.is_true(timed(decode, make(1000000)) < 60)
    end
  end)
end)
