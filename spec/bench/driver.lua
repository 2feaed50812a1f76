-- driver.lua - runs the programs of all runners in turns; tells the medians.
--
--   lua5.4 driver.lua [--csv FILE] [--plot FILE] [--only=METRIC] [--quick]
--
-- Started by spec/bench/run, which has built what is run. A whole round of all
-- programs comes before the next round, so that what disturbs the machine for a
-- while disturbs at most one run of each.

local clock = require "clock"
local metrics = require "metrics"
local results = require "results"
local report = require "report"

-- --- The command line -------------------------------------------------------

local csv, plot, only
local rounds, seconds = 5, 0.5
local options = {
  ["--csv"] = function(value) csv = value end,
  ["--plot"] = function(value) plot = value end,
  ["--only"] = function(value) only = value end,
}
for _, option in ipairs(arg) do
  local name, value = option:match "^(%-%-%a+)=(.*)$"
  if option == "--quick" then
    rounds, seconds = 3, 0.1
  else
    options[name](value)
  end
end

local rows = {}
for _, row in ipairs(metrics.ROWS) do
  if not only or row.name:find(only, 1, true) then rows[#rows + 1] = row end
end
if #rows == 0 then
  io.stderr:write("spec/bench/run: no metric matches: ", only, "; there are\n")
  for _, row in ipairs(metrics.ROWS) do
    io.stderr:write(("  %-18s %s\n"):format(row.name, row.title))
  end
  os.exit(2)
end

-- --- What is to be run ------------------------------------------------------

local function programOf(measurement)
  return metrics.PROGRAM_OF[measurement] or measurement
end

-- What the rows need of a runner: a set of programs.
local function wanted(runner)
  local set = {}
  local isFloor = runner.name == "floor" or runner.isFloor
  for _, row in ipairs(rows) do
    if isFloor then
      for _, floor in ipairs(row.floor or {}) do
        set[programOf(floor)] = true
      end
    else
      if row.measurement and (not row.mode or row.mode == runner.name
          or (runner.name ~= "own" and runner.name ~= "shared")) then
        set[programOf(row.measurement)] = true
      end
      if row.of == runner.name and row.ofMeasurement then
        set[programOf(row.ofMeasurement)] = true
      end
    end
  end
  return set
end

local function isInstalled(command)
  return os.execute("command -v " .. command .. " >/dev/null 2>&1")
end

-- The jobs of a round: of each program all runners, one after the other.
local function plan()
  local byProgram, order = {}, {}
  for _, runner in ipairs(metrics.RUNNERS) do
    local set = wanted(runner)
    local isThere = not runner.needs or isInstalled(runner.needs)
    for program in runner.programs:gmatch "%S+" do
      if isThere and set[program] then
        if not byProgram[program] then
          byProgram[program] = {}
          order[#order + 1] = program
        end
        table.insert(byProgram[program],
          { runner = runner, program = program })
      end
    end
  end
  local jobs = {}
  for _, program in ipairs(order) do
    for _, job in ipairs(byProgram[program]) do jobs[#jobs + 1] = job end
  end
  return jobs
end

-- --- Running ----------------------------------------------------------------

local function firstLine(path)
  local file = io.open(path)
  local line = file and file:read "l"
  if file then file:close() end
  return line
end

-- What went wrong, and how often. A failed run is no reason to leave out the
-- others, but for one that did not end: the next would not either.
local problems = {} ---@type table<string, integer>
local isTerminal = os.execute "test -t 2"

local function run(job)
  local errors = (os.getenv "IC_BENCH_BUILD" or "build/bench") .. "/errors"
  local command = job.runner.command:format(job.program, seconds)
  local pipe = io.popen(("timeout -k 5 120 %s 2>'%s'"):format(command, errors))
  for line in pipe:lines() do
    local measurement, value = line:match "^(%S+)%s+(%S+)%s"
    if line == "unsupported" then
      job.isOver = true
    elseif tonumber(value) then
      results.add(job.runner.isFloor and "floor" or job.runner.name,
        measurement, tonumber(value))
    end
  end
  local isFine, _, status = pipe:close()
  if isFine then return end
  job.isOver = status == 124
  local problem = ("%s %s: %s"):format(job.runner.name, job.program,
    status == 124 and "did not end in time" or firstLine(errors)
    or "ended with status " .. status)
  problems[problem] = (problems[problem] or 0) + 1
end

local jobs = plan()
local load = report.load(clock)
for round = 1, rounds do
  for _, job in ipairs(jobs) do
    if isTerminal then
      io.stderr:write(("\r\27[Kround %d of %d: %s, %s"):format(round, rounds,
        job.program, job.runner.name))
    end
    if not job.isOver then run(job) end
  end
  if not isTerminal then
    io.stderr:write(("round %d of %d is done\n"):format(round, rounds))
  end
end
if isTerminal then io.stderr:write "\r\27[K" end

-- --- Telling ----------------------------------------------------------------

report.print(rows, metrics.RUNNERS, rounds, load())
for problem, count in pairs(problems) do
  print(("failed %d times: %s"):format(count, problem))
end
if csv then report.csv(csv, rows, metrics.RUNNERS) end
if plot then report.plot(plot, rows, metrics.RUNNERS) end
