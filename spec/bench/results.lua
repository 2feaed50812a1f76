-- results.lua - what was measured, and how it compares with the targets.

local results = {}

local values = {} -- by runner and measurement: a list

function results.add(runner, measurement, value)
  values[runner] = values[runner] or {}
  values[runner][measurement] = values[runner][measurement] or {}
  table.insert(values[runner][measurement], value)
end

-- The runs of a runner: their median, least, most and number; nil if none was.
---@return { median: number, least: number, most: number, runs: integer }?
function results.of(runner, measurement)
  local runs = values[runner] and values[runner][measurement]
  if not runs then return nil end
  local sorted = table.move(runs, 1, #runs, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) // 2
  local median = (sorted[middle] + sorted[#sorted + 1 - middle]) / 2
  return { median = median, least = sorted[1], most = sorted[#sorted],
    runs = #sorted }
end

-- The floor of a row: the sum of what it is made of.
function results.floor(row)
  local sum
  for _, measurement in ipairs(row.floor or {}) do
    local part = results.of("floor", measurement)
    if not part then return nil end
    sum = sum or { median = 0, least = 0, most = 0, runs = part.runs }
    for _, key in ipairs { "median", "least", "most" } do
      sum[key] = sum[key] + part[key]
    end
  end
  return sum
end

-- What a runner has in a row.
function results.cell(row, runner)
  if runner == "floor" then return results.floor(row) end
  local isOurs = runner == "own" or runner == "shared"
  if not row.measurement or (isOurs and row.mode and row.mode ~= runner) then
    return nil
  end
  return results.of(runner, row.measurement)
end

-- What a row is compared with, nil if that was not measured; 1 where the target
-- is a plain number.
function results.reference(row)
  if not row.of then return (row.atMost or row.atLeast) and 1 end
  local found
  if row.of == "floor" then
    found = results.floor(row)
  else
    found = results.of(row.of, row.ofMeasurement or row.measurement)
  end
  return found and found.median
end

-- How many times the reference a mode of ours has.
function results.ratio(row, mode)
  local cell, reference = results.cell(row, mode), results.reference(row)
  return cell and reference and reference > 0 and cell.median / reference
end

-- Whether a mode reaches the row's target; nil where that can't be said.
---@return boolean?
function results.isReached(row, mode)
  local ratio = results.ratio(row, mode)
  if not ratio then return nil end
  if row.atMost then return ratio <= row.atMost end
  return ratio >= row.atLeast
end

return results
