-- metrics.lua - the rows of the table, who measures what, and what is to be
-- reached.
--
-- A runner is a command that prints "measurement value unit" for one of its
-- programs. A program has the name of its measurement unless PROGRAM_OF says
-- that it makes several.

local metrics = {}

local COMMAND = "'" .. (os.getenv "ISOLATE_CLUSTER_COMMAND" or "") .. "' run "
local HERE, BUILD = "spec/bench/", os.getenv "IC_BENCH_BUILD" or "build/bench"

metrics.PROGRAM_OF = {
  rss = "idle", cpu = "idle", wakeups = "idle",
  encode = "codec", decode = "codec", state_kept = "state",
}

-- In the order of the columns. %s is the program, %g the seconds it has.
metrics.RUNNERS = {
  { name = "own", command = COMMAND .. HERE .. "isolates.lua %s own %g",
    programs = "pingpong cold request ring integers tables fan_in text floats "
      .. "records spawn idle parallel limited_pingpong limited_integers "
      .. "codec" },
  { name = "shared", command = COMMAND .. HERE .. "isolates.lua %s shared %g",
    programs = "pingpong cold request ring integers tables fan_in text floats "
      .. "records spawn idle parallel limited_pingpong limited_integers" },
  { name = "Erlang", needs = "erl",
    command = "erl -noinput -pa " .. BUILD .. " -run peer_erlang main %s %.2f",
    programs = "pingpong cold request ring integers tables fan_in floats "
      .. "records spawn idle codec" },
  { name = "Node", needs = "node",
    command = "node " .. HERE .. "peer_node.js %s %g",
    programs = "pingpong cold integers tables fan_in text floats records spawn "
      .. "idle codec" },
  { name = "cqueues", needs = "lua5.4",
    command = "lua5.4 " .. HERE .. "peer_cqueues.lua %s %g",
    programs = "pingpong cold integers tables fan_in text floats records spawn "
      .. "idle" },
  { name = "cjson", command = COMMAND .. HERE .. "peer_cjson.lua %s %g",
    programs = "codec" },
  { name = "floor", command = BUILD .. "/floors %s %g",
    programs = "pingpong cold spin thread state idle text floats records "
      .. "callback" },
  { name = "processes", command = COMMAND .. HERE .. "processes.lua %s %g",
    programs = "parallel", isFloor = true },
}

-- A row: the name for --only; its title and unit; the measurement; which modes
-- of ours it shows and which is judged (both if not said); what measurements of
-- the floors, added, are its floor; and the target: at most or at least so many
-- times what the runner [of] had (in [ofMeasurement], if that is another), or a
-- plain number.
metrics.ROWS = {
  { name = "spawn_shared", title = "spawn 1,000, all have answered, shared",
    unit = "µs each", measurement = "spawn", mode = "shared",
    floor = { "state" }, atMost = 1.0, of = "floor" },
  { name = "spawn_own", title = "spawn 1,000, all have answered, own",
    unit = "µs each", measurement = "spawn", mode = "own",
    floor = { "state", "thread" }, atMost = 1.1, of = "floor" },
  { name = "rss_shared", title = "memory per idle isolate, shared",
    unit = "KiB", measurement = "rss", mode = "shared", floor = { "rss" },
    atMost = 36 },
  { name = "rss_own", title = "memory per idle isolate, own",
    unit = "KiB", measurement = "rss", mode = "own", floor = { "rss" },
    atMost = 44 },
  { name = "pingpong_shared", title = "ping-pong of an integer, shared",
    unit = "µs", measurement = "pingpong", mode = "shared",
    floor = { "spin" }, atMost = 1.5, of = "Erlang" },
  { name = "pingpong_own", title = "ping-pong of an integer, own, busy",
    unit = "µs", measurement = "pingpong", mode = "own",
    floor = { "pingpong" }, atMost = 0.2, of = "floor" },
  { name = "pingpong_cold", title = "ping-pong of an integer, after a silence",
    unit = "µs", measurement = "cold", judged = "own",
    floor = { "cold" }, atMost = 1.1, of = "floor" },
  { name = "request", title = "request and reply",
    unit = "µs", measurement = "request", judged = "shared",
    atMost = 2.5, of = "Erlang", ofMeasurement = "pingpong" },
  { name = "integers", title = "stream of integers",
    unit = "M/s", measurement = "integers", atLeast = 0.55, of = "Erlang" },
  { name = "tables", title = "stream of {id=1,name=\"abc\",v=1.5}",
    unit = "M/s", measurement = "tables", atLeast = 0.3, of = "Erlang" },
  { name = "fan_in", title = "integers of 4 senders to one receiver",
    unit = "M/s", measurement = "fan_in", atLeast = 0.6, of = "Erlang" },
  { name = "ring", title = "ring of 1,000, hops",
    unit = "M/s", measurement = "ring", judged = "shared",
    atLeast = 0.5, of = "Erlang" },
  { name = "text", title = "1 MiB strings",
    unit = "GB/s", measurement = "text", floor = { "text" },
    atLeast = 0.3, of = "floor" },
  { name = "floats", title = "array of 100,000 floats, there and an ack",
    unit = "ms", measurement = "floats", floor = { "floats" },
    atMost = 1.6, of = "floor" },
  { name = "records", title = "10,000 records, there and an ack",
    unit = "ms", measurement = "records", floor = { "records" },
    atMost = 1.4, of = "floor" },
  { name = "encode", title = "encode the small table",
    unit = "ns", measurement = "encode", judged = "own",
    atMost = 0.3, of = "cjson" },
  { name = "decode", title = "decode the small table",
    unit = "ns", measurement = "decode", judged = "own",
    atMost = 0.45, of = "cjson" },
  { name = "idle_cpu", title = "CPU of all idle isolates",
    unit = "%", measurement = "cpu", atMost = 0.1 },
  { name = "idle_wakeups", title = "wake-ups of all idle isolates",
    unit = "1/s", measurement = "wakeups" },
  { name = "parallel", title = "Lua work on 2 isolates; floor: 2 processes",
    unit = "k/s", measurement = "parallel", floor = { "parallel" },
    atLeast = 0.97, of = "floor" },
  { name = "limits_pingpong", title = "ping-pong with all limits, to without",
    unit = "times", measurement = "limited_pingpong", atMost = 1.03 },
  { name = "limits_integers", title = "stream of integers, likewise",
    unit = "times", measurement = "limited_integers", atMost = 1.03 },
  { name = "floor_thread", title = "pthread_create and join",
    unit = "µs", floor = { "thread" } },
  { name = "floor_state", title = "luaL_newstate, openlibs, lua_close",
    unit = "µs", floor = { "state" } },
  { name = "floor_state_kept", title = "1,000 states that are kept, each",
    unit = "µs", floor = { "state_kept" } },
  { name = "floor_callback", title = "a call of a Lua function",
    unit = "ns", floor = { "callback" } },
}

return metrics
