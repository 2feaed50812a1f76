-- inside.lua - the entry of Probe:inside: runs the function that it is given for
-- the first message, and replies with what that returned.

return function(context)
  local fn = load(context:property "code", "inside", "b")
  local _, question = context.onMessage:next()
  question:reply(table.pack(pcall(fn, context)))
end
