-- architecture_spec.lua - the floors, and the rules that every file keeps.
--
-- Each test collects all that breaks its rule and compares it with nothing, so
-- that a failure names every file at fault, and the header.

local shell = require "spec.support.shell"

-- From the ground up. A file in src/core may include those to its left.
local CORE_FLOORS = {
  "status", "sync", "slab", "alternates", "large",
  "block", "homes", "chunks", "arena", "draft", "image",
  "buffer", "capture", "codec", "path", "limits", "escape", "message",
  "mailbox", "weight", "family", "bound", "isolate", "watch", "wait", "ref",
  "outsiders", "reader",
  "descendants", "program", "turn", "alarms", "run_queue", "worker",
  "monitor", "pool",
  "simulator", "scheduler", "meter", "watchdog", "sentry", "changes", "paths",
  "registry",
  "supervision", "dead_letters", "cluster", "shutdown", "death", "send",
  "simulated", "port",
}

-- What each folder of src may include of the others: a whole folder, or a
-- header. Its own files and the public header are free to all.
local MAY_INCLUDE = {
  include = {},
  core = {},
  binding = { core = true },
  host = { ["binding/module.h"] = true, ["core/shutdown.h"] = true },
}

local LUA_HEADERS = { ["lua.h"] = true, ["lauxlib.h"] = true,
  ["lualib.h"] = true, ["luaconf.h"] = true }
local THREAD_HEADERS = { ["pthread.h"] = true, ["signal.h"] = true,
  ["threads.h"] = true, ["semaphore.h"] = true, ["sched.h"] = true }

local TOP_LEVEL = { src = true, lua = true, spec = true, examples = true,
  ["CMakeLists.txt"] = true, ["README.md"] = true, LICENSE = true,
  ["CHANGELOG.md"] = true,
  build = true } -- made by the scripts, ignored by git

local SOURCES = shell.glob("src/*/*.[ch]")
local HEADERS = shell.glob("src/*/*.h")
local CMAKE_LISTS = shell.read("CMakeLists.txt")

local floorOf = {}
for floor, name in ipairs(CORE_FLOORS) do floorOf[name] = floor end

-- Returns the folder and the bare name of "src/core/buffer.h": core, buffer.
local function split(path)
  return path:match("^src/([^/]+)/([^/]+)%.[ch]$")
end

-- Calls fn(file, header, isSystem) for each #include line.
local function eachInclude(fn)
  for _, file in ipairs(SOURCES) do
    for line in shell.read(file):gmatch("[^\n]+") do
      local open, header = line:match('^%s*#%s*include%s*([<"])([^>"]+)')
      if header then fn(file, header, open == "<") end
    end
  end
end

-- All includes that [isWrong] says something about, as "file: header: what".
local function wrongIncludes(isWrong)
  local wrong = {}
  eachInclude(function(file, header, isSystem)
    local what = isWrong(file, header, isSystem)
    if what then
      wrong[#wrong + 1] = ("%s includes %s: %s"):format(file, header, what)
    end
  end)
  return wrong
end

local function missing(paths)
  local absent = {}
  for _, path in ipairs(paths) do
    local file = io.open(path)
    if file then file:close() else absent[#absent + 1] = path end
  end
  return absent
end

describe("the floors", function()
  it("hold every file of the core", function()
    local homeless = {}
    for _, file in ipairs(shell.glob("src/core/*.[ch]")) do
      local _, name = split(file)
      if not floorOf[name] then homeless[#homeless + 1] = file end
    end

    assert.same({}, homeless)
  end)

  it("are listed in the same order in CMakeLists.txt", function()
    local listed = {}
    for name in CMAKE_LISTS:gmatch("src/core/([%w_]+)%.c") do
      listed[#listed + 1] = name
    end

    assert.equal(table.concat(CORE_FLOORS, " "), table.concat(listed, " "))
  end)

  it("rest on those to their left", function()
    local wrong = wrongIncludes(function(file, header, isSystem)
      local folder, name = split(file)
      if folder ~= "core" or isSystem then return end
      local below = floorOf[header:match("^core/([%w_]+)%.h$")]
      if header == "isolate_cluster.h" then return end
      if not below then return "not of the core" end
      if below > (floorOf[name] or 0) then return "a floor above" end
    end)

    assert.same({}, wrong)
  end)

  it("are entered from above only where they open", function()
    local wrong = wrongIncludes(function(file, header, isSystem)
      local folder = split(file)
      if isSystem or header == "isolate_cluster.h" then return end
      local other = header:match("^([%w_]+)/")
      if not other then return "no folder named" end
      local may = MAY_INCLUDE[folder]
      if other == folder or may[other] or may[header] then return end
      return "not for src/" .. folder
    end)

    assert.same({}, wrong)
  end)
end)

describe("a library's header", function()
  it("for Lua is known to src/binding and src/host alone", function()
    local wrong = wrongIncludes(function(file, header)
      local folder = split(file)
      if LUA_HEADERS[header] and folder ~= "binding" and folder ~= "host" then
        return "Lua is the binding's matter"
      end
    end)

    assert.same({}, wrong)
  end)

  local PROGRAM_FILES = { program = true, descendants = true }

  it("for threads and signals is known to core/sync and src/host", function()
    -- The command is who gets the process's signals, and waits for them; and
    -- programs that are started have signals of their own.
    local wrong = wrongIncludes(function(file, header)
      local folder, name = split(file)
      if folder == "host" or (folder == "core" and name == "sync")
        or (PROGRAM_FILES[name] and header == "signal.h") then
        return
      end
      if THREAD_HEADERS[header] then
        return "threads are the matter of core/sync"
      end
    end)

    assert.same({}, wrong)
  end)
end)

describe("every file of src", function()
  it("is listed in CMakeLists.txt", function()
    local unlisted = {}
    for _, file in ipairs(shell.glob("src/*/*.c lua/isolate_cluster/*.lua")) do
      if not CMAKE_LISTS:find(file, 1, true) then
        unlisted[#unlisted + 1] = file
      end
    end

    assert.same({}, unlisted)
  end)

  it("opens with its name and what it is for", function()
    local silent = {}
    for _, file in ipairs(SOURCES) do
      local base = file:match("[^/]+$")
      local opening = "// " .. base .. " - "
      if shell.read(file):sub(1, #opening) ~= opening then
        silent[#silent + 1] = file
      end
    end

    assert.same({}, silent)
  end)
end)

describe("every header", function()
  it("is guarded by IC_<FILE>_H", function()
    local unguarded = {}
    for _, file in ipairs(HEADERS) do
      local folder, name = split(file)
      local guard = "IC_" .. name:upper() .. "_H"
      if folder == "include" then guard = name:upper() .. "_H" end
      -- The Lua face of what has the same name in the core.
      if folder == "binding" and floorOf[name] then
        guard = "IC_LUA_" .. name:upper() .. "_H"
      end
      if not shell.read(file):find("\n#ifndef " .. guard .. "\n#define "
          .. guard .. "\n", 1, true) then
        unguarded[#unguarded + 1] = file .. " (" .. guard .. ")"
      end
    end

    assert.same({}, unguarded)
  end)

  it("can be included alone", function()
    -- As the build does it: with the same folders to look for Lua in.
    local commands = shell.read(os.getenv("ISOLATE_CLUSTER_BUILD")
      .. "/compile_commands.json")
    local flags = { "-std=gnu11", "-D_GNU_SOURCE=", "-Isrc", "-Isrc/include" }
    for folder in commands:gmatch('%-isystem ([^"\\%s]+)') do
      flags[#flags + 1] = "-isystem " .. folder
    end
    for folder in commands:gmatch('%-isystem \\"(.-)\\"') do
      flags[#flags + 1] = "-isystem " .. shell.quote(folder)
    end

    local insufficient = shell.run((
      "for header in %s; do cc -x c -fsyntax-only -Wall -Werror %s $header 2>&1"
      .. " | grep -m 1 'error:' | sed \"s#^#$header: #\"; done"):format(
      table.concat(HEADERS, " "), table.concat(flags, " ")))

    assert.equal("", insufficient)
  end)
end)

describe("the tree", function()
  it("keeps the top level to what users look for", function()
    local others = {}
    for _, name in ipairs(shell.glob("*")) do
      if not TOP_LEVEL[name] then others[#others + 1] = name end
    end

    assert.same({}, others)
  end)

  it("has a C test for every file of the core", function()
    -- Parts of the pool, which can't run one without the other.
    local testedWith = { worker = "pool", monitor = "pool" }
    local expected = {}
    for _, file in ipairs(shell.glob("src/core/*.c")) do
      local _, name = split(file)
      expected[#expected + 1] =
        ("spec/core/%s_test.c"):format(testedWith[name] or name)
    end

    assert.same({}, missing(expected))
  end)

  it("has a unit spec for every Lua file", function()
    local expected = {}
    for _, file in ipairs(shell.glob("lua/isolate_cluster/*.lua")) do
      local name = file:match("([^/]+)%.lua$")
      if name ~= "types" then -- comments for editors, no code
        expected[#expected + 1] = "spec/unit/" .. name .. "_spec.lua"
      end
    end

    assert.same({}, missing(expected))
  end)
end)
