-- command_spec.lua - what the command's options are read as, and how they meet
-- those of a script.

local FakeCore = require "spec.support.fake_core"

local core, command

before_each(function()
  core = FakeCore.new()
  command = core:load "command"
end)

local function read(line)
  local arguments = {}
  for word in line:gmatch "%S+" do arguments[#arguments + 1] = word end
  return command.read(arguments)
end

-- The options that singleNode uses after these on the command line.
local function merged(line, options)
  assert(read(line))
  return core.withDefaults(options)
end

describe("The options of run", function()
  it("end where the script is", function()
    assert.equal(1, read "a.lua --memory 1")
    assert.equal(3, read "--memory 64MB a.lua")
    assert.equal(4, read "--memory 64MB --cpu=1 a.lua b")
  end)

  it("change nothing if there are none", function()
    read "a.lua"

    assert.is_nil(rawget(core, "withDefaults"))
  end)

  it("become those of singleNode", function()
    assert.same({ thread = "shared", threads = 3, sandbox = "safe",
      isolates = 20, stuckAfter = 2,
      limits = { memory = "1.5MB", cpu = 0.5, cpuTotal = 10,
        mailbox = { messages = 1000, bytes = 4096, whenFull = "wait" } } },
      merged("--thread shared --threads 3 --sandbox safe --memory 1.5MB "
        .. "--stuck-after 2 --isolates 20 "
        .. "--cpu .5 --cpu-total 10 --mailbox 1000 --mailbox-bytes 4096 "
        .. "--when-full=wait a.lua"))
  end)

  it("yield to what the script says, one by one", function()
    assert.same({ thread = "own", sandbox = "none",
      limits = { memory = 5, cpu = 1, mailbox = false } },
      merged("--thread shared --memory 1MB --cpu 1 --mailbox 3 a.lua",
        { thread = "own", sandbox = "none",
          limits = { memory = 5, mailbox = false } }))
  end)

  it("leave what is no table to be complained of", function()
    assert.same({ limits = 5 },
      merged("--memory 1MB a.lua", { limits = 5 }))
  end)

  it("are refused with what is expected", function()
    local complaints = {
      ["--thread green x"] = "--thread is own or shared, not: green",
      ["--threads 0 x"] = "--threads is a number from 1 to 1024, not: 0",
      ["--threads 1025"] = "--threads is a number from 1 to 1024, not: 1025",
      ["--isolates many x"] = "--isolates wants a number, not: many",
      ["--sandbox tight x"] = "--sandbox is safe or none, not: tight",
      ["--memory 64mb x"] =
        "--memory wants bytes, or a size such as 64MB, not: 64mb",
      ["--memory 0 x"] = "--memory wants bytes, or a size such as 64MB, not: 0",
      ["--memory=0.0MB"] =
        "--memory wants bytes, or a size such as 64MB, not: 0.0MB",
      ["--cpu 0 x"] = "--cpu wants seconds, more than 0, not: 0",
      ["--cpu -1 x"] = "--cpu wants seconds, more than 0, not: -1",
      ["--cpu . x"] = "--cpu wants seconds, more than 0, not: .",
      ["--cpu-total nan x"] =
        "--cpu-total wants seconds, more than 0, not: nan",
      ["--mailbox 1.5 x"] = "--mailbox wants a number of messages, not: 1.5",
      ["--mailbox-bytes ten x"] =
        "--mailbox-bytes wants bytes, or a size such as 10MB, not: ten",
      ["--mailbox 1 --when-full drop x"] =
        "--when-full is fail, wait, dropOldest or dropNewest, not: drop",
      ["--when-full wait x"] =
        "--when-full wants --mailbox or --mailbox-bytes beside it",
      ["--fast x"] = "unknown option: --fast",
      ["-x"] = "unknown option: -x",
      ["--memory"] = "--memory wants bytes, or a size such as 64MB, not: ",
      ["--memory 1MB"] = "which file is to be run?",
      [""] = "which file is to be run?",
    }
    for line, complaint in pairs(complaints) do
      local at, text = read(line)
      assert.is_nil(at)
      assert.equal(complaint, text)
    end
  end)
end)
