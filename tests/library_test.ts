/**
 * The library: what other programs import, what that needs, and how it fails.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import {
  type Log,
  LogferryError,
  openLog,
  openScript,
  send,
  serve,
  SyslogLineStream,
} from "../mod.ts";
import {
  numbered,
  oldFiles,
  text,
  waitFor,
  whole,
} from "./multilog/harness.ts";
import {
  bytes,
  folder,
  inCheckout,
  inTime,
  latin1,
  run,
  until,
} from "./tools.ts";

interface Node {
  readonly name: string;
  readonly declarationKind: "export" | "private" | "declare";
  readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
}

const { exports } = JSON.parse(
  Deno.readTextFileSync(inCheckout("deno.json")),
) as { exports: Record<string, string> };

async function documented(module: string): Promise<readonly Node[]> {
  const { text, code } = await run(
    [Deno.execPath(), "doc", "--json", inCheckout(module)],
    { env: { NO_COLOR: "1" } },
  );
  assertEquals(code, 0);
  return (JSON.parse(text) as { nodes: Node[] }).nodes;
}

Deno.test("every export of the library has an example, which the doc tests run", async () => {
  const { code, stderr } = await run(
    [Deno.execPath(), "doc", "--lint"]
      .concat(Object.values(exports).map(inCheckout)),
  );
  assertEquals(code, 0, stderr);
  const names: string[] = [];
  for (const module of Object.values(exports)) {
    const nodes = await documented(module);
    const symbols = nodes.filter(({ declarationKind }) =>
      declarationKind === "export"
    );
    const bare = symbols.filter(({ jsDoc }) =>
      !jsDoc?.tags?.some(({ kind }) => kind === "example")
    );
    assertEquals(bare.map(({ name }) => name), [], module);
    names.push(...symbols.map(({ name }) => name));
  }
  // Nothing of a main loop, for instance; the modules themselves have no name.
  assertEquals([...new Set(names)].sort(), [
    "",
    "FramerOptions",
    "LABEL_LENGTH",
    "Log",
    "LogOptions",
    "LogServer",
    "LogServerAddress",
    "LogSettings",
    "LogferryError",
    "Moment",
    "PATTERN_SIGHT",
    "Pattern",
    "PatternLanguage",
    "ScriptOptions",
    "SendOptions",
    "SendTlsOptions",
    "ServeOptions",
    "SyslogLineOptions",
    "SyslogLineStream",
    "label",
    "matches",
    "openLog",
    "openScript",
    "parseLabel",
    "pattern",
    "priorityName",
    "putLabel",
    "send",
    "serve",
  ]);
});

Deno.test("the library can be published", async () => {
  const { code, stderr } = await run(
    [Deno.execPath(), "publish", "--dry-run", "--allow-dirty"],
    { cwd: inCheckout(""), env: { NO_COLOR: "1" } },
  );
  assertEquals(code, 0, stderr);
  // Slow types and the like are warnings.
  assert(!/warning/i.test(stderr), stderr);
});

/** Runs a program that imports modules of the library, with permissions. */
async function runWith(
  permissions: readonly string[],
  modules: readonly string[],
  program: string,
): Promise<{ code: number; text: string; stderr: string }> {
  using at = folder();
  const imports = modules.map((name) =>
    `import * as ${name} from ${
      JSON.stringify(new URL(`../${exports[`./${name}`]}`, import.meta.url))
    };\n`
  );
  const file = `${at.path}/program.ts`;
  Deno.writeTextFileSync(file, imports.join("") + program);
  const config = `--config=${inCheckout("deno.json")}`;
  return await run(
    [Deno.execPath(), "run", "-q", "--no-prompt", "--no-check", config]
      .concat(permissions, file),
    { cwd: at.path, env: { NO_COLOR: "1" } },
  );
}

Deno.test("TAI64N, patterns and syslog lines need no permission", async () => {
  const { code, text, stderr } = await runWith(
    [],
    ["tai64n", "pattern", "syslog"],
    `
    const line = new TextEncoder().encode("<13>one\\n");
    const lines = ReadableStream.from([line])
      .pipeThrough(new syslog.SyslogLineStream());
    console.log((await new Response(lines).text()).trim());
    console.log(pattern.matches(pattern.pattern("<13>*"), line));
    console.log(tai64n.label({ seconds: 0, nanoseconds: 1 }));
    `,
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(text, "user.notice: one\ntrue\n@400000000000000a00000001\n");
});

Deno.test("a log needs --allow-ffi and nothing else, and keeps no program from ending", async () => {
  using at = folder();
  const began = performance.now();
  const { code, stderr } = await runWith(
    ["--allow-ffi"],
    ["log"],
    `
    const main = await log.openLog("${at.path}/main", { age: 3600 });
    await main.write(new TextEncoder().encode("one\\n"));
    `,
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(text(`${at.path}/main/current`), "one\n");
  assert(performance.now() - began < 60_000);
});

/** What is in a log's old files, the oldest first. */
function texts(path: string): string[] {
  return oldFiles(path).map((name) => text(`${path}/${name}`));
}

Deno.test("a log without options has multilog's: 10 files of up to 99999 bytes", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await openLog(path);
  const line = "x".repeat(999) + "\n";
  await log.write(bytes(line.repeat(1100)));
  await until("the others go", () => oldFiles(path).length === 9);
  const old = texts(path);
  for (const text of old) assertEquals(text.length, 98_000);
});

Deno.test("a log finishes a file that is old enough while nothing is written", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await openLog(path, { age: 1 });
  await log.write(bytes("one\n"));
  assertEquals(oldFiles(path).length, 0);
  await until("it is finished", () => oldFiles(path).length === 1);
  assertEquals(text(`${path}/current`), "");
  await log.write(bytes("two\n"));
  await until("the next is, too", () => oldFiles(path).length === 2);
});

Deno.test("a log removes a file that is too old while nothing is written", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await openLog(path, { keepSeconds: 1 });
  await log.write(bytes("one\n"));
  await log.rotate();
  assertEquals(oldFiles(path).length, 1);
  await until("it goes", () => oldFiles(path).length === 0);
});

Deno.test("a full queue lets a log go on as soon as the processor has ended", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const processor = `cat; ${waitFor("go")}`;
  await using log = await openLog(path, { size: 4096, keep: 2, processor });
  await log.write(bytes("one\n"));
  await log.rotate();
  // It is to be finished, too, when there is room for it.
  await log.write(bytes("two\n"));
  await log.rotate();
  assertEquals(text(`${path}/current`), "two\n");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await until("it is finished", () => texts(path).includes("two\n"));
});

Deno.test("a log that is closed inside a line isn't cut there by the next rotate", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const first = await openLog(path);
  await first.write(bytes("one\nhalf a "));
  await first.close();
  await using log = await openLog(path);
  await log.rotate();
  assertEquals(text(`${path}/current`), "one\nhalf a ");
  await log.write(bytes("line\nnext\n"));
  assertEquals(texts(path), ["one\nhalf a line\n"]);
  assertEquals(text(`${path}/current`), "next\n");
});

Deno.test("a log carries out one call after the other", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const log = await openScript(["s4096", "n99", path]);
  const lines = numbered(0, 5000);
  const done: Promise<void>[] = [];
  for (let at = 0; at < lines.length; at += 1000) {
    done.push(log.write(bytes(lines.slice(at, at + 1000))), log.rotate());
  }
  done.push(log.close());
  await Promise.all(done);
  assertEquals(whole(path), lines);
});

Deno.test("a closed log refuses writes, and closing it again changes nothing", async () => {
  using at = folder();
  const log = await openLog(`${at.path}/log`);
  await log.close();
  // Whoever gets the descriptors now keeps them.
  using file = Deno.openSync(`${at.path}/file`, { create: true, write: true });
  await log.close();
  await log.terminate();
  for (const use of [() => log.write(bytes("one\n")), () => log.sync()]) {
    const { code } = await assertRejects(use, LogferryError, "is closed");
    assertEquals(code, "EBADF");
  }
  file.writeSync(bytes("its own\n"));
  assertEquals(text(`${at.path}/file`), "its own\n");
});

Deno.test("a log that can't be opened says why, with a code and a cause", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using _log = await openLog(path);
  const error = await assertRejects(() => openLog(path), LogferryError);
  assertEquals(
    error.message,
    `unable to lock directory ${path}: temporarily unavailable`,
  );
  assertEquals(error.code, "EAGAIN");
  assertInstanceOf(error.cause, Error);
  await assertRejects(() => openLog(path, { size: 4095 }), RangeError);
});

Deno.test("a script of which multilog would ignore a part is refused, and opens nothing", async () => {
  using at = folder();
  for (const wrong of ["logs/app", "s1", "t"]) {
    const script = [`${at.path}/log`, wrong];
    const error = await assertRejects(() => openScript(script), LogferryError);
    assertEquals(error.code, "EINVAL");
  }
  const error = await assertRejects(
    () => openScript(["R", "+(", `${at.path}/log`]),
    LogferryError,
  );
  assertEquals(error.code, "EINVAL");
  assertInstanceOf(error.cause, SyntaxError);
  assertEquals([...Deno.readDirSync(at.path)], []);
});

Deno.test("a log's stream takes bytes and nothing else, and closes the log then", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const writer = (await openScript([path])).writable.getWriter();
  writer.closed.catch(() => {});
  const wrong = "text" as unknown as Uint8Array;
  await assertRejects(() => writer.write(wrong), TypeError);
  const { writable } = await openScript([path]);
  await ReadableStream.from([bytes("one\n")]).pipeTo(writable);
  assertEquals(text(`${path}/current`), "one\n");
});

Deno.test("when the disk fails, a log calls onWarning, and tries again until it succeeds", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const warnings: string[] = [];
  const log = await openLog(path, {
    size: 4096,
    onWarning: (message) => warnings.push(message),
  });
  Deno.renameSync(`${path}/current`, `${path}/mine`);
  Deno.mkdirSync(`${path}/current`);
  await log.write(bytes("one\n"));
  const rotating = log.rotate();
  await until("it warns", () => warnings.length > 0);
  assertEquals(warnings, [
    `unable to rename ${path}/current, pausing: is a directory`,
  ]);
  Deno.removeSync(`${path}/current`);
  Deno.renameSync(`${path}/mine`, `${path}/current`);
  await rotating;
  await log.close();
  assertEquals(whole(path), "one\n");
});

Deno.test("terminate ends a log whose processor hangs within 5 seconds", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const log = await openLog(path, {
    keep: 2,
    processor: "echo >../runs; exec sleep 1000",
  });
  await log.write(bytes("one\n"));
  await log.rotate();
  await until("it runs", () => text(`${at.path}/runs`) !== "");
  await log.write(bytes("two\n"));
  await inTime(4, () => log.terminate());
  assertEquals(texts(path), ["one\n"]);
  assertEquals(text(`${path}/current`), "two\n");
});

Deno.test("a syslog stream takes chunks of any size, and puts out whole lines", async () => {
  const long = "y".repeat(100_000);
  const input = `<13>one\n${long}\n`.repeat(20).slice(0, -1);
  const chunks: string[] = [];
  await ReadableStream.from([bytes(input)])
    .pipeThrough(new SyslogLineStream({ prefix: "a: " }))
    .pipeTo(
      new WritableStream({
        write: (chunk) => void chunks.push(latin1(chunk)),
      }),
    );
  for (const chunk of chunks) assert(chunk.endsWith("\n"));
  assertEquals(
    chunks.join(""),
    `a: user.notice: one\na: ${"y".repeat(65536)}\na: ${
      "y".repeat(100_000 - 65536)
    }\n`.repeat(20),
  );
});

/** A log server that keeps its lines in an array, and how to reach it. */
async function server(
  options: { acknowledge?: boolean; signal?: AbortSignal } = {},
) {
  const lines: string[] = [];
  const output = new WritableStream<Uint8Array>({
    write: (chunk) => void lines.push(latin1(chunk)),
  });
  const at = { hostname: "127.0.0.1", port: 0 };
  const server = await serve(output, { ...at, ...options });
  const { hostname, port } = server.addr;
  return { server, lines, at: { hostname, port } };
}

Deno.test("a stream that is sent arrives, however slow and large it is", async () => {
  const { server: serving, lines, at } = await server({ acknowledge: true });
  const sent = numbered(0, 200_000);
  async function* slowly() {
    for (let at = 0; at < sent.length; at += 300_000) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield bytes("");
      yield bytes(sent.slice(at, at + 300_000));
    }
  }
  const body = ReadableStream.from(slowly());
  await send(body, { ...at, acknowledge: true });
  assertEquals(lines.join("").replaceAll(/^127\.0\.0\.1: /gm, ""), sent);
  await serving.shutdown();
});

Deno.test("a sender that waits for its stream uses no processor time", async () => {
  const { server: serving, at } = await server();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const sending = send(readable, at);
  const writer = writable.getWriter();
  await writer.write(bytes("one\n"));
  const before = ticks();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  // In hundredths of a second: one that looks again and again takes all.
  assert(ticks() - before < 50);
  await writer.close();
  await sending;
  await serving.shutdown();
});

function ticks(): number {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const fields = stat.slice(stat.lastIndexOf(")")).split(" ");
  return Number(fields[12]) + Number(fields[13]);
}

Deno.test("the error of a failed transmission has the reason's code", async () => {
  const { server: serving, at } = await server();
  const body = bytes("one\n");
  const codeOf = async (sending: Promise<void>) =>
    (await assertRejects(() => sending, LogferryError)).code;
  assertEquals(
    await codeOf(send(body, { ...at, acknowledge: true })),
    "EBADMSG",
  );
  assertEquals(
    await codeOf(send(body, { hostname: "nowhere.invalid", port: 1 }))
      .then((code) => code.replace("EAI_AGAIN", "EAI_NONAME")),
    "EAI_NONAME",
  );
  await serving.shutdown();
  const refused = await assertRejects(() => send(body, at), LogferryError);
  assertEquals(refused.code, "ECONNREFUSED");
  assertEquals(
    refused.message,
    `unable to connect to 127.0.0.1 port ${at.port}: connection refused`,
  );
});

Deno.test("send goes on to a fallback: with bytes always, with a stream until it has begun to send", async () => {
  const { server: serving, lines, at } = await server();
  const { server: gone, at: nowhere } = await server();
  await gone.shutdown();
  const fallbacks = [at];
  await send(bytes("one\n"), { ...nowhere, fallbacks });
  /** To a server that takes something, and hangs up; then to the fallback. */
  const sendToBroken = async (
    body: ReadableStream<Uint8Array> | Uint8Array,
  ) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = listener.addr;
    const sending = send(body, { hostname, port, fallbacks });
    sending.catch(() => {});
    const connection = await listener.accept();
    await connection.read(new Uint8Array(1));
    connection.close();
    await sending;
  };
  const long = bytes(numbered(0, 200_000));
  const failed = await assertRejects(
    () => sendToBroken(ReadableStream.from([long])),
    LogferryError,
  );
  assertMatch(failed.message, /^127\.0\.0\.1 port \d+: /);
  assertEquals(lines.join(""), "127.0.0.1: one\n");
  await sendToBroken(long);
  await serving.shutdown();
  assertEquals(
    lines.join("").replaceAll(/^127\.0\.0\.1: /gm, ""),
    `one\n${numbered(0, 200_000)}`,
  );
});

Deno.test("send throws what its stream or its signal fails with, and cancels the stream", async () => {
  const { server: serving, at } = await server();
  const failing = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.error(new RangeError("mine")),
  });
  await assertRejects(() => send(failing, at), RangeError, "mine");
  let cancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    cancel: () => void (cancelled = true),
  });
  const controller = new AbortController();
  const { signal } = controller;
  const sending = send(endless, { ...at, signal });
  controller.abort(new RangeError("enough"));
  await assertRejects(() => sending, RangeError, "enough");
  assert(cancelled);
  await serving.shutdown();
});

Deno.test("a log server acknowledges only what its log has", async () => {
  using at = folder();
  const log = await openLog(`${at.path}/log`);
  let synced = 0;
  const sync = () => {
    synced++;
    return log.sync();
  };
  const write = (bytes: Uint8Array) => log.write(bytes);
  const server = await serve({ ...log, write, sync } as Log, {
    hostname: "127.0.0.1",
    port: 0,
    acknowledge: true,
  });
  const to = { hostname: "127.0.0.1", port: server.addr.port };
  await send(bytes("one\n"), { ...to, acknowledge: true });
  assertEquals(text(`${at.path}/log/current`), "127.0.0.1: one\n");
  assertEquals(synced, 1);
  await log.close();
  const failed = assertRejects(() => server.finished, LogferryError);
  const { code } = await assertRejects(
    () => send(bytes("two\n"), { ...to, acknowledge: true }),
    LogferryError,
  );
  assert(["ECONNRESET", "EPIPE", "ECONNABORTED"].includes(code), code);
  const failure = await failed;
  assertEquals(failure.code, "EBADF");
  assertInstanceOf(failure.cause, LogferryError);
});

Deno.test("a log server ends by a signal, when what it has read is written, and leaves nothing open", async () => {
  const open = () =>
    Array.from(Deno.readDirSync("/proc/self/fd"), ({ name }) => name).sort();
  // What the runtime opens once for all stays.
  for (const used of [false, true]) {
    const before = open();
    const controller = new AbortController();
    const { signal } = controller;
    const { server: serving, lines, at } = await server({ signal });
    const taken = await assertRejects(
      () => serve(new WritableStream(), at),
      LogferryError,
    );
    assertEquals(taken.code, "EADDRINUSE");
    const connection = await Deno.connect(at);
    await connection.write(bytes("one\nhalf a line"));
    await until("one is written", () => lines.length > 0);
    controller.abort();
    await serving.finished;
    assertEquals(
      lines.join(""),
      "127.0.0.1: one\n127.0.0.1: half a line\n",
    );
    connection.close();
    if (used) assertEquals(open(), before);
  }
});
