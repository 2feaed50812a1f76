-- command.lua - runs the isolate-cluster command, or another program, on a
-- script, and tells how that ended.
--
--   local run = command.start [[print "hello"]]
--   run:expect "hello"
--   run:signal "TERM"
--   local result = run:finish()  -- .stdout .stderr .status .seconds
--
-- The program runs in a folder of its own, which is the script's current one,
-- and in a process group of its own: what it leaves running ends with it.

local shell = require "spec.support.shell"

local command = {}

local Run = {}
Run.__index = Run

-- Ends a program that hangs; nothing that works is as slow.
command.DEADLINE = 300 -- seconds

command.PATH = os.getenv "ISOLATE_CLUSTER_COMMAND"
  or error "ISOLATE_CLUSTER_COMMAND must be the path of the command"

-- Whether other programs can load the module only with preloads.
command.SANITIZED = (os.getenv "ISOLATE_CLUSTER_SANITIZE" or "") ~= ""

-- What tells the program's end from what it prints.
local END_MARK = "@ended"

local PROGRAM = [[
%s
echo $$
exec env %s %s script.lua %s 2>stderr %s
]]

-- Its parent leads the process group.
local RUN = [[
echo $PPID
sh program.sh &
wait $!
status=$?
read seconds _ </proc/uptime
echo
echo "]] .. END_MARK .. [[ $status $seconds"
]]

local function now()
  local file <close> = assert(io.open("/proc/uptime"))
  return file:read "n"
end
command.now = now

local function folderOf(path)
  return path:match "^(.*)/[^/]*$" or "."
end

-- An absolute path, for a program that runs elsewhere.
local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return shell.check "pwd":gsub("\n", "") .. "/" .. path
end

-- What runs the isolates of the scripts here: spec/run sets it for its second
-- round.
local THREAD = os.getenv "ISOLATE_CLUSTER_THREAD" or "own"

---The shell's word for the command itself.
function command.absolute()
  return shell.quote(absolute(command.PATH))
end

---The shell's words that run the command.
function command.line()
  return ("%s run --thread %s"):format(shell.quote(absolute(command.PATH)),
    THREAD)
end

---The shell's words that run a plain Lua with the module in its path.
function command.plainLua()
  local module = folderOf(absolute(command.PATH)) .. "/?.so;;"
  return "env LUA_CPATH=" .. shell.quote(module) .. " lua5.4"
end

---@class RunOptions
---@field program string? the shell's words of the program: the command
---@field arguments string? the shell's words behind the script
---@field files table<string, string>? more files for its folder
---@field stdout string? where its output goes instead of a pipe
---@field environment string? words such as "A=b"
---@field before string? shell code that runs before it

---Starts the program on a script.
---@param script string
---@param options RunOptions?
function command.start(script, options)
  options = options or {}
  local folder = shell.check "mktemp -d":gsub("\n", "")
  shell.write(folder .. "/script.lua", script)
  for name, text in pairs(options.files or {}) do
    shell.write(folder .. "/" .. name, text)
  end
  shell.write(folder .. "/program.sh", PROGRAM:format(options.before or "",
    options.environment or "", options.program or command.line(),
    options.arguments or "", options.stdout and ">" .. options.stdout or ""))
  shell.write(folder .. "/run.sh", RUN)
  local started = now()
  local pipe = assert(io.popen(("cd %s && exec timeout -s KILL %d sh run.sh")
    :format(folder, command.DEADLINE)))
  local group, id = pipe:read("l", "l")
  return setmetatable({
    folder = folder, pipe = pipe, id = id, group = group, started = started,
    lines = {},
  }, Run)
end

-- The next line of the program's output; nil behind the last.
function Run:line()
  if self.status then return nil end
  local line = self.pipe:read()
  local status, ended
  if line then
    status, ended = line:match("^" .. END_MARK .. " (%d+) (%S+)$")
  end
  if line and not status then
    table.insert(self.lines, line)
    return line
  end
  self.status = status and math.tointeger(status) or "hung"
  self.seconds = (tonumber(ended) or now()) - self.started
  return nil
end

---Reads the output up to a line that is [text].
function Run:expect(text)
  for line in self.line, self do
    if line == text then return end
  end
  error(("it ended without printing '%s':\n%s"):format(text,
    self:finish().stderr), 2)
end

---Sends a signal, "INT" say, to the program alone; seconds count from here.
function Run:signal(name)
  self.started = now()
  shell.check(("kill -%s %s"):format(name, self.id))
end

---What the program has written to a file of its folder by now.
function Run:read(name)
  return shell.read(self.folder .. "/" .. name)
end

---Waits for the end of the program, and leaves nothing of it.
---@return table result stdout, stderr, status ("hung" after the deadline) and
---seconds, from the start or the last signal
function Run:finish()
  if self.result then return self.result end
  while self:line() do end
  self.result = {
    stdout = table.concat(self.lines, "\n"),
    stderr = self:read "stderr",
    status = self.status,
    seconds = self.seconds,
  }
  shell.run(("kill -s KILL -- -%s"):format(self.group))
  self.pipe:close()
  shell.check("rm -rf " .. self.folder)
  return self.result
end

---Runs the program on a script to its end.
---@param script string
---@param options RunOptions?
---@return table result as Run:finish
function command.run(script, options)
  return command.start(script, options):finish()
end

return command
