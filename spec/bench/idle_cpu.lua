-- idle_cpu.lua - prints what a process with nothing to do costs while its
-- caller sleeps: CPU time, and how often one of its threads was woken.

local clock = require "clock"

return function(sleep)
  local start, sleeps = clock.now(), clock.sleeps()
  -- To ask for the time of 10,000 threads costs milliseconds, which count too:
  -- about as much of the second question as of the third falls in between.
  local before = clock.cpu()
  local cpu = clock.cpu()
  local asking = cpu - before
  sleep()
  local used = math.max(0, clock.cpu() - cpu - asking)
  local elapsed = clock.now() - start
  print("cpu", used / elapsed * 100, "%")
  -- But for the one of the caller.
  print("wakeups", (clock.sleeps() - sleeps - 1) / elapsed, "1/s")
end
