-- ref.lua - what of a ref is Lua: requests. The rest is binding/ref.c.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"

local DEFAULT_TIMEOUT = 5
local OPTIONS = { timeout = true, type = true }

local methods = core.refMethods

---Sends [value] and waits for the reply: the reply, or nil, text and code
---("timeout", "gone", "unsendable").
---@param value any
---@param options? { timeout?: number, type?: string } the timeout: 5 s or
---  what is given
function methods:request(...)
  if not core.isRef(self) then
    error(("ref:request wants a ref before the colon, got %s")
      :format(check.describe(self)), 2)
  end
  if select("#", ...) == 0 then
    error("ref:request wants a value to send, got nothing", 2)
  end
  local value, options = ...
  check.options(options, OPTIONS, "ref:request")
  local timeout = options and options.timeout or DEFAULT_TIMEOUT
  local kind = options and options.type
  check.seconds(timeout, "option 'timeout'")
  check.optional(kind, "string", "option 'type'")
  local ticket = loop.ticket()
  local sent, text, code = core.sendRequest(self, value, ticket, kind)
  if not sent then return nil, text, code end
  return loop.await(ticket, timeout,
    ("no reply from %s in %g s"):format(self.path, timeout))
end

return methods
