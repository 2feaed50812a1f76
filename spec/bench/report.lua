-- report.lua - tells what was measured: as a table, as CSV, as a plot.

local results = require "results"

local report = {}

-- --- The machine ------------------------------------------------------------

local function readFile(path)
  local file = io.open(path)
  local text = file and file:read "a" or ""
  if file then file:close() end
  return text
end

local function machine()
  local info = readFile "/proc/cpuinfo"
  local _, count = info:gsub("processor%s*:", "")
  return ("%s, %d CPUs, Linux %s"):format(
    info:match "model name%s*:%s*([^\n]+)" or "unknown CPU", count,
    readFile "/proc/sys/kernel/osrelease":gsub("%s+$", ""))
end

-- CPU seconds of all processes, and those that the hypervisor took.
local function machineCpu()
  local times = {}
  for time in readFile "/proc/stat":match "cpu ([^\n]*)":gmatch "%d+" do
    times[#times + 1] = tonumber(time) / 100
  end
  local user, nice, system, idle, iowait, irq, softirq, steal =
    table.unpack(times)
  local busy = user + nice + system + irq + softirq
  return busy, steal, busy + steal + idle + iowait
end

-- Starts to watch the machine's load; the function that is returned says in a
-- line what there was besides the benchmark.
function report.load(clock)
  local start, average = clock.now(), readFile "/proc/loadavg":match "%S+"
  local busyBefore, stolenBefore, allBefore = machineCpu()
  local oursBefore = clock.cpu() + clock.childrenCpu()
  return function()
    local busy, stolen, all = machineCpu()
    local ours = clock.cpu() + clock.childrenCpu() - oursBefore
    local part = 100 / math.max(all - allBefore, 0.01)
    local others = math.max(0, busy - busyBefore - ours) * part
    return ("in %.0f s the benchmark used %.0f %% of the CPUs, others %.0f %%, "
      .. "stolen %.1f %%; load average before %s.%s"):format(
      clock.now() - start, ours * part, others,
      (stolen - stolenBefore) * part, average, others > 10
      and "\nThe machine was busy with other things: measure again." or "")
  end
end

-- --- The table --------------------------------------------------------------

-- Three digits, as plain as can be.
local function short(value)
  if value == 0 then return "0" end
  local size = math.floor(math.log(math.abs(value), 10))
  return ("%." .. math.max(0, math.min(4, 2 - size)) .. "f"):format(value)
end

-- The median, and half of the runs' range in percent of it.
local function cellText(cell)
  if not cell then return "-" end
  local text = short(cell.median)
  if cell.median == 0 then return text end
  local spread = (cell.most - cell.least) / 2 / cell.median * 100
  return ("%s ±%.0f%%"):format(text, math.min(spread, 999))
end

local function targetText(row)
  local limit = row.atMost or row.atLeast
  if not limit then return "-" end
  local of = row.of and " × " .. row.of or " " .. row.unit
  if row.ofMeasurement then of = of .. "'s " .. row.ofMeasurement end
  return (row.atMost and "≤ " or "≥ ") .. limit .. of
end

local function ratioText(row, mode)
  local ratio = row.of and results.ratio(row, mode)
  return ratio and short(ratio) or "-"
end

local ANSWERS = { [true] = "yes", [false] = "no" }

-- Where a row judges both modes, one word if they agree.
local function reachedText(row)
  local mode = row.mode or row.judged
  if mode then return ANSWERS[results.isReached(row, mode)] or "-" end
  local own = ANSWERS[results.isReached(row, "own")]
  local shared = ANSWERS[results.isReached(row, "shared")]
  if own == shared or not shared then return own or "-" end
  return ("own %s, shared %s"):format(own or "-", shared)
end

local function columns(runners)
  local shown = {}
  for _, runner in ipairs(runners) do
    if not runner.isFloor then shown[#shown + 1] = runner.name end
  end
  return shown
end

local function linesOf(rows, runners)
  local shown = columns(runners)
  local head = { "metric", "unit" }
  table.move(shown, 1, #shown, 3, head)
  table.move({ "own ratio", "shared ratio", "to reach", "reached" }, 1, 4,
    #head + 1, head)
  local lines = { head }
  for _, row in ipairs(rows) do
    local line = { row.title, row.unit }
    for _, runner in ipairs(shown) do
      line[#line + 1] = cellText(results.cell(row, runner))
    end
    line[#line + 1] = ratioText(row, "own")
    line[#line + 1] = ratioText(row, "shared")
    line[#line + 1] = targetText(row)
    line[#line + 1] = reachedText(row)
    lines[#lines + 1] = line
  end
  return lines
end

local function pad(text, width, isNumber)
  local space = (" "):rep(width - utf8.len(text))
  return isNumber and space .. text or text .. space
end

function report.print(rows, runners, rounds, load)
  local lines = linesOf(rows, runners)
  local widths = {}
  for _, line in ipairs(lines) do
    for i, text in ipairs(line) do
      widths[i] = math.max(widths[i] or 0, utf8.len(text))
    end
  end
  local count = #lines[1]
  for number, line in ipairs(lines) do
    local padded = {}
    for i, text in ipairs(line) do
      padded[i] = pad(text, widths[i], i > 2 and i <= count - 2)
    end
    print("| " .. table.concat(padded, " | ") .. " |")
    if number == 1 then
      for i, width in ipairs(widths) do
        padded[i] = ("-"):rep(width + 1)
          .. (i > 2 and i <= count - 2 and ":" or "-")
      end
      print("|" .. table.concat(padded, "|") .. "|")
    end
  end
  print(("\nMedians of %d runs in turns, ± half of their range. %s, %s;\n%s")
    :format(rounds, os.date "!%Y-%m-%d %H:%M UTC", machine(), load))
end

-- --- CSV --------------------------------------------------------------------

local function quoted(text)
  return '"' .. text:gsub('"', '""') .. '"'
end

local function open(path)
  local file, message = io.open(path, "w")
  if file then return file end
  io.stderr:write("spec/bench/run: ", message, "\n")
  os.exit(1)
end

function report.csv(path, rows, runners)
  local file = open(path)
  file:write "metric,title,unit,runner,median,least,most,runs,target,reached\n"
  for _, row in ipairs(rows) do
    for _, runner in ipairs(columns(runners)) do
      local cell = results.cell(row, runner)
      if cell then
        local isOurs = runner == "own" or runner == "shared"
        local reached = isOurs and ANSWERS[results.isReached(row, runner)] or ""
        file:write(("%s,%s,%s,%s,%.6g,%.6g,%.6g,%d,%s,%s\n"):format(row.name,
          quoted(row.title), row.unit, runner, cell.median, cell.least,
          cell.most, cell.runs, quoted(targetText(row)), reached))
      end
    end
  end
  file:close()
end

-- --- The plot ---------------------------------------------------------------

-- What the target is in the row's unit.
local function targetValue(row)
  local reference = results.reference(row)
  local limit = row.atMost or row.atLeast
  return reference and limit and limit * reference
end

-- How many times as good as the target: 1 reaches it, more is better.
local function goodness(row, cell)
  local target = targetValue(row)
  if not cell or not target or cell.median <= 0 then return nil end
  return row.atMost and target / cell.median or cell.median / target
end

local SETUP = [[
set terminal svg noenhanced size 1000,%d font "sans-serif,13" \
  background "white"
set output '%s'
set title "How many times as good as the target (1 reaches it)"
set logscale x
set xrange [0.01:100]
set xtics ("1/100" 0.01, "1/10" 0.1, "1" 1, "10" 10, "100" 100)
set yrange [%d.5:0.5]
set ytics (%s)
set grid x y linecolor "#dddddd"
set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor "#888888"
set key outside right top vertical
set bars 0
]]

local STYLES = {
  own = "pointtype 7 pointsize 1.2 linecolor '#c0392b'",
  shared = "pointtype 5 pointsize 1.2 linecolor '#1f5fa8'",
  Erlang = "pointtype 9 linecolor '#a65fb0'",
  Node = "pointtype 11 linecolor '#4a9a4a'",
  cqueues = "pointtype 13 linecolor '#d08a2e'",
  cjson = "pointtype 4 linecolor '#7a6a55'",
  floor = "pointtype 2 linecolor '#333333'",
}

-- The points of a runner as gnuplot reads them, and how many there are.
local function points(rows, runner)
  local lines = {}
  for place, row in ipairs(rows) do
    local good = goodness(row, results.cell(row, runner))
    if good then
      lines[#lines + 1] = ("%.4g %d"):format(
        math.max(0.0105, math.min(95, good)), place)
    end
  end
  return table.concat(lines, "\n"), #lines
end

function report.plot(path, allRows, runners)
  local rows, labels = {}, {}
  for _, row in ipairs(allRows) do
    if targetValue(row) then
      rows[#rows + 1] = row
      labels[#rows] = ("'%s' %d"):format(row.title:gsub("'", "''"), #rows)
    end
  end
  local data, curves = {}, {}
  for _, runner in ipairs(columns(runners)) do
    local lines, count = points(rows, runner)
    if count > 0 then
      data[#data + 1] = ("$%s << EOD\n%s\nEOD\n"):format(runner, lines)
      curves[#curves + 1] = ("$%s using 1:2 with points %s title '%s'"):format(
        runner, STYLES[runner], runner)
    end
  end
  if #curves == 0 then
    io.stderr:write "spec/bench/run: nothing to plot: no row has a target\n"
    return
  end
  open(path):close()
  local gnuplot = io.popen("gnuplot", "w")
  gnuplot:write(SETUP:format(120 + 28 * #rows, path:gsub("'", "''"), #rows,
    table.concat(labels, ", ")), table.concat(data), "plot ",
    table.concat(curves, ", "), "\n")
  if not gnuplot:close() then
    io.stderr:write "spec/bench/run: gnuplot failed\n"
    os.exit(1)
  end
end

return report
