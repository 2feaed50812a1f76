// peer_node.js - Node.js's runner: worker_threads that post messages.
//
//   node peer_node.js PROGRAM SECONDS
//
// Prints "measurement value unit". The main thread measures; each worker runs
// one of the roles below.

'use strict';
const { Worker, isMainThread, parentPort, workerData } =
  require('node:worker_threads');
const fs = require('node:fs');

const now = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (seconds) =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function say(measurement, value, unit) {
  console.log(measurement, value, unit);
}

// --- What is sent -----------------------------------------------------------

const values = {
  small: () => ({ id: 1, name: 'abc', v: 1.5 }),
  text: () => 'x'.repeat(1024 * 1024),
  floats: () => Array.from({ length: 100000 }, (_, i) => i + 1.5),
  records: () => Array.from({ length: 10000 }, (_, i) => ({
    id: i, name: 'name ' + i, flag: i % 2 === 0, score: i * 0.25,
  })),
};

// --- What workers do --------------------------------------------------------

const roles = {
  echo() {
    parentPort.on('message', (value) => parentPort.postMessage(value));
  },
  measureLength() {
    parentPort.on('message', (list) => parentPort.postMessage(list.length));
  },
  sendIntegers() {
    parentPort.on('message', (count) => {
      for (let i = 1; i <= count; i++) parentPort.postMessage(i);
    });
  },
  sendTables() {
    const value = values.small();
    parentPort.on('message', (count) => {
      for (let i = 1; i <= count; i++) parentPort.postMessage(value);
    });
  },
  sendText() {
    const text = values.text();
    parentPort.on('message', (count) => {
      for (let i = 1; i <= count; i++) parentPort.postMessage(text);
    });
  },
  answer() {
    parentPort.postMessage(true);
    parentPort.on('message', () => {});
  },
};

const start = (role) => new Worker(__filename, { workerData: role });

// --- Measuring --------------------------------------------------------------

// As meter.lua: seconds of each once the time is up; a quarter warms up.
function meter(seconds) {
  let first = 0, begin = now(), limit = seconds / 4, isWarm = false;
  return (count) => {
    const elapsed = now() - begin;
    if (elapsed < limit) return undefined;
    if (isWarm) return elapsed / (count - first);
    isWarm = true, limit = seconds, first = count, begin = now();
    return undefined;
  };
}

// Sends value, awaits an answer, again and again.
function roundTrips(role, value, seconds, every, done) {
  const worker = start(role), measure = meter(seconds);
  let count = 0;
  worker.on('message', () => {
    const each = ++count % every === 0 ? measure(count) : undefined;
    if (each === undefined) return worker.postMessage(value);
    done(each);
    process.exit(0);
  });
  worker.postMessage(value);
}

function stream(name, role, senderCount, seconds) {
  const total = Math.floor(seconds * 2e6);
  const workers = Array.from({ length: senderCount }, () => start(role));
  let wanted, handled, begin, isWarm = false;
  const order = (count) => {
    wanted = count, handled = 0, begin = now();
    for (const worker of workers) worker.postMessage(count / senderCount);
  };
  for (const worker of workers) {
    worker.on('message', () => {
      if (++handled < wanted) return;
      const elapsed = now() - begin;
      if (isWarm) {
        say(name, wanted / elapsed / 1e6, 'M/s');
        process.exit(0);
      }
      isWarm = true;
      order(total);
    });
  }
  order(total / 5);
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const rss = () =>
  Number(fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4;

// Starts so many workers and waits until all have answered.
function startAll(count) {
  return new Promise((resolve) => {
    let answers = 0;
    for (let i = 0; i < count; i++) {
      start('answer').on('message', () => {
        if (++answers === count) resolve();
      });
    }
  });
}

// 20 and 50 instead of thousands: each takes 20 ms and 8 MiB.
const programs = {
  pingpong(seconds) {
    roundTrips('echo', 1, seconds, 100,
      (each) => say('pingpong', each * 1e6, 'us'));
  },
  async cold(seconds) {
    const worker = start('echo'), times = [];
    for (let i = 0; i < seconds / 0.02; i++) {
      await sleep(0.02);
      const begin = now();
      worker.postMessage(1);
      await new Promise((resolve) => worker.once('message', resolve));
      times.push(now() - begin);
    }
    times.sort((a, b) => a - b);
    say('cold', times[times.length >> 1] * 1e6, 'us');
    process.exit(0);
  },
  integers: (seconds) => stream('integers', 'sendIntegers', 1, seconds),
  tables: (seconds) => stream('tables', 'sendTables', 1, seconds),
  fan_in: (seconds) => stream('fan_in', 'sendIntegers', 4, seconds),
  text(seconds) {
    const worker = start('sendText'), measure = meter(seconds);
    let count = 0;
    worker.on('message', (text) => {
      if (++count % 8 > 0) return;
      const each = measure(count);
      if (each === undefined) return worker.postMessage(8);
      say('text', text.length / each / 1e9, 'GB/s');
      process.exit(0);
    });
    worker.postMessage(16);
  },
  floats(seconds) {
    roundTrips('measureLength', values.floats(), seconds, 1,
      (each) => say('floats', each * 1e3, 'ms'));
  },
  records(seconds) {
    roundTrips('measureLength', values.records(), seconds, 1,
      (each) => say('records', each * 1e3, 'ms'));
  },
  async spawn() {
    const begin = now();
    await startAll(20);
    say('spawn', (now() - begin) / 20 * 1e6, 'us');
    process.exit(0);
  },
  async idle(seconds) {
    const before = rss();
    await startAll(50);
    await sleep(0.5);
    say('rss', (rss() - before) / 50, 'KiB');
    const begin = now(), used = cpu();
    await sleep(10 * seconds);
    say('cpu', (cpu() - used) / (now() - begin) * 100, '%');
    process.exit(0);
  },
  codec(seconds) {
    const value = values.small(), text = JSON.stringify(value);
    const time = (fn) => {
      const measure = meter(seconds / 2);
      let count = 0, each;
      do {
        for (let i = 0; i < 1000; i++) fn();
        each = measure(count += 1000);
      } while (each === undefined);
      return each * 1e9;
    };
    say('encode', time(() => JSON.stringify(value)), 'ns');
    say('decode', time(() => JSON.parse(text)), 'ns');
  },
};

if (isMainThread) {
  programs[process.argv[2]](Number(process.argv[3]));
} else {
  roles[workerData]();
}
