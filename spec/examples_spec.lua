-- examples_spec.lua - the examples and the README's program do what they say.
--
-- An example ends with a comment, "-- prints (in any order):", below which each
-- line "--   text" is one line of its output. Isolates run at once, so the
-- lines are compared sorted.

local shell = require "spec.support.shell"

local COMMAND = shell.quote(os.getenv("ISOLATE_CLUSTER_COMMAND"))

-- Far more than any of them takes, on a slow machine with sanitizers too.
local DEADLINE_SECONDS = 120

local function sorted(lines)
  table.sort(lines)
  return lines
end

local function promisedLines(source)
  local block = source:match("\n%-%- prints %(in any order%):\n(.*)$")
  assert(block, "no line `-- prints (in any order):`")
  local lines = {}
  for line in block:gmatch("[^\n]+") do
    lines[#lines + 1] = line:match("^%-%-   (.*)$")
      or error("below `prints`, not of the form `--   text`: " .. line)
  end
  return lines
end

-- Runs a Lua file with the command. Returns its output's lines, and the status;
-- what it says on stderr is among the lines, where nobody promised it.
local function runFile(path)
  local command = "timeout -k 5 %d %s run %s </dev/null"
  local output, status = shell.run(command:format(DEADLINE_SECONDS, COMMAND,
    shell.quote(path)))
  return shell.lines(output), status
end

describe("the example", function()
  for _, path in ipairs(shell.glob("examples/*.lua")) do
    it(path:match("[^/]+$") .. " prints what it says and ends well", function()
      local promised = promisedLines(shell.read(path))

      local printed, status = runFile(path)

      assert.same(sorted(promised), sorted(printed))
      assert.equal(0, status)
    end)
  end

  it("quick_start.lua is there, for examples/run", function()
    assert.same({ "examples/quick_start.lua" },
      shell.glob("examples/quick_start.lua"))
  end)
end)

describe("examples/run", function()
  it("lists the names if there is no such example", function()
    local output, status = shell.run("sh examples/run no_such_example")

    assert.equal(2, status)
    assert.matches("\n  quick_start\n", output)
    assert.matches("\n  embed\n", output)
  end)
end)

describe("the README's program", function()
  local path

  after_each(function()
    if path then os.remove(path) end
  end)

  it("prints what the README says", function()
    local program, promised = shell.read("README.md"):match(
      "\n```lua\n(.-)\n```\n.-\n```%w*\n(.-)\n```\n")
    assert(program, "README.md has no block of Lua with its output after it")
    path = os.getenv("ISOLATE_CLUSTER_BUILD") .. "/readme.lua"
    shell.write(path, program)

    local printed, status = runFile(path)

    assert.same(sorted(shell.lines(promised)), sorted(printed))
    assert.equal(0, status)
  end)
end)
