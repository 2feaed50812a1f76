-- echo.lua - an entry: answers every message with its value.

return function(context)
  context:onMessage(function(value, message) message:reply(value) end)
end
