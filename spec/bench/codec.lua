-- codec.lua - how long a format takes for the small table, there and back.

local meter = require "meter"
local value = require "values".small()

local function timeOf(fn, argument, seconds)
  local measure = meter(seconds / 2)
  local count, each = 0
  repeat
    for _ = 1, 1000 do fn(argument) end
    count = count + 1000
    each = measure(count)
  until each
  return each * 1e9
end

return function(encode, decode, seconds)
  local bytes = encode(value)
  assert(decode(bytes).name == value.name)
  print("encode", timeOf(encode, value, seconds), "ns")
  print("decode", timeOf(decode, bytes, seconds), "ns")
end
