-- doctor_spec.lua - what `isolate-cluster doctor` says of the Lua library that
-- is in use, whichever that is.

local command = require "spec.support.command"

describe("isolate-cluster doctor", function()
  -- The command gets the script's name as one more argument, and ignores it.
  local report = command.run("", { program = command.absolute() .. " doctor" })
  local output, status = report.stdout, report.status
  local release = math.tointeger(output:match "\nLua 5%.4%.(%d+)\n")
  local wrong, right = 0, 0
  for _, verdict in output:gmatch "\n  ([^\n]-): ([^\n]+)" do
    if verdict == "right" then right = right + 1 else wrong = wrong + 1 end
  end

  it("says which Lua it is, and where that is from", function()
    assert.matches("^isolate%-cluster %d+%.%d+%.%d+\nLua 5%.4%.%d+\n", output)
    assert.matches("\n  built into the command %([^\n]+%)\n", output)
  end)

  it("tells of each test, and survives it", function()
    assert.equal(8, wrong + right)
    assert.matches("\npromise: ", output)
  end)

  it("ends with 1 if something is wrong, else with 0", function()
    assert.equal(wrong > 0 and 1 or 0, status)
    assert.equal("", report.stderr)
  end)

  it("promises no more than it found, and says what to do", function()
    local isFine = wrong == 0 and release >= 8
    assert.equal(isFine, output:find("contains hostile code", 1, true) ~= nil)
    assert.equal(not isFine, output:find("not hostile code", 1, true) ~= nil)
    assert.equal(not isFine, output:find("IC_LUA_SOURCE", 1, true) ~= nil)
  end)

  it("knows the defects of Lua 5.4.4", function()
    if release ~= 4 then pending "another Lua is in use" return end
    assert.matches("__concat while the stack grows: [wc]r[oa]", output)
    assert.matches("nested calls of coroutine.close: crashes", output)
    assert.matches("break out of a loop with a value to be closed: wrong "
      .. "result", output)
    assert.matches("bitwise operators behind many constants: wrong result",
      output)
    assert.matches("utf8.codes of malformed text: wrong result", output)
    assert.matches("promise: contains accidents, not hostile code\n", output)
  end)

  it("is in the help", function()
    assert.matches("\ndoctor tells which Lua",
      command.run("", { program = command.absolute() .. " --help" })
        .stdout)
  end)
end)
