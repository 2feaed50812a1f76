-- idle.lua - an entry: lives until it is asked to end, and does nothing.

return function(context)
  context:onMessage(function() end)
end
