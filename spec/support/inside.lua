-- inside.lua - the entry of Probe:inside: runs the function that it is given for
-- the first message, and replies with what that returned.

return function(context)
  local fn = load(context:property "code", "inside", "b")
  local _, question = context.onMessage:next()
  local sent, text = question:reply(table.pack(pcall(fn, context)))
  if not sent then question:reply { false, text, n = 2 } end
end
