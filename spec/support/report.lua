-- report.lua - busted's output handler for spec/run.
--
-- Prints "test: <name>" before each test and each failure at once, so that what
-- was printed last before a crash tells where it was; at the end one line,
-- "<file>: N passed, N failed".

local pretty = require "pl.pretty"

local function say(...)
  io.write(string.format(...), "\n")
  io.flush()
end

local function messageText(message)
  if message == nil then return "(no message)" end
  return type(message) == "string" and message or pretty.write(message)
end

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local file = "busted"

  local function onTestStart(element)
    say("test: %s", handler.getFullName(element))
    return nil, true
  end

  local function onTestEnd(element, _, status)
    if status == "pending" then
      say("pending: %s", handler.getFullName(element))
    end
    return nil, true
  end

  local function onProblem(element, parent, message, trace)
    local problem = handler.format(element, parent, message, trace)
    local place = problem.element.trace or {}
    say("FAILED: %s\n  %s:%s\n  %s", problem.name, place.short_src or "?",
      place.currentline or "?", (messageText(message):gsub("\n", "\n  ")))
    if problem.trace and problem.trace.traceback then
      say("  %s", (problem.trace.traceback:gsub("^\n+", ""):gsub("\n", "\n  ")))
    end
    return nil, true
  end

  local function onFileStart(element)
    file = element.name
    return nil, true
  end

  local function onSuiteEnd()
    say("%s: %d passed, %d failed", file:gsub("%s", "_"),
      handler.successesCount, handler.failuresCount + handler.errorsCount)
    return nil, true
  end

  handler.options = options
  busted.subscribe({ "file", "start" }, onFileStart)
  busted.subscribe({ "test", "start" }, onTestStart)
  busted.subscribe({ "test", "end" }, onTestEnd)
  busted.subscribe({ "failure" }, onProblem)
  busted.subscribe({ "error" }, onProblem)
  busted.subscribe({ "suite", "end" }, onSuiteEnd)
  return handler
end
