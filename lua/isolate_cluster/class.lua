-- class.lua - the metatables of what scripts get, out of their reach.
--
-- A script sees neither the metatable nor the table of the methods: one handler
-- that writes into it would change our code for all others, and a sandboxed one
-- would find functions there that it is not to have.

---Makes a class: the table of its methods, and the metatable of its objects.
---@param name string what getmetatable gives instead
---@return table methods, table meta
return function(name)
  local methods = {}
  return methods, { __index = methods, __name = name, __metatable = name }
end
