// What is done to every byte of every line: finding newlines, stamping,
// deciding, and putting lines side by side, 16 bytes at a time.
//
// This is AssemblyScript: TypeScript that compiles to WebAssembly. It isn't
// part of the program; module.ts, which `deno task kernel` makes of it, is.
//
// Addresses are offsets in the one memory that lines live in. Who calls sees
// to three things: after the last byte of what is looked through stands a
// newline, where searches end; each area that is written to has MARGIN bytes
// of its own after it, since bytes are moved 16 at a time; and the memory has
// as many after its last line, since they are read so, too.

const NEWLINE: u8 = 10;
/** How many bytes of a line are decided on. */
const SIGHT: i32 = 1000;
/** How many bytes of a line an alert shows. */
const ALERT_SIGHT: i32 = 200;

// A stamp: where it is, how many bytes it has, and whether it is a label, of
// which no two are the same; then, what it says. Of any stamp 32 bytes are
// copied, and the line's go over those that are too many.
const LABEL: i32 = 26;
/** Of a label, where its last digit is; and where in the second 16 bytes. */
const LAST_DIGIT_AT: i32 = 24;
const LAST_DIGIT: u8 = 8;
/** A clock that has gone back less than so many seconds stands still. */
const STILL: f64 = 1;
/** The label's count of seconds at the beginning of 1970. */
const EPOCH: i64 = 0x400000000000000a;
let stamp: i32 = 0;
let stampLength: i32 = 0;
let seconds: f64 = 0;
let nanoseconds: i32 = 0;
/** Where the lines end that stampLines has made. */
export let stampedTo: i32 = 0;

// What passLines, pickLines and JavaScript have in common.
export const DONE: i32 = 0;
export const FULL: i32 = 1;
export const UNKNOWN: i32 = 2;
/** Where the first byte is that hasn't been handed to its logs. */
export let line: i32 = 0;
/** Whether it is inside a line that has been decided on. */
export let decided: i32 = 0;
/** The address of the state that lines begin in; minus an outcome's. */
export let start: i32 = 0;
/** The state, and the class of the byte, that there is no next one for. */
export let unknownState: i32 = 0;
export let unknownClass: i32 = 0;
/** The next one, which the walk goes on with; 0 for one from the start. */
export let known: i32 = 0;
/** How far the walk had got. */
let walked: i32 = 0;
/** What was decided on the line in hand. */
let outcome: i32 = 0;
/** How many bytes of alerts there are. */
export let alerted: i32 = 0;
/** Where pickLines puts the next line. */
export let pickTo: i32 = 0;
/** The state after the stamp, but for its last digit; 0 where it isn't known. */
let stampState: i32 = 0;
/** Whether any other label leads to the same state. */
let stampSettled: bool = false;
/** Whether the walk stopped in the stamp, and begins there again. */
let stoppedInStamp: bool = false;

/**
 * The outcome of lines that nobody wants. It is known only where a line's first
 * byte may lead there, and once a line has got there; until then it is 0.
 */
let nothing: i32 = 0;
let classes: i32 = 0;
let endClass: i32 = 0;
let gatherRoom: i32 = 0;
let alerts: i32 = 0;
let alertRoom: i32 = 0;

// A log's record.
const RUN_FROM: usize = 0;
const RUN_TO: usize = 4;
const GATHERED: usize = 8;
const AREA: usize = 12;

// A status file's record.
const SHOWN_FROM: usize = 0;
const SHOWN_TO: usize = 4;

// An outcome: how many alerts, status files and logs; their records' addresses.
const OUTCOME_ALERTS: usize = 0;
const OUTCOME_FILES: usize = 4;
const OUTCOME_LOGS: usize = 8;
const OUTCOME_LIST: usize = 12;

// A state: three bytes that it may be left by, and how many of them count: 1
// or 3, or 0 where it is left by more; then, for each class of bytes, the next
// state's address, minus an outcome's, or 0 where nobody has asked yet.
const STATE_EXITS: usize = 0;
const STATE_SKIPS: usize = 3;
const STATE_NEXT: usize = 4;

/**
 * Says where the stamp is, of 32 bytes at the most, and how many it has. One
 * of 26 is a label, which setClock writes but for its `@` and its space;
 * others are whole, and all lines get the same.
 */
export function setStamp(at: i32, length: i32): void {
  stamp = at;
  stampLength = length;
  stampState = 0;
}

/** Says where everything is that lines are selected with. */
export function setSelection(
  classesAt: i32,
  classOfEnd: i32,
  gather: i32,
  alertsAt: i32,
  alertBytes: i32,
  endsAt: i32,
): void {
  ends = endsAt;
  left = endsAt + 4 * (SPAN + 64 + SOME);
  classes = classesAt;
  endClass = classOfEnd;
  gatherRoom = gather;
  alerts = alertsAt;
  alertRoom = alertBytes;
}

/**
 * Sets the clock that stamps are taken from. A nanosecond between two lines
 * keeps stamps unique and in order, as long as nobody sets the clock back.
 */
export function setClock(s: f64, ns: i32): void {
  const ahead = seconds - s + f64(nanoseconds - ns) / 1e9;
  if (ahead >= 0 && ahead < STILL) return;
  seconds = s;
  nanoseconds = ns;
  if (!stampSettled) stampState = 0;
  putHex(stamp + 1, u64(EPOCH + i64(s)), 16);
  putHex(stamp + 17, u64(ns), 8);
}

function putHex(at: i32, value: u64, digits: i32): void {
  for (let i = at + digits - 1; i >= at; i--) {
    store<u8>(i, digit(u32(value) & 15));
    value >>= 4;
  }
}

function digit(value: u32): u8 {
  return u8(value < 10 ? 0x30 + value : 0x57 + value);
}

/** The stamp of the next line, when more than its last digit changes. */
function nextStamp(): void {
  if (!stampSettled) stampState = 0;
  if (nanoseconds == 1000000000) {
    nanoseconds = 0;
    seconds += 1;
    putHex(stamp + 1, u64(EPOCH + i64(seconds)), 16);
  }
  putHex(stamp + 17, u64(nanoseconds), 8);
}

/** Which of the 16 bytes at an address are a newline, a bit for each. */
function newlines(bytes: v128): i32 {
  return i8x16.bitmask(i8x16.eq(bytes, i8x16.splat(NEWLINE)));
}

/** The address of the next newline; there is one. */
export function findNewline(at: i32): i32 {
  while (true) {
    const found = newlines(v128.load(at));
    if (found) return at + ctz(found);
    at += 16;
  }
}

/** Copies bytes, and up to 15 more. */
function copy(to: i32, from: i32, length: i32): void {
  if (length > 512) {
    memory.copy(to, from, length);
    return;
  }
  for (let i = 0; i < length; i += 16) {
    v128.store(to + i, v128.load(from + i));
  }
}

/**
 * Copies lines, each with its stamp, until there is no more room: up to MARGIN
 * bytes more than there is.
 *
 * Returns where the first byte is that is left.
 */
export function stampLines(
  from: i32,
  to: i32,
  out: i32,
  limit: i32,
  within: i32,
): i32 {
  let head = v128.load(stamp);
  let tail = v128.load(stamp + 16);
  let ns = nanoseconds;
  const length = stampLength;
  const counts = length == LABEL;
  while (from < to && out < limit) {
    if (!within) {
      v128.store(out, head);
      v128.store(out + 16, tail);
      out += length;
      if (!counts) {
        // All lines get the same.
      } else if (++ns & 15) {
        // Only the last digit differs.
        tail = i8x16.replace_lane(tail, LAST_DIGIT, digit(ns & 15));
      } else {
        nanoseconds = ns;
        nextStamp();
        ns = nanoseconds;
        head = v128.load(stamp);
        tail = v128.load(stamp + 16);
      }
    }
    let found: i32;
    while (true) {
      const bytes = v128.load(from);
      v128.store(out, bytes);
      found = newlines(bytes);
      if (found) break;
      from += 16;
      out += 16;
      // Not before a byte of the line: a stamp alone would look like none.
      if (out >= limit) break;
    }
    if (!found) break;
    const rest = ctz(found) + 1;
    from += rest;
    out += rest;
    within = 0;
    if (from > to) {
      // The newline after the last byte isn't the line's.
      from--;
      out--;
      break;
    }
  }
  nanoseconds = ns;
  v128.store(stamp + 16, tail);
  stampedTo = out;
  return from;
}

/**
 * Decides on lines and hands them to their logs, from `line` on, until there
 * are no more that can be decided on (DONE), what has been handed over must be
 * delivered first (FULL), or the automaton's next state must be found
 * (UNKNOWN). A line is decided on when it is whole, or as long as can be seen
 * of it.
 */
export function passLines(to: i32): i32 {
  let at = line;
  while (at < to) {
    const count = findNewlines(at, to);
    if (count == 0) {
      // A long line, or the last one, which isn't whole.
      const end = findNewline(at);
      const whole = end < to;
      const next = whole ? end + 1 : end;
      if (!whole && !decided && to - at < SIGHT) break;
      const what = passLine(at, end, next);
      if (what != DONE) return what;
      decided = i32(!whole);
      at = next;
      continue;
    }
    // The walk isn't half-way in a line, since `ask` forgets what `nothing` is.
    if (nothing && !decided) {
      const last = leaveOut(at, count);
      for (let each = left; each < last; each += 8) {
        const end = load<i32>(each, LINE_END);
        const what = passLine(load<i32>(each, LINE_FROM), end, end + 1);
        if (what != DONE) return what;
      }
      at = load<i32>(ends + ((count - 1) << 2)) + 1;
      continue;
    }
    for (let i = 0; i < count; i++) {
      const end = load<i32>(ends + (i << 2));
      const what = passLine(at, end, end + 1);
      if (what != DONE) return what;
      decided = 0;
      at = end + 1;
    }
  }
  line = at;
  return DONE;
}

/**
 * Leaves out the lines that nobody wants, whatever follows their first byte,
 * and notes the others. Which they are can't be foreseen, so this asks about
 * none: it notes each, and writes the next one's note over it where it is left
 * out.
 *
 * Returns where the notes end.
 */
function leaveOut(from: i32, count: i32): i32 {
  let last = left;
  for (let i = 0; i < count; i++) {
    const end = load<i32>(ends + (i << 2));
    store<i32>(last, from, LINE_FROM);
    store<i32>(last, end, LINE_END);
    // An empty line's newline is in the same class as the end of a line.
    const byte = i32(load<u8>(classes + load<u8>(from)));
    const next = load<i32>(start + (byte << 2), STATE_NEXT);
    last += i32(next != -nothing) << 3;
    from = end + 1;
  }
  return last;
}

/** Decides on one line, unless that is done, and hands it to its logs. */
// @ts-ignore: a decorator of AssemblyScript's
@inline
function passLine(at: i32, end: i32, next: i32): i32 {
  if (!decided && !decide(at, min(end, at + SIGHT))) {
    line = at;
    return UNKNOWN;
  }
  if (isNothing()) {
    if (start > 0 && !load<u8>(start, STATE_SKIPS)) nothing = outcome;
    return DONE;
  }
  if (hand(at, next)) return DONE;
  line = at;
  return FULL;
}

/**
 * Decides on whole lines as if each had its stamp, and stamps those that
 * somebody wants, from `line` on to `pickTo`. Says what passLines says; it also
 * stops (FULL) where there is no more room before `limit`.
 */
export function pickLines(to: i32, limit: i32): i32 {
  let at = line;
  while (at < to) {
    let count = findNewlines(at, to);
    if (count == 0) {
      store<i32>(ends, findNewline(at));
      count = 1;
    }
    for (let i = 0; i < count; i++) {
      const end = load<i32>(ends + (i << 2));
      const what = pickLine(at, end, limit);
      if (what != DONE) return what;
      at = end + 1;
    }
  }
  line = at;
  return DONE;
}

/** Decides on one line, and hands it, stamped, to its logs. */
// @ts-ignore: a decorator of AssemblyScript's
@inline
function pickLine(at: i32, end: i32, limit: i32): i32 {
  if (!decideStamped(at, min(end, at + SIGHT - stampLength))) {
    line = at;
    return UNKNOWN;
  }
  if (!isNothing()) {
    const out = pickTo;
    const next = out + stampLength + end + 1 - at;
    if (next > limit) {
      line = at;
      return FULL;
    }
    v128.store(out, v128.load(stamp));
    v128.store(out + 16, v128.load(stamp + 16));
    copy(out + stampLength, at, end + 1 - at);
    if (!hand(out, next)) {
      line = at;
      return FULL;
    }
    pickTo = next;
  }
  if (stampLength == LABEL) {
    nanoseconds++;
    if (nanoseconds & 15) {
      store<u8>(stamp + LAST_DIGIT_AT, digit(nanoseconds & 15));
    } else {
      nextStamp();
    }
  }
  return DONE;
}

/**
 * Walks the automaton over the stamp, which most lines have in common with the
 * line before, and a line. Returns whether its outcome is known.
 */
// @ts-ignore: a decorator of AssemblyScript's
@inline
function decideStamped(from: i32, to: i32): bool {
  if (stoppedInStamp) {
    stoppedInStamp = false;
    known = 0;
  }
  if (known == 0) {
    if (stampState == 0) enterStamp();
    walked = from;
    known = stampState;
    if (known > 0 && stampLength == LABEL && !stampSettled) {
      known = walkStamp(known, LAST_DIGIT_AT, LABEL);
    }
    if (known == 0) {
      stoppedInStamp = true;
      return false;
    }
  }
  return decide(from, to);
}

/** Finds the state after the stamp. */
function enterStamp(): void {
  stampSettled = false;
  if (stampLength != LABEL) {
    stampState = walkStamp(start, 0, stampLength);
    return;
  }
  stampState = walkStamp(start, 0, 1);
  if (stampState == 0) return;
  stampSettled = stampState < 0 || isLeftByNoLabel(stampState);
  if (!stampSettled) stampState = walkStamp(stampState, 1, LAST_DIGIT_AT);
}

/** Whether a state is left neither by the digits of a label nor by its space. */
function isLeftByNoLabel(state: i32): bool {
  if (!load<u8>(state, STATE_SKIPS)) return false;
  for (let i = 0; i < 3; i++) {
    const exit = load<u8>(state + i, STATE_EXITS);
    if (exit == 0x20 || (exit >= 0x30 && exit <= 0x39)) return false;
    if (exit >= 0x61 && exit <= 0x66) return false;
  }
  return true;
}

/** The state after some of a stamp's bytes; 0 where it isn't known. */
function walkStamp(state: i32, from: i32, to: i32): i32 {
  for (let i = from; i < to && state > 0; i++) {
    const byte = i32(load<u8>(classes + load<u8>(stamp + i)));
    const next = load<i32>(state + (byte << 2), STATE_NEXT);
    if (next == 0) ask(state, byte);
    state = next;
  }
  return state;
}

/** Whether nobody wants the line in hand. */
// @ts-ignore: a decorator of AssemblyScript's
@inline
function isNothing(): bool {
  return (load<i32>(outcome, OUTCOME_ALERTS) |
    load<i32>(outcome, OUTCOME_FILES) | load<i32>(outcome, OUTCOME_LOGS)) == 0;
}

/** How many bytes are looked through for newlines at once. */
const SPAN: i32 = 2048;
/** How many of 64 bytes are noted without asking whether there are so many. */
const SOME: i32 = 2;
/** Where the newlines are noted: room for one in each byte, and SOME more. */
let ends: i32 = 0;
/** Where the lines are noted that leaveOut leaves: from where to where. */
let left: i32 = 0;
const LINE_FROM: usize = 0;
const LINE_END: usize = 4;

/**
 * Notes the addresses of the newlines in the next bytes. How many of 64 bytes
 * are one can't be foreseen, and a loop that asks each time costs more than
 * noting a few that are none.
 *
 * Returns how many there are; 0 where a line is longer than that, too.
 */
function findNewlines(from: i32, to: i32): i32 {
  const limit = min(to, from + SPAN);
  let out = ends;
  for (let at = from; at < limit; at += 64) {
    let found = u64(newlines(v128.load(at))) |
      (u64(newlines(v128.load(at + 16))) << 16) |
      (u64(newlines(v128.load(at + 32))) << 32) |
      (u64(newlines(v128.load(at + 48))) << 48);
    const after = out + (i32(popcnt(found)) << 2);
    for (let i = 0; i < SOME; i++) {
      store<i32>(out + (i << 2), at + i32(ctz(found)));
      found &= found - 1;
    }
    out += SOME << 2;
    while (found) {
      store<i32>(out, at + i32(ctz(found)));
      found &= found - 1;
      out += 4;
    }
    out = after;
  }
  // The last 64 bytes may go on after the last line.
  while (out > ends && load<i32>(out - 4) >= to) out -= 4;
  return (out - ends) >> 2;
}

/** Walks the automaton over a line. Returns whether its outcome is known. */
// @ts-ignore: a decorator of AssemblyScript's
@inline
function decide(from: i32, to: i32): bool {
  let at = from;
  let next = start;
  if (known) {
    at = walked;
    next = known;
    known = 0;
  }
  while (next > 0) {
    const state = next;
    // Past what can be seen of it, a line is at its end as well.
    if (load<u8>(state, STATE_SKIPS)) at = findExit(state, at);
    const byte = at < to ? i32(load<u8>(classes + load<u8>(at))) : endClass;
    next = load<i32>(state + (byte << 2), STATE_NEXT);
    at++;
    if (next == 0) {
      ask(state, byte);
      walked = at;
      return false;
    }
  }
  outcome = -next;
  return true;
}

/** Says which next state must be found. For that, all may be made anew. */
function ask(state: i32, byteClass: i32): void {
  unknownState = state;
  unknownClass = byteClass;
  stampState = 0;
  nothing = 0;
}

/** The address of the next byte that leads out of a state, or ends the line. */
// @ts-ignore: a decorator of AssemblyScript's
@inline
function findExit(state: i32, at: i32): i32 {
  const a = i8x16.splat(load<u8>(state, STATE_EXITS));
  const n = i8x16.splat(NEWLINE);
  if (load<u8>(state, STATE_SKIPS) == 1) {
    // As at the star of `*word*`.
    while (true) {
      const bytes = v128.load(at);
      const more = v128.load(at + 16);
      const found =
        i8x16.bitmask(v128.or(i8x16.eq(bytes, a), i8x16.eq(bytes, n))) |
        (i8x16.bitmask(v128.or(i8x16.eq(more, a), i8x16.eq(more, n))) << 16);
      if (found) return at + ctz(found);
      at += 32;
    }
  }
  const b = i8x16.splat(load<u8>(state, STATE_EXITS + 1));
  const c = i8x16.splat(load<u8>(state, STATE_EXITS + 2));
  while (true) {
    const bytes = v128.load(at);
    const found = i8x16.bitmask(v128.or(
      v128.or(i8x16.eq(bytes, a), i8x16.eq(bytes, b)),
      v128.or(i8x16.eq(bytes, c), i8x16.eq(bytes, n)),
    ));
    if (found) return at + ctz(found);
    at += 16;
  }
}

/**
 * Hands a piece of a line to the logs where it is selected; the first piece
 * also to standard error and the status files. All of that, or nothing.
 *
 * Returns whether it was taken.
 */
function hand(from: i32, to: i32): bool {
  const list = outcome + i32(OUTCOME_LIST);
  if (isForOneLog()) return handTo(load<i32>(list), from, to);
  const files = list + 4 * load<i32>(outcome, OUTCOME_FILES);
  const end = files + 4 * load<i32>(outcome, OUTCOME_LOGS);
  for (let each = files; each < end; each += 4) {
    const log = load<i32>(each);
    const last = load<i32>(log, RUN_TO);
    if (last == from) continue;
    const run = last - load<i32>(log, RUN_FROM);
    if (load<i32>(log, GATHERED) + run > gatherRoom) return false;
  }
  if (!decided && !show(from, to, list, files)) return false;
  for (let each = files; each < end; each += 4) {
    const log = load<i32>(each);
    if (load<i32>(log, RUN_TO) != from) {
      gather(log);
      store<i32>(log, from, RUN_FROM);
    }
    store<i32>(log, to, RUN_TO);
  }
  return true;
}

/** Whether the line in hand goes to one log, and nowhere else. */
function isForOneLog(): bool {
  return load<i64>(outcome, OUTCOME_ALERTS) == 0 &&
    load<i32>(outcome, OUTCOME_LOGS) == 1;
}

/** Hands a piece of a line to a log. Returns whether it was taken. */
function handTo(log: i32, from: i32, to: i32): bool {
  const last = load<i32>(log, RUN_TO);
  if (last != from) {
    const run = last - load<i32>(log, RUN_FROM);
    if (load<i32>(log, GATHERED) + run > gatherRoom) return false;
    gather(log);
    store<i32>(log, from, RUN_FROM);
  }
  store<i32>(log, to, RUN_TO);
  return true;
}

/** Copies a log's run to what has been put together for it. */
function gather(log: i32): void {
  const from = load<i32>(log, RUN_FROM);
  const length = load<i32>(log, RUN_TO) - from;
  if (length == 0) return;
  const gathered = load<i32>(log, GATHERED);
  copy(load<i32>(log, AREA) + gathered, from, length);
  store<i32>(log, gathered + length, GATHERED);
}

/** Puts a line into the alerts, and notes it for the status files. */
function show(from: i32, to: i32, files: i32, end: i32): bool {
  // Without its newline, which it has unless it is longer than can be seen.
  let length = min(to - from, SIGHT + 1);
  if (length > SIGHT || load<u8>(from + length - 1) == NEWLINE) length--;
  const times = load<i32>(outcome, OUTCOME_ALERTS);
  if (times) {
    const cut = length > ALERT_SIGHT;
    const shown = cut ? ALERT_SIGHT : length;
    const each = shown + (cut ? 4 : 1);
    if (alerted + times * each > alertRoom) return false;
    for (let i = 0; i < times; i++) {
      const out = alerts + alerted;
      copy(out, from, shown);
      if (cut) store<u32>(out + shown, 0x0a2e2e2e);
      else store<u8>(out + shown, NEWLINE);
      alerted += each;
    }
  }
  for (; files < end; files += 4) {
    const file = load<i32>(files);
    store<i32>(file, from, SHOWN_FROM);
    store<i32>(file, from + length, SHOWN_TO);
  }
  return true;
}

// Lines that each go to the log of the name that they begin with. A name's
// record: its hash and length, its runs' first and last, the next record that
// has got a run, and its bytes.
const NAME_HASH: usize = 0;
const NAME_LENGTH: usize = 4;
const NAME_FIRST: usize = 8;
const NAME_LAST: usize = 12;
const NAME_NEXT: usize = 16;
const NAME_BYTES: usize = 20;
/** How many bytes a name has at the most. */
const NAME_MOST: i32 = 128;

// A run of lines that follow one another.
const FROM: usize = 0;
const TO: usize = 4;
const NEXT: usize = 8;
const RUN_SIZE: i32 = 12;

// What splitLines and JavaScript have in common.
/** The first record that has got a run. */
export let named: i32 = 0;
/** Where the name is that has no record, how long it is, and its hash. */
export let nameAt: i32 = 0;
export let nameLength: i32 = 0;
export let nameHash: i32 = 0;
/** Whether lines that begin with such a name are the others', too. */
export let crowded: i32 = 0;

let lastNamed: i32 = 0;
/** A byte for each byte: whether it may be in a name. */
let allowed: i32 = 0;
/** The record for lines that begin with no name. */
let others: i32 = 0;
/** A table of records by their hashes; its size is a power of two. */
let table: i32 = 0;
let tableMask: i32 = 0;
let seed: i32 = 0;
let runs: i32 = 0;
let runsEnd: i32 = 0;
let nextRun: i32 = 0;

/** Says where everything is that lines are split with. */
export function setNames(
  allowedAt: i32,
  othersAt: i32,
  tableAt: i32,
  slots: i32,
  hashSeed: i32,
  runsAt: i32,
  runBytes: i32,
): void {
  allowed = allowedAt;
  others = othersAt;
  table = tableAt;
  tableMask = slots - 1;
  seed = hashSeed;
  runs = nextRun = runsAt;
  runsEnd = runsAt + runBytes;
}

/** Puts a record into the table; its hash, length and bytes are there. */
export function addName(name: i32): void {
  let slot = load<i32>(name, NAME_HASH);
  while (load<i32>(table + ((slot & tableMask) << 2))) slot++;
  store<i32>(table + ((slot & tableMask) << 2), name);
}

/**
 * Notes for each line whose it is, from `line` on, until there are no more
 * that can be decided on (DONE), there is no more room for notes (FULL), or a
 * name has no record (UNKNOWN). A name stands after as many bytes of its line
 * as `skip` says. Notes are taken back by startNames.
 */
export function splitLines(to: i32, skip: i32): i32 {
  let at = line;
  while (at < to) {
    const newline = findNewline(at);
    const whole = newline < to;
    if (!decided) {
      const name = findName(at + skip, newline, whole);
      if (name < 0) break;
      if (name == 0) {
        line = at;
        return UNKNOWN;
      }
      outcome = name;
    }
    const end = newline + i32(whole);
    if (!note(outcome, at, end)) {
      line = at;
      return FULL;
    }
    decided = i32(!whole);
    at = end;
  }
  line = at;
  return DONE;
}

/** The record of a line's name; 0 where there is none, -1 for not yet known. */
function findName(from: i32, end: i32, whole: bool): i32 {
  const undecided = whole ? others : -1;
  let hash = seed;
  let at = from;
  for (;; at++) {
    if (at >= end) return undecided;
    const byte = load<u8>(at);
    if (byte == 0x3a) {
      if (at + 1 >= end) return undecided;
      if (load<u8>(at + 1) == 0x20) break;
    }
    if (at - from == NAME_MOST || !load<u8>(allowed + i32(byte))) return others;
    hash = (hash ^ i32(byte)) * 0x01000193;
  }
  const length = at - from;
  if (length == 0 || load<u8>(from) == 0x2e) return others;
  hash ^= hash >>> 15;
  for (let slot = hash;; slot++) {
    const name = load<i32>(table + ((slot & tableMask) << 2));
    if (name == 0) break;
    if (load<i32>(name, NAME_HASH) != hash) continue;
    if (load<i32>(name, NAME_LENGTH) != length) continue;
    let i = 0;
    while (
      i < length && load<u8>(name + i, NAME_BYTES) == load<u8>(from + i)
    ) i++;
    if (i == length) return name;
  }
  if (crowded) return others;
  nameAt = from;
  nameLength = length;
  nameHash = hash;
  return 0;
}

/** Notes whose a piece is. Returns whether there was room. */
function note(name: i32, from: i32, to: i32): bool {
  const last = load<i32>(name, NAME_LAST);
  if (last && load<i32>(last, TO) == from) {
    store<i32>(last, to, TO);
    return true;
  }
  if (nextRun == runsEnd) return false;
  const run = nextRun;
  nextRun += RUN_SIZE;
  store<i32>(run, from, FROM);
  store<i32>(run, to, TO);
  store<i32>(run, 0, NEXT);
  store<i32>(name, run, NAME_LAST);
  if (last) {
    store<i32>(last, run, NEXT);
    return true;
  }
  store<i32>(name, run, NAME_FIRST);
  store<i32>(name, 0, NAME_NEXT);
  if (lastNamed) store<i32>(lastNamed, name, NAME_NEXT);
  else named = name;
  lastNamed = name;
  return true;
}

/** Puts a name's lines side by side. Returns where they end. */
export function putTogether(name: i32, out: i32): i32 {
  let run = load<i32>(name, NAME_FIRST);
  while (run) {
    const from = load<i32>(run, FROM);
    const length = load<i32>(run, TO) - from;
    copy(out, from, length);
    out += length;
    run = load<i32>(run, NEXT);
  }
  return out;
}

/** Takes all notes back. */
export function startNames(): void {
  while (named) {
    store<i32>(named, 0, NAME_FIRST);
    store<i32>(named, 0, NAME_LAST);
    named = load<i32>(named, NAME_NEXT);
  }
  lastNamed = 0;
  nextRun = runs;
}

// A log server's lines. A priority's record: where its words are, how many
// bytes they have, and whether they take the number's place.
const WORDS: usize = 0;
const WORDS_LENGTH: usize = 4;
const REPLACES: usize = 5;
const PRIORITY_SIZE: i32 = 8;
/** How many bytes a priority in a line has at the most: <191>. */
const NUMBER_MOST: i32 = 5;
/** The priority isn't known: the line begins with it, or has none. */
const LOOK: i32 = -1;

// What frameLines, putLine and JavaScript have in common.
/** Where the lines end that frameLines has put out. */
export let framedTo: i32 = 0;
/** The priority of the line put out last; 0 for none. */
export let priority: i32 = 0;

/** The records of priorities, by number. */
let priorities: i32 = 0;
let prefix: i32 = 0;
let prefixLength: i32 = 0;
/** Whether lines come out as they are, and with words. */
let raw: i32 = 0;
let cooked: i32 = 0;
/** No longer line is put out at once. */
let longest: i32 = 0;
/** How many bytes the number has that words take the place of. */
let replaced: i32 = 0;

/** Says where priorities and the prefix are, and how lines come out. */
export function setFraming(
  prioritiesAt: i32,
  prefixAt: i32,
  asTheyAre: i32,
  withWords: i32,
  most: i32,
): void {
  priorities = prioritiesAt;
  prefix = prefixAt;
  raw = asTheyAre;
  cooked = withWords;
  longest = most;
}

/** Says how many bytes the prefix has. */
export function setPrefix(length: i32): void {
  prefixLength = length;
}

/** The address of the next newline or NUL; there is one. */
export function findLineEnd(at: i32): i32 {
  const n = i8x16.splat(NEWLINE);
  const nul = i8x16.splat(0);
  while (true) {
    const bytes = v128.load(at);
    const found = i8x16.bitmask(
      v128.or(i8x16.eq(bytes, n), i8x16.eq(bytes, nul)),
    );
    if (found) return at + ctz(found);
    at += 16;
  }
}

/**
 * Puts out lines, each with its prefix and its priority's words, until one
 * isn't whole, is too long, or there is no more room; empty ones are left out.
 * At `to` stands a newline that ends no line.
 *
 * Returns where the first byte is that is left.
 */
export function frameLines(from: i32, to: i32, out: i32, limit: i32): i32 {
  while (from < to) {
    const end = findLineEnd(from);
    if (end > from) {
      if (end == to || end - from > longest || out > limit) break;
      out = putLine(from, end, out, LOOK);
    }
    from = end + 1;
  }
  framedTo = out;
  return from;
}

/**
 * Puts out a line or a piece of one, and a newline.
 *
 * Returns where it ends.
 */
export function putLine(from: i32, to: i32, out: i32, number: i32): i32 {
  if (raw) {
    out = put(prefix, prefixLength, out);
    out = put(from, to - from, out);
    store<u8>(out++, NEWLINE);
  }
  priority = 0;
  if (!cooked) return out;
  out = put(prefix, prefixLength, out);
  replaced = 0;
  if (number == LOOK) number = priorityAt(from, to);
  if (number) {
    const record = priorities + number * PRIORITY_SIZE;
    const words = load<i32>(record, WORDS);
    out = put(words, i32(load<u8>(record, WORDS_LENGTH)), out);
    if (load<u8>(record, REPLACES)) from += replaced;
    priority = number;
  }
  out = put(from, to - from, out);
  store<u8>(out++, NEWLINE);
  return out;
}

/** Copies bytes, and up to 15 more. Returns where they end. */
function put(from: i32, length: i32, out: i32): i32 {
  copy(out, from, length);
  return out + length;
}

/** The number, of one to three digits, that a line begins with in `<>`. */
function priorityAt(from: i32, to: i32): i32 {
  // Bytes after the line are some others' digits, perhaps.
  const end = min(to, from + NUMBER_MOST);
  if (from >= end || load<u8>(from) != 0x3c) return 0;
  let number = 0;
  for (let at = from + 1; at < end; at++) {
    const byte = i32(load<u8>(at));
    if (byte == 0x3e) {
      replaced = at + 1 - from;
      return number;
    }
    if (byte < 0x30 || byte > 0x39) return 0;
    number = number * 10 + byte - 0x30;
  }
  return 0;
}
