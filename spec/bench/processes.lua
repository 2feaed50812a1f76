-- processes.lua - the work of the speed-up in two processes instead of two
-- isolates.
--
--   isolate-cluster run processes.lua parallel SECONDS
--
-- The command is in ISOLATE_CLUSTER_COMMAND; it runs this file again as
-- `processes.lua work SECONDS START`, twice.

local program, seconds, start = arg[1], tonumber(arg[2]), tonumber(arg[3])

if program == "work" then
  print(require "work"(start, seconds))
  return
end

start = require "clock".now() + 0.2
local command = ("'%s' run '%s' work %g %.9f"):format(
  os.getenv "ISOLATE_CLUSTER_COMMAND", arg[0], seconds, start)
local first, second = io.popen(command), io.popen(command)
print("parallel", first:read "n" + second:read "n", "k/s")
first:close()
second:close()
