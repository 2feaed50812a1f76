-- shell.lua - runs commands for the specs that look at files and programs.

local shell = {}

-- One word for the shell, whatever it holds.
---@param text string
---@return string
function shell.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Runs a command line; its stderr is part of the output.
---@param command string
---@return string output, integer status
function shell.run(command)
  local pipe <close> = assert(io.popen("{ " .. command .. "\n} 2>&1", "r"))
  local output = pipe:read("a")
  local _, how, code = pipe:close()
  return output, how == "signal" and 128 + code or code
end

-- Runs a command line that must end with status 0.
---@param command string
---@return string output
function shell.check(command)
  local output, status = shell.run(command)
  if status ~= 0 then
    error(("status %d: %s\n%s"):format(status, command, output), 2)
  end
  return output
end

---@param text string
---@return string[]
function shell.lines(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

-- The files that a shell pattern names, sorted; {} if there is none.
---@param pattern string
---@return string[]
function shell.glob(pattern)
  local command = "for file in %s; do [ ! -e $file ] || echo $file; done"
  return shell.lines(shell.check(command:format(pattern)))
end

---@param path string
---@return string
function shell.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

---@param path string
---@param text string
function shell.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

return shell
