-- meter.lua - says when something that is done over and over was done for long
-- enough, and how long one took.
--
--   local measure = require "meter"(seconds)
--   repeat
--     for _ = 1, 100 do work() end
--     count = count + 100
--     each = measure(count)     -- nil until the time is up
--   until each
--
-- The first quarter of the time warms up, and does not count.

local now = require "clock".now

return function(seconds)
  local first, start = 0, now()
  local limit, isWarm = seconds / 4, false
  return function(count)
    local elapsed = now() - start
    if elapsed < limit then return nil end
    if isWarm then return elapsed / (count - first) end
    isWarm, limit = true, seconds
    first, start = count, now()
  end
end
