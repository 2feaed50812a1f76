-- refusal.lua - what a person reads who has misused a call.

local refusal = {}

---The text that fn() raises. It must name a line of fn, the caller of what
---refuses, and no line of a library; that place is left out.
---@param fn fun()
---@return string
function refusal.of(fn)
  local ok, text = pcall(fn)
  if ok then error("nothing was raised", 2) end
  local about = debug.getinfo(fn, "S")
  local file, line, rest = tostring(text):match "^(.-):(%d+): (.*)$"
  line = tonumber(line)
  if file ~= about.short_src or line < about.linedefined
    or line > about.lastlinedefined then
    error(("'%s' does not name the caller, %s:%d"):format(text,
      about.short_src, about.linedefined), 2)
  end
  return rest
end

return refusal
