-- options_spec.lua - the command's options for limits: what its clusters do
-- where the script does not say.

local command = require "spec.support.command"

describe("The command's limits", function()
  local SCRIPT = [[
    local IsolateCluster = require "isolate_cluster"
    local cluster = IsolateCluster.singleNode(%s)
    local ref = cluster:spawnIsolate(function(context)
      io.stdout:write(tostring(debug ~= nil), " ")
      context.onShutdownRequest = function() context:shutdownIsolate() end
    end)
    for i = 1, 3 do
      local _, _, code = ref:send(i)
      print(code)
    end
    cluster:shutdown()
  ]]

  local function run(options, own)
    local result = command.run(SCRIPT:format(own or ""),
      { program = command.line() .. " " .. options })
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    return result.stdout
  end

  it("are the defaults of its clusters", function()
    assert.matches("nil\nnil\nfull\n", run "--mailbox 2")
    assert.matches("nil\nnil\nnil\n", run "--mailbox 2 --when-full dropOldest")
  end)

  it("yield to the script", function()
    assert.matches("nil\nfull\nfull\n",
      run("--mailbox 2", "{ limits = { mailbox = { messages = 1 } } }"))
    assert.matches("nil\nnil\nnil\n",
      run("--mailbox 2", "{ limits = { mailbox = false } }"))
  end)

  it("are refused with what is expected, and status 2", function()
    local result = command.run("print 'ran'",
      { program = command.line() .. " --memory lots" })

    assert.matches("^isolate%-cluster: %-%-memory wants bytes, or a size such "
      .. "as 64MB, not: lots\nusage: ", result.stderr)
    assert.equal("", result.stdout)
    assert.equal(2, result.status)
  end)
end)
