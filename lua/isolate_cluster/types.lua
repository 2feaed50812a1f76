---@meta isolate_cluster

-- types.lua - the public API, for editors: lua-language-server reads it where
-- `workspace.library` leads it here. It is never run. The rules: lua/README.md.

-- --- Words ------------------------------------------------------------------

---The name of an isolate: "/receiver", "/workers/7".
---@alias isolate_cluster.Path string

---What can be sent: nil, booleans, numbers, strings, refs, and tables of these.
---@alias isolate_cluster.Value any

---What an isolate runs: a function without captured locals, a module's name,
---a path that ends in ".lua", or a supervisor.
---@alias isolate_cluster.Entry
---| string
---| fun(context: isolate_cluster.Context)
---| isolate_cluster.Supervisor

---Why a call returned nil: its third result.
---@alias isolate_cluster.Code
---| "gone" # the isolate of the ref has ended
---| "timeout" # the time is up
---| "full" # the mailbox of the receiver has no room
---| "in use" # a living isolate has the path
---| "not found" # no isolate, no member, nobody to reply to
---| "down" # the node is down, or shutting down
---| "deadlock" # requests wait for each other, and this one would time out first
---| "memory" # no memory, or no more threads
---| "cpu" # reserved: the time to compute is used up
---| "unsendable" # the value holds what can't be sent
---| "load" # the entry does not load
---| "malformed" # the bytes are not one well-formed CBOR item
---| "range" # an integer of more than 64 signed bits, or nested too deep
---| "invalid" # a supervisor's child can't be started as it is described
---| "denied" # a sandbox does not allow it
---| "error" # anything else that failed

---Why an isolate ended: what onIsolateDown and monitors tell.
---@alias isolate_cluster.Reason
---| "done" # nothing was left to do
---| "shutdown" # it ended itself, or agreed to a shutdown
---| "error" # its entry raised an error
---| "killed" # it was stopped by force
---| "memory" # it had no memory left
---| "cpu" # it computed for longer than it may
---| "stack" # it called itself too deeply in C
---| "gone" # a monitor's only: nobody remembers why

---The error that an isolate ended by.
---@class isolate_cluster.EndError
---@field message string the error's text
---@field traceback string the text, and where it came from

-- --- The module -------------------------------------------------------------

---The table that `require "isolate_cluster"` returns.
---@class isolate_cluster
---@field version string the version of the library: "0.1.0"
local IsolateCluster = {}

---What an isolate may use: "none" is all.
---@alias isolate_cluster.SandboxOption "safe"|"none"|isolate_cluster.SandboxTable

---A sandbox that builds on "safe".
---@class isolate_cluster.SandboxTable
---@field base? "safe"
---@field globals? string[] more of Lua's: "io", "os.getenv"
---@field require? string[] the modules that it may require and spawn
---@field reach? string[] paths, and prefixes with "/" behind, else all
---@field sourceSize? integer the most bytes that load takes, else 1 MiB

---What runs an isolate.
---@alias isolate_cluster.Thread
---| "own" # a thread for it alone
---| "shared" # the node's pool of threads: thousands are cheap

---What an isolate may use: false is no limit, nil as the node says.
---@class (exact) isolate_cluster.Limits
---@field memory? string|integer|false "64MB", or bytes: state and mailbox
---@field cpu? number|false seconds of CPU time for one message
---@field cpuTotal? number|false seconds of CPU time in its whole life
---@field mailbox? isolate_cluster.MailboxLimits|false

---@class (exact) isolate_cluster.MailboxLimits
---@field messages? integer|false
---@field bytes? string|integer|false
---@field whenFull? "fail"|"wait"|"dropOldest"|"dropNewest" else "fail"

---Options of singleNode.
---@class (exact) isolate_cluster.NodeOptions
---@field thread? isolate_cluster.Thread if a spawn does not say: else "own"
---@field threads? integer isolates that the pool runs at once: else the cores
---@field isolates? integer how many may live at once: any number if none is given
---@field stuckAfter? number|false seconds until a stuck isolate is told: else 5
---@field sandbox? isolate_cluster.SandboxOption of isolates whose spawn has none
---@field limits? isolate_cluster.Limits of isolates whose spawn does not say

---Starts a cluster of one node; it is up when this returns.
---@param options? isolate_cluster.NodeOptions
---@return isolate_cluster.Cluster
function IsolateCluster.singleNode(options) end

---Describes a supervisor; or, for the ref of one that runs, gives its handle.
---@param description isolate_cluster.SupervisorDescription
---@return isolate_cluster.Supervisor
---@overload fun(ref: isolate_cluster.Ref): isolate_cluster.SupervisorHandle
function IsolateCluster.supervisor(description) end

---The CBOR bytes of a value.
---@param value isolate_cluster.Value
---@return string? bytes, string? message, isolate_cluster.Code? code
function IsolateCluster.encode(value) end

---The value of exactly one CBOR item.
---@param bytes string
---@return isolate_cluster.Value value, string? message, isolate_cluster.Code? code
function IsolateCluster.decode(bytes) end

-- --- Spawning and looking up ------------------------------------------------

---What a cluster and a context have in common.
---@class isolate_cluster.Spawner
local Spawner = {}

---Options of spawnIsolate.
---@class (exact) isolate_cluster.SpawnOptions: isolate_cluster.Limits
---@field thread? isolate_cluster.Thread what the node says if none is given
---@field sandbox? isolate_cluster.SandboxOption what the node says if none

---Spawns an isolate: [path,] entry [, properties [, options]]. A path that ends
---in "/" gets a number behind it; without a path, "/" does.
---@param path isolate_cluster.Path
---@param entry isolate_cluster.Entry
---@param properties? table<any, isolate_cluster.Value> copied once
---@param options? isolate_cluster.SpawnOptions
---@return isolate_cluster.Ref? ref, string? message, isolate_cluster.Code? code
---@overload fun(self, entry: isolate_cluster.Entry, ...): isolate_cluster.Ref?
function Spawner:spawnIsolate(path, entry, properties, options) end

---The isolate that has the path now.
---@param path isolate_cluster.Path
---@return isolate_cluster.Ref? ref, string? message, isolate_cluster.Code? code
function Spawner:lookupIsolate(path) end

---All isolates beneath the prefix, sorted by path.
---@param prefix isolate_cluster.Path it ends in "/"
---@return isolate_cluster.Ref[]? refs, string? message, isolate_cluster.Code? code
function Spawner:lookupIsolates(prefix) end

---What a monitor calls.
---@alias isolate_cluster.Obituary
---| fun(ref: isolate_cluster.Ref, reason: isolate_cluster.Reason, err: isolate_cluster.EndError?)

---Calls fn once when the isolate of the ref ends; if it has, as the next event.
---@param ref isolate_cluster.Ref
---@param fn isolate_cluster.Obituary
---@return isolate_cluster.Monitor
function Spawner:monitor(ref, fn) end

---What waits for an isolate's end. It can be a `<close>` variable.
---@class isolate_cluster.Monitor
local Monitor = {}

---Takes it back; doing so again, or too late, does nothing.
function Monitor:cancel() end

-- --- Supervisors ------------------------------------------------------------

---An entry: an isolate that starts, watches and restarts others.
---@class isolate_cluster.Supervisor

---What IsolateCluster.supervisor takes.
---@class (exact) isolate_cluster.SupervisorDescription
---@field strategy? "oneForOne"|"oneForAll"|"restForOne" else the first
---@field maxRestarts? integer more failures than these end it: 1 by default
---@field within? number seconds that a failure counts for: 5 by default
---@field backoff? isolate_cluster.Backoff else it restarts at once
---@field autoShutdown? "never"|"anySignificant"|"allSignificant" else the first
---@field children? isolate_cluster.ChildDescription[] in the order of the start

---How long a supervisor waits before a restart, in seconds.
---@class (exact) isolate_cluster.Backoff
---@field first? number 0.1 by default
---@field max? number 30 by default
---@field factor? number from one wait to the next: 2 by default
---@field jitter? number by what fraction chance may shorten it: 0 by default

---One child of a supervisor.
---@class (exact) isolate_cluster.ChildDescription
---@field entry isolate_cluster.Entry
---@field path? isolate_cluster.Path below the supervisor's, or absolute
---@field id? string its path as it is written if none is given
---@field properties? table<any, isolate_cluster.Value>
---@field options? isolate_cluster.SpawnOptions
---@field restart? "permanent"|"transient"|"temporary" the first by default
---@field shutdown? number|"kill"|"infinity" seconds: 5, a supervisor's infinity
---@field significant? boolean its end may end the supervisor

---A running supervisor.
---@class isolate_cluster.SupervisorHandle
---@field ref isolate_cluster.Ref
local SupervisorHandle = {}

---What a supervisor tells of a child.
---@class isolate_cluster.ChildInfo
---@field id string
---@field path isolate_cluster.Path
---@field ref isolate_cluster.Ref? of its life, if it has one
---@field state "running"|"restarting"|"stopped"
---@field kind "worker"|"supervisor"
---@field restart "permanent"|"transient"|"temporary"
---@field restarts integer since the supervisor started

---How many children there are, in all and by kind.
---@class isolate_cluster.ChildCounts
---@field specs integer
---@field active integer that run
---@field supervisors integer
---@field workers integer

---Its children, in the order of the start.
---@return isolate_cluster.ChildInfo[]? children, string? message, isolate_cluster.Code? code
function SupervisorHandle:children() end

---How many children it has.
---@return isolate_cluster.ChildCounts? counts, string? message, isolate_cluster.Code? code
function SupervisorHandle:count() end

---Adds a child behind all others, and starts it.
---@param description isolate_cluster.ChildDescription
---@return isolate_cluster.Ref? ref, string? message, isolate_cluster.Code? code
function SupervisorHandle:startChild(description) end

---Stops a child, which stays known; a temporary one is forgotten.
---@param which string|isolate_cluster.Ref its id, or its ref
---@return true? done, string? message, isolate_cluster.Code? code
function SupervisorHandle:terminateChild(which) end

---Starts a child that is stopped.
---@param which string|isolate_cluster.Ref
---@return isolate_cluster.Ref? ref, string? message, isolate_cluster.Code? code
function SupervisorHandle:restartChild(which) end

---Forgets a child that is stopped.
---@param which string|isolate_cluster.Ref
---@return true? done, string? message, isolate_cluster.Code? code
function SupervisorHandle:deleteChild(which) end

---Asks it to end; it stops its children first.
---@return true? asked, string? message, isolate_cluster.Code? code
function SupervisorHandle:stop() end

-- --- The cluster ------------------------------------------------------------

---A cluster, as its host script sees it. What waits here blocks the thread.
---@class isolate_cluster.Cluster: isolate_cluster.Spawner
---@field up boolean whether the node is up
---@field onIsolateUp isolate_cluster.Stream of (ref): an isolate came up
---@field onIsolateDown isolate_cluster.Stream of (ref, reason, err): one has ended
---@field onDeadLetter isolate_cluster.Stream of (letter): a value reached nobody
---@field onStuck isolate_cluster.Stream of (report): an isolate does not get on
local Cluster = {}

---What listeners of cluster.onStuck get.
---@class isolate_cluster.StuckReport
---@field ref isolate_cluster.Ref
---@field kind "loop"|"blocked"|"waiting"
---@field seconds number for how long, as far as it was seen
---@field text string as on stderr

---What listeners of cluster.onDeadLetter get.
---@class isolate_cluster.DeadLetter
---@field content isolate_cluster.Value
---@field to isolate_cluster.Ref whom it did not reach
---@field sender isolate_cluster.Ref? nil from a host script
---@field type string?
---@field reason "gone"|"unread" sent after the end, or not read before it
---@field missed integer letters that were not told since the last one

---Waits until no isolate is left.
---@param timeout? number seconds; for ever if none is given
---@return true? ended, string? message, isolate_cluster.Code? code
function Cluster:wait(timeout) end

---Waits until every isolate is idle, no message is on its way and no timer is due.
---@param timeout? number seconds; for ever if none is given
---@return true? settled, string? message, isolate_cluster.Code? code
function Cluster:settle(timeout) end

---Asks every isolate to end, then stops those that are left; true if all
---agreed.
---@param timeout? number seconds; 5 if none is given
---@return boolean? agreed, string? message, isolate_cluster.Code? code
function Cluster:shutdown(timeout) end

---The figures of each isolate, and of all together.
---@return isolate_cluster.Stats
function Cluster:stats() end

---What cluster:stats returns; the sums hold isolates that have ended too.
---@class isolate_cluster.Stats
---@field up boolean whether the node is up
---@field live integer isolates that live, those that load included
---@field spawned integer isolates that came up
---@field ended integer isolates that have ended
---@field sent integer messages that isolates sent
---@field received integer messages that isolates handled
---@field lateReplies integer replies after their request's timeout
---@field dropped integer values thrown away as a mailbox was full
---@field deadLetters integer values that reached nobody
---@field isolates table<isolate_cluster.Path, isolate_cluster.IsolateStats>

---The figures of one isolate.
---@class isolate_cluster.IsolateStats
---@field sent integer messages that it sent
---@field received integer messages that it handled
---@field lateReplies integer replies that came too late for it
---@field mailbox integer messages that wait for it
---@field dropped integer values thrown away as its mailbox was full
---@field memory integer bytes of its Lua state, at its last pause

-- --- The context ------------------------------------------------------------

---What an isolate's entry receives. What waits suspends its coroutine only.
---@class isolate_cluster.Context: isolate_cluster.Spawner
---@field path isolate_cluster.Path of this isolate
---@field properties table<any, isolate_cluster.Value> from who spawned it
---@field isolateRef isolate_cluster.Ref of this isolate
---@field onMessage isolate_cluster.Stream of (value, message): one came
---@field onIsolateUp isolate_cluster.Stream of (ref): an isolate came up
---@field onIsolateDown isolate_cluster.Stream of (ref, reason, err): one has ended
---@field onError isolate_cluster.Stream of (err): an error that nobody caught
---@field onShutdownRequest isolate_cluster.Stream of (): it is asked to end
local Context = {}

---The value of a property, or nil.
---@param key any
---@return isolate_cluster.Value
function Context:property(key) end

---Ends this isolate once what runs now has returned, or waits.
function Context:shutdownIsolate() end

---Begins the shutdown of the node, and returns at once.
---@param timeout? number seconds until those left are stopped: 5 by default
---@return true? begun, string? message, isolate_cluster.Code? code
function Context:shutdownNode(timeout) end

---Waits; other messages are handled meanwhile.
---@param seconds number
function Context:sleep(seconds) end

---Calls fn once, after [seconds].
---@param seconds number
---@param fn fun()
---@return isolate_cluster.Timer
function Context:after(seconds, fn) end

---Calls fn every [seconds], without drift.
---@param seconds number
---@param fn fun()
---@return isolate_cluster.Timer
function Context:every(seconds, fn) end

---Chooses whom a group sends to; nil is nobody.
---@alias isolate_cluster.Select
---| fun(members: isolate_cluster.Ref[], value: any): isolate_cluster.Ref?

---Options of context:group.
---@class (exact) isolate_cluster.GroupOptions
---@field select? "roundRobin"|"all"|isolate_cluster.Select the first by default

---All isolates beneath the prefix, to be sent to as one.
---@param prefix isolate_cluster.Path it ends in "/"
---@param options? isolate_cluster.GroupOptions
---@return isolate_cluster.Group
function Context:group(prefix, options) end

-- --- What a context gives ---------------------------------------------------

---What listeners of context.onError get.
---@class isolate_cluster.Error
---@field message string the error's text
---@field traceback string the text, and where it came from
---@field value any what was raised

---A call that is to come.
---@class isolate_cluster.Timer
local Timer = {}

---Takes it back; doing so again, or too late, does nothing.
function Timer:cancel() end

---Isolates beneath a prefix: whoever lives there when something is sent.
---@class isolate_cluster.Group
---@field prefix isolate_cluster.Path
local Group = {}

---Sends to one member, or to all, as the group selects.
---@param value isolate_cluster.Value
---@param options? isolate_cluster.SendOptions
---@return true? sent, string? message, isolate_cluster.Code? code
function Group:send(value, options) end

---The members of now, sorted by path.
---@return isolate_cluster.Ref[]
function Group:list() end

-- --- Streams ----------------------------------------------------------------

---Events. A cluster's and a context's can be called: context:onMessage(fn).
---@class isolate_cluster.Stream
---@overload fun(owner: any, fn: function): isolate_cluster.Subscription
local Stream = {}

---Calls fn(...) for each event from now on.
---@param fn fun(...)
---@return isolate_cluster.Subscription
function Stream:listen(fn) end

---The events for which predicate(...) is true.
---@param predicate fun(...): any
---@return isolate_cluster.Stream
function Stream:where(predicate) end

---The events with fn(...) in place of their first value.
---@param fn fun(...): any
---@return isolate_cluster.Stream
function Stream:map(fn) end

---Waits for one event, and returns its values.
---@param timeout? number seconds; for ever if none is given
---@return any value, any message, isolate_cluster.Code? code
function Stream:next(timeout) end

---For a generic `for`, which waits for one event after the other.
---@return fun(): any, any
function Stream:iter() end

---What listening returns. It can be a `<close>` variable.
---@class isolate_cluster.Subscription
local Subscription = {}

---Ends it; doing so again does nothing.
function Subscription:cancel() end

-- --- Refs and messages ------------------------------------------------------

---Stands for one life of one isolate; it can be sent, and compared with `==`.
---@class isolate_cluster.Ref: userdata
---@field path isolate_cluster.Path
---@field alive boolean whether the isolate has not ended
local Ref = {}

---The value of a property that the isolate was spawned with, or nil.
---@param key any
---@return isolate_cluster.Value
function Ref:property(key) end

---Options of a send.
---@class (exact) isolate_cluster.SendOptions
---@field type? string what kind of message it is
---@field correlationId? isolate_cluster.Value comes back with the reply
---@field replyTo? isolate_cluster.Ref who gets the reply: else the sender

---Sends a value: true once it is queued.
---@param value isolate_cluster.Value
---@param options? isolate_cluster.SendOptions
---@return true? sent, string? message, isolate_cluster.Code? code
function Ref:send(value, options) end

---Options of a request.
---@class (exact) isolate_cluster.RequestOptions
---@field timeout? number seconds; 5 if none is given
---@field type? string what kind of message it is

---Sends a value and waits for the reply.
---@param value isolate_cluster.Value
---@param options? isolate_cluster.RequestOptions
---@return isolate_cluster.Value reply, string? message, isolate_cluster.Code? code
function Ref:request(value, options) end

---What a listener of onMessage gets behind the value.
---@class isolate_cluster.Message: userdata
---@field content isolate_cluster.Value the value itself
---@field sender isolate_cluster.Ref? nil from a host script
---@field replyTo isolate_cluster.Ref? where reply sends
---@field type string?
---@field correlationId isolate_cluster.Value
local Message = {}

---Sends the answer.
---@param value isolate_cluster.Value
---@return true? sent, string? message, isolate_cluster.Code? code
function Message:reply(value) end

-- --- Testing ------------------------------------------------------------------

---What `require "isolate_cluster.testing"` returns.
---@class isolate_cluster.Testing
local Testing = {}

---@class isolate_cluster.TestOptions: isolate_cluster.NodeOptions
---@field seed? integer makes a simulator run the isolates, in the seed's order
---@field time? "real"|"virtual" virtual if there is a seed

---Starts a cluster for a test.
---@param options? isolate_cluster.TestOptions
---@return isolate_cluster.TestCluster
function Testing.cluster(options) end

---For after each test: shuts its clusters down; raises if anything is left.
function Testing.finish() end

---Calls fn with a new cluster for each seed; raises for the first that fails.
---@param n integer
---@param fn fun(cluster: isolate_cluster.TestCluster, seed: integer)
---@param options? isolate_cluster.TestOptions
function Testing.seeds(n, fn, options) end

---@class isolate_cluster.TestCluster: isolate_cluster.Cluster
---@field seed integer|false false where threads run the isolates
---@field time "real"|"virtual"
local TestCluster = {}

---An isolate that records what it is sent.
---@param path? isolate_cluster.Path
---@return isolate_cluster.Probe
function TestCluster:probe(path) end

---Lets time go by, then settles.
---@param seconds number
---@return true? settled, string? message, isolate_cluster.Code? code
function TestCluster:advance(seconds) end

---What isolates, or those at the path, have written to stdout and stderr.
---@param path? isolate_cluster.Path
---@return string
function TestCluster:output(path) end

---The errors that nobody caught.
---@param path? isolate_cluster.Path
---@return { path: string, text: string }[]
function TestCluster:errors(path) end

---What isolates did in which order; only of a simulated cluster.
---@return string[] lines
function TestCluster:trace() end

---All that is known after a failure.
---@return string
function TestCluster:report() end

---@class isolate_cluster.Probe
---@field ref isolate_cluster.Ref
local Probe = {}

---@class isolate_cluster.Probed
---@field content isolate_cluster.Value
---@field sender isolate_cluster.Ref?
---@field type string?
---@field correlationId isolate_cluster.Value
---@field replyTo isolate_cluster.Ref?

---Waits for a message that equals a value, or that a predicate takes, and takes it.
---@param wanted isolate_cluster.Value|fun(value: any, message: isolate_cluster.Probed): any
---@param timeout? number seconds; 10 if none is given
---@return isolate_cluster.Value content, isolate_cluster.Probed message
function Probe:expect(wanted, timeout) end

---Settles, and raises if a message is there that no expect has taken.
---@param timeout? number seconds; 10 if none is given
---@return true
function Probe:none(timeout) end

---All that has come by now.
---@return isolate_cluster.Value[] values, isolate_cluster.Probed[] messages
function Probe:messages() end

return IsolateCluster
