/**
 * How tests wait: for what happens, not for as long as it usually takes.
 *
 * @module
 */

/**
 * Sleeps; for a test that is about time, or must let some pass.
 *
 * @param milliseconds How long
 */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Waits until something is true, looking often; for what can't be waited for
 * in any other way.
 *
 * @param what What is waited for, for the error message
 * @param condition Whether it is true
 * @param seconds How long at the most
 * @throws {Error} When it isn't true by then
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 120,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await sleep(5);
  }
}

/**
 * Waits for something that must happen before long, so that no test hangs.
 *
 * @param what What is waited for, for the error message
 * @param promise What is fulfilled then
 * @param seconds How long at the most
 * @returns What the promise is fulfilled with
 * @throws {Error} When it isn't fulfilled by then
 */
export async function soon<T>(
  what: string,
  promise: Promise<T>,
  seconds = 300,
): Promise<T> {
  let timer: number | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`never happened: ${what}`)),
      seconds * 1000,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * For how many seconds something waited for a core, since the machine started;
 * 0 where the kernel doesn't count it.
 */
function crowdedFor(): number {
  try {
    const pressure = Deno.readTextFileSync("/proc/pressure/cpu");
    return Number(/^some .*total=(\d+)/m.exec(pressure)?.[1] ?? 0) / 1e6;
  } catch {
    return 0;
  }
}

/**
 * Does something that has to be done in time. On a busy machine that is longer:
 * it may have had to wait for a core, and it may have been as late as this
 * process was at the worst, several times, for no fault of its own.
 *
 * @param limit How many seconds it may take, and one more
 * @param work What is to be done
 * @returns How many it took, and what came of it
 * @throws {Error} When it took longer
 */
export async function inTime<T>(
  limit: number,
  work: () => Promise<T>,
): Promise<{ seconds: number; result: T }> {
  const period = 50;
  const begin = performance.now();
  const crowded = crowdedFor();
  let last = begin;
  let late = 0;
  const look = () => {
    const now = performance.now();
    late = Math.max(late, now - last - period);
    last = now;
  };
  const timer = setInterval(look, period);
  let result;
  try {
    result = await work();
  } finally {
    clearInterval(timer);
  }
  look();
  const seconds = (performance.now() - begin) / 1000;
  const granted = 1 + 5 * late / 1000 + crowdedFor() - crowded;
  if (seconds > limit + granted) {
    throw new Error(`${seconds} s, ${granted} were granted beside ${limit}`);
  }
  return { seconds, result };
}

/**
 * Does something for each of a list, a few at a time: that keeps two cores busy
 * with programs that also wait, and leaves each of them enough to be in time.
 *
 * @param items The list
 * @param work What to do with an item, and where it is in the list
 * @param workers How many at a time; three, unless they mostly wait
 * @returns What came of each, in the list's order
 * @throws What the first to fail threw, once none is at work any more
 */
export async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  workers = 3,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
    }
  };
  const done = await Promise.allSettled(
    Array.from({ length: workers }, worker),
  );
  for (const one of done) if (one.status === "rejected") throw one.reason;
  return results;
}
