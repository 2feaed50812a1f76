-- scratch.lua - files for one spec, in a folder of its own.

local shell = require "spec.support.shell"

local Scratch = {}
Scratch.__index = Scratch

function Scratch.new()
  local folder = shell.check "mktemp -d":gsub("%s+$", "")
  return setmetatable({ folder = folder }, Scratch)
end

---The path of the file [name], which need not exist.
function Scratch:path(name)
  return self.folder .. "/" .. name
end

---Writes a file and returns its path.
function Scratch:write(name, text)
  shell.write(self:path(name), text)
  return self:path(name)
end

function Scratch:remove()
  shell.check("rm -rf " .. shell.quote(self.folder))
end

return Scratch
