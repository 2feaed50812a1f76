-- cbor_spec.lua - the bytes of values: the examples of RFC 8949, appendix A
-- (what is read and written) and appendix F (what is refused).

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

-- Equal and of the same subtype; NaN equals NaN, 0.0 is not -0.0.
local function sameNumber(a, b)
  if a ~= a then
    return b ~= b
  end
  return a == b and math.type(a) == math.type(b) and 1 / a == 1 / b
end

-- {encoded, value, ours}: ours is how the value is written by encode, where
-- that differs from `encoded`; false: the value is not written the same.
local inf, nan = math.huge, 0 / 0
local NUMBERS = {
  { "00", 0 },
  { "01", 1 },
  { "0a", 10 },
  { "17", 23 },
  { "1818", 24 },
  { "1819", 25 },
  { "1864", 100 },
  { "1903e8", 1000 },
  { "1a000f4240", 1000000 },
  { "1b000000e8d4a51000", 1000000000000 },
  { "1b7fffffffffffffff", math.maxinteger },
  { "20", -1 },
  { "29", -10 },
  { "3863", -100 },
  { "3903e7", -1000 },
  { "3b7fffffffffffffff", math.mininteger },
  { "f90000", 0.0, "fb0000000000000000" },
  { "f98000", -0.0, "fb8000000000000000" },
  { "f93c00", 1.0, "fb3ff0000000000000" },
  { "fb3ff199999999999a", 1.1 },
  { "f93e00", 1.5, "fb3ff8000000000000" },
  { "f97bff", 65504.0, "fb40effc0000000000" },
  { "fa47c35000", 100000.0, "fb40f86a0000000000" },
  { "fa7f7fffff", 3.4028234663852886e+38, "fb47efffffe0000000" },
  { "fb7e37e43c8800759c", 1.0e+300 },
  { "f90001", 5.960464477539063e-8, "fb3e70000000000000" },
  { "f90400", 0.00006103515625, "fb3f10000000000000" },
  { "f9c400", -4.0, "fbc010000000000000" },
  { "fbc010666666666666", -4.1 },
  { "f97c00", inf, "fb7ff0000000000000" },
  { "f97e00", nan, false },
  { "f9fc00", -inf, "fbfff0000000000000" },
  { "fa7f800000", inf, false },
  { "fa7fc00000", nan, false },
  { "faff800000", -inf, false },
  { "fb7ff0000000000000", inf },
  { "fb7ff8000000000000", nan, false },
  { "fbfff0000000000000", -inf },
  { "f0", 16, false }, -- simple(16)
  { "f8ff", 255, false }, -- simple(255)
  { "c11a514b67b0", 1363896240, false },
  { "c1fb41d452d9ec200000", 1363896240.5, false },
  -- Not in the appendix: wider than needed, and every width of a float.
  { "1800", 0, false },
  { "190001", 1, false },
  { "1a00000001", 1, false },
  { "1b0000000000000001", 1, false },
  { "fa3f800000", 1.0, false },
  { "f983ff", -1023 / 16777216, false },
  { "fa00000001", 2.0 ^ -149, false },
  { "fb0000000000000001", 2.0 ^ -1074 },
}

local UP_TO_25 = {}
for i = 1, 25 do
  UP_TO_25[i] = i
end

local VALUES = {
  { "f4", false },
  { "f5", true },
  { "f6", nil },
  { "f7", nil, "f6" },
  -- Bignums: their bytes.
  { "c249010000000000000000", "\1\0\0\0\0\0\0\0\0", false },
  { "c349010000000000000000", "\1\0\0\0\0\0\0\0\0", false },
  {
    "c074323031332d30332d32315432303a30343a30305a",
    "2013-03-21T20:04:00Z",
    false,
  },
  { "d74401020304", "\1\2\3\4", false },
  { "d818456449455446", "dIETF", false },
  {
    "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
    "http://www.example.com",
    false,
  },
  { "40", "", "60" },
  { "4401020304", "\1\2\3\4", "6401020304" },
  { "60", "" },
  { "6161", "a" },
  { "6449455446", "IETF" },
  { "62225c", '"\\' },
  { "62c3bc", "\u{fc}" },
  { "63e6b0b4", "\u{6c34}" },
  { "64f0908591", "\u{10151}" },
  { "80", {} },
  { "83010203", { 1, 2, 3 } },
  { "8301820203820405", { 1, { 2, 3 }, { 4, 5 } } },
  {
    "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
    UP_TO_25,
  },
  { "a0", {}, "80" },
  { "a201020304", { [1] = 2, [3] = 4 }, false },
  { "a26161016162820203", { a = 1, b = { 2, 3 } }, false },
  { "826161a161626163", { "a", { b = "c" } } },
  {
    "a56161614161626142616361436164614461656145",
    { a = "A", b = "B", c = "C", d = "D", e = "E" },
    false,
  },
  { "5f42010243030405ff", "\1\2\3\4\5", false },
  { "7f657374726561646d696e67ff", "streaming", false },
  { "9fff", {}, false },
  { "9f018202039f0405ffff", { 1, { 2, 3 }, { 4, 5 } }, false },
  { "9f01820203820405ff", { 1, { 2, 3 }, { 4, 5 } }, false },
  { "83018202039f0405ff", { 1, { 2, 3 }, { 4, 5 } }, false },
  { "83019f0203ff820405", { 1, { 2, 3 }, { 4, 5 } }, false },
  {
    "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
    UP_TO_25,
    false,
  },
  { "bf61610161629f0203ffff", { a = 1, b = { 2, 3 } }, false },
  { "826161bf61626163ff", { "a", { b = "c" } }, false },
  { "bf6346756ef563416d7421ff", { Fun = true, Amt = -2 }, false },
}

-- RFC 8949, appendix F: not well-formed.
local MALFORMED = [[
  18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900
  fa0000 fb000000
  41 61 5affffffff00 5bffffffffffffffff010203 7affffffff00
  7b7fffffffffffffff010203
  81 818181818181818181 8200 a1 a20102 a100 a2000000 c0
  5f4100 7f6100
  9f 9f0102 bf bf01020102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff
  1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe
  f800 f801 f818 f81f
  5f00ff 5f21ff 5f6100ff 5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff
  5f5f4100ffff 7f7f6100ffff
  ff 81ff 8200ff a1ff a1ff00 a100ff a20000ff 9f81ff 9f829f819f9fffffffff
  bf00ff bf000000ff
  1f 3f df
]]

describe("A number", function()
  for _, example in ipairs(NUMBERS) do
    it(("is read from %s"):format(example[1]), function()
      local value = decode(bytes(example[1]))

      assert.is_true(sameNumber(example[2], value))
    end)

    if example[3] ~= false then
      it(("is written as %s"):format(example[3] or example[1]), function()
        local written = encode(example[2])

        assert.equal(example[3] or example[1], hex(written))
      end)
    end
  end

  it("keeps its value and subtype, whatever it is", function()
    local numbers = { 0, -0.0, 0.0, 1.0, -1, 65535, 65536, nan, inf, -inf }
    for shift = 0, 63 do
      table.insert(numbers, 1 << shift)
      table.insert(numbers, (1 << shift) - 1)
      table.insert(numbers, -(1 << shift))
      table.insert(numbers, 2.0 ^ shift)
    end

    for _, number in ipairs(numbers) do
      assert.is_true(sameNumber(number, decode(encode(number))))
    end
  end)

  for _, example in ipairs {
    "1bffffffffffffffff",
    "3bffffffffffffffff",
    "1b8000000000000000",
    "3b8000000000000000",
  } do
    it("of more than 64 signed bits is refused: " .. example, function()
      local value, message, code = decode(bytes(example))

      assert.is_nil(value)
      assert.equal("byte 0: an integer of more than 64 signed bits", message)
      assert.equal("range", code)
    end)
  end

  it("that does not fit is malformed where the bytes are", function()
    local _, message, code = decode(bytes "821bffffffffffffffff")

    assert.equal("malformed", code)
    assert.equal("byte 10: the bytes end where an item is owed", message)
  end)
end)

describe("A value", function()
  for _, example in ipairs(VALUES) do
    it(("is read from %s"):format(example[1]), function()
      local value = decode(bytes(example[1]))

      assert.same(example[2], value)
    end)

    if example[3] ~= false then
      it(("is written as %s"):format(example[3] or example[1]), function()
        local written = encode(example[2])

        assert.equal(example[3] or example[1], hex(written))
      end)
    end
  end

  it("has no second and third result when it is nil", function()
    local count = select("#", decode(bytes "f6"))

    assert.equal(1, count)
  end)

  it("is exactly one item", function()
    local value, message, code = decode(bytes "0000")

    assert.is_nil(value)
    assert.equal("byte 1: bytes behind the item", message)
    assert.equal("malformed", code)
  end)

  it("is at least one item", function()
    local value, message, code = decode ""

    assert.is_nil(value)
    assert.equal("byte 0: the bytes end where an item is owed", message)
    assert.equal("malformed", code)
  end)

  for example in MALFORMED:gmatch "%x+" do
    it(("is not read from the malformed %s"):format(example), function()
      local value, message, code = decode(bytes(example))

      assert.is_nil(value)
      assert.matches("^byte %d+: ", message)
      assert.equal("malformed", code)
    end)
  end

  it("is not read from a part of its bytes", function()
    local shared = { 1.5, "text" }
    local list = { shared, shared, { deep = { true } } }
    local whole = encode { id = 1, list = list, ["\xff"] = -7 }

    for size = 0, #whole - 1 do
      local value, _, code = decode(whole:sub(1, size))
      assert.is_nil(value)
      assert.equal("malformed", code)
    end
  end)
end)
