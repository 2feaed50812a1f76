-- supervisor_policy.lua - a supervisor's arithmetic: which end is a failure,
-- how many failures are too many, how long to wait before the next try.

local policy = {}

-- Ends that a transient child does not come back from.
local NORMAL = { done = true, shutdown = true }

---Whether a child that ended for [reason] is to be restarted.
---@param restart "permanent"|"transient"|"temporary"
---@param reason isolate_cluster.Reason
function policy.wantsRestart(restart, reason)
  if restart == "transient" then return not NORMAL[reason] end
  return restart == "permanent"
end

---Counts failures in a window of time that moves.
---@class isolate_cluster.RestartWindow
---@field private most number
---@field private seconds number
---@field private times number[] the oldest first
local Window = {}
Window.__index = Window

---@param most number failures that are not too many
---@param seconds number how long one counts
function policy.window(most, seconds)
  return setmetatable({ most = most, seconds = seconds, times = {} }, Window)
end

---Counts one more failure. One that is exactly as old as the window counts.
---@return boolean isTooMany, integer count
function Window:add(now)
  if self.most == math.huge then return false, 0 end
  local times, threshold = { }, now - self.seconds
  for _, time in ipairs(self.times) do
    if time >= threshold then times[#times + 1] = time end
  end
  times[#times + 1] = now
  self.times = times
  return #times > self.most, #times
end

---Seconds to wait before the try that follows failure number [count] in a row.
---The jitter only shortens it, so that max is the longest wait there is.
---@param backoff table? none: no wait
---@param count integer from 1 on
---@param random fun(): number from 0, below 1
function policy.delay(backoff, count, random)
  if not backoff then return 0 end
  local delay = backoff.first * backoff.factor ^ (count - 1)
  -- 0 times an overflow is no number.
  if delay ~= delay then delay = 0 end
  delay = math.min(delay, backoff.max)
  return delay - delay * backoff.jitter * random()
end

return policy
