-- work.lua - pure Lua work, for the speed-up: arithmetic, tables and strings in
-- equal parts, so that allocators are in it too.
--
-- From [start] on (a time of `clock`) works for [seconds]; returns how many
-- thousand units of work were done a second.

local now = require "clock".now

local function unit()
  local sum = 0
  for i = 1, 1000 do sum = (sum * 31 + i) % 65521 end
  local list = {}
  for i = 1, 30 do list[i] = { i, name = "n" .. (sum + i) } end
  table.sort(list, function(a, b) return a.name < b.name end)
  return #list
end

return function(start, seconds)
  repeat until now() >= start
  local count, stop = 0, start + seconds
  repeat
    unit()
    count = count + 1
  until now() >= stop
  return count / (now() - start) / 1000
end
