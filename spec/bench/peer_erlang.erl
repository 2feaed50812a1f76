%% peer_erlang.erl - Erlang/OTP's runner.
%%
%%   erl -noinput -pa FOLDER -run peer_erlang main PROGRAM SECONDS
%%
%% Prints "measurement value unit". What is sent is made at run time: a literal
%% would not be copied. There is no program for 1 MiB strings: binaries are
%% shared, and nothing of them is sent.

-module(peer_erlang).
-export([main/1]).

main([Program, Text]) ->
    Seconds = list_to_float(Text),
    run(Program, Seconds),
    erlang:halt(0).

run("pingpong", Seconds) ->
    Ponger = spawn(fun echo/0),
    say("pingpong",
        meter(Seconds, fun() -> trips(Ponger, 100) end) / 100 * 1.0e6, "us");
run("cold", Seconds) ->
    Ponger = spawn(fun echo/0),
    Times = [cold_trip(Ponger) || _ <- lists:seq(1, trunc(Seconds / 0.02))],
    say("cold", lists:nth(length(Times) div 2 + 1, lists:sort(Times)) * 1.0e6,
        "us");
run("request", Seconds) ->
    Server = spawn(fun replier/0),
    say("request",
        meter(Seconds, fun() -> requests(Server, 100) end) / 100 * 1.0e6, "us");
run("ring", Seconds) ->
    First = lists:foldl(fun(_, Next) -> spawn(fun() -> member(Next) end) end,
                        self(), lists:seq(2, 1000)),
    Each = meter(Seconds, fun() -> First ! 1, receive _ -> ok end end) / 1000,
    say("ring", 1.0e-6 / Each, "M/s");
run("integers", Seconds) ->
    stream("integers", Seconds, 1, fun integers/2);
run("tables", Seconds) ->
    Value = #{id => length([1]), name => list_to_binary("abc"),
              v => list_to_float("1.5")},
    stream("tables", Seconds, 1,
           fun(Receiver, Count) -> values(Receiver, Value, Count) end);
run("fan_in", Seconds) ->
    stream("fan_in", Seconds, 4, fun integers/2);
run("floats", Seconds) ->
    bulk("floats", Seconds, [I + 0.5 || I <- lists:seq(1, 100000)]);
run("records", Seconds) ->
    bulk("records", Seconds, [record(I) || I <- lists:seq(1, 10000)]);
run("spawn", _) ->
    Boss = self(),
    Start = now_s(),
    spawn_all(1000, fun() -> Boss ! answer, receive stop -> ok end end),
    drain(1000),
    say("spawn", (now_s() - Start) / 1000 * 1.0e6, "us");
run("idle", Seconds) ->
    Count = trunc(min(10000, 20000 * Seconds)),
    Boss = self(),
    Before = rss(),
    spawn_all(Count, fun() -> Boss ! answer, receive stop -> ok end end),
    drain(Count),
    timer:sleep(500),
    say("rss", (rss() - Before) / Count, "KiB"),
    {Cpu, _} = statistics(runtime),
    timer:sleep(trunc(10000 * Seconds)),
    {Later, _} = statistics(runtime),
    say("cpu", (Later - Cpu) / (10000 * Seconds) * 100, "%");
run("codec", Seconds) ->
    Value = #{id => length([1]), name => list_to_binary("abc"),
              v => list_to_float("1.5")},
    Bytes = term_to_binary(Value),
    Encode = fun() -> repeat(fun() -> term_to_binary(Value) end, 1000) end,
    Decode = fun() -> repeat(fun() -> binary_to_term(Bytes) end, 1000) end,
    say("encode", meter(Seconds / 2, Encode) * 1.0e6, "ns"),
    say("decode", meter(Seconds / 2, Decode) * 1.0e6, "ns").

say(Measurement, Value, Unit) ->
    io:format("~s ~p ~ts~n", [Measurement, Value / 1, Unit]).

now_s() -> erlang:monotonic_time(nanosecond) / 1.0e9.

%% Seconds that one call of Work takes; the first quarter warms up.
meter(Seconds, Work) ->
    calls(Work, 0, now_s(), Seconds / 4),
    calls(Work, 0, now_s(), Seconds).

calls(Work, Count, Start, Seconds) ->
    Work(),
    case now_s() - Start of
        Elapsed when Elapsed >= Seconds -> Elapsed / (Count + 1);
        _ -> calls(Work, Count + 1, Start, Seconds)
    end.

repeat(_, 0) -> ok;
repeat(Work, Count) -> Work(), repeat(Work, Count - 1).

%% Round trips.

echo() -> receive {From, Value} -> From ! Value, echo() end.

trips(_, 0) -> ok;
trips(Ponger, Count) ->
    Ponger ! {self(), Count},
    receive Count -> trips(Ponger, Count - 1) end.

cold_trip(Ponger) ->
    timer:sleep(20),
    Start = now_s(),
    trips(Ponger, 1),
    now_s() - Start.

replier() -> receive {From, Ref, Value} -> From ! {Ref, Value}, replier() end.

%% As gen_server:call does it: with a monitor and a timeout.
requests(_, 0) -> ok;
requests(Server, Count) ->
    Ref = monitor(process, Server),
    Server ! {self(), Ref, Count},
    receive {Ref, Count} -> demonitor(Ref, [flush])
    after 5000 -> exit(timeout)
    end,
    requests(Server, Count - 1).

member(Next) -> receive Hops -> Next ! Hops + 1, member(Next) end.

%% Streams: the first fifth of the messages warms up.

stream(Name, Seconds, SenderCount, Send) ->
    Boss = self(),
    Count = trunc(Seconds * 2.0e6),
    Senders = [spawn(fun() -> sender(Boss, Send) end)
               || _ <- lists:seq(1, SenderCount)],
    order(Senders, Count div 20 * 4),
    Start = now_s(),
    order(Senders, Count),
    say(Name, Count / (now_s() - Start) / 1.0e6, "M/s").

order(Senders, Count) ->
    [Sender ! {send, Count div length(Senders)} || Sender <- Senders],
    drain(Count).

sender(Receiver, Send) ->
    receive {send, Count} -> Send(Receiver, Count), sender(Receiver, Send) end.

integers(_, 0) -> ok;
integers(Receiver, Count) -> Receiver ! Count, integers(Receiver, Count - 1).

values(_, _, 0) -> ok;
values(Receiver, Value, Count) ->
    Receiver ! Value,
    values(Receiver, Value, Count - 1).

drain(0) -> ok;
drain(Count) -> receive _ -> drain(Count - 1) end.

%% Big values.

record(I) ->
    #{id => I, name => list_to_binary("name " ++ integer_to_list(I)),
      flag => I rem 2 =:= 0, score => I * 0.25}.

bulk(Name, Seconds, Value) ->
    Receiver = spawn(fun bulk_receiver/0),
    Length = length(Value),
    Work = fun() ->
                   Receiver ! {self(), Value},
                   receive Length -> ok end
           end,
    say(Name, meter(Seconds, Work) * 1.0e3, "ms").

bulk_receiver() ->
    receive {From, List} -> From ! length(List) end,
    bulk_receiver().

%% Many processes.

spawn_all(0, _) -> ok;
spawn_all(Count, Body) -> spawn(Body), spawn_all(Count - 1, Body).

rss() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:lexemes(Text, " "),
    binary_to_integer(Pages) * 4.
