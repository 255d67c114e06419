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
 * Measures how long something takes that has to be done in time, and how late
 * this machine was at the worst meanwhile: whoever had to be in time was that
 * late several times, for no fault of its own.
 *
 * @param work What is measured
 * @returns Seconds: how long it took, and what more than its time is granted
 */
export async function timed(
  work: () => Promise<unknown>,
): Promise<{ seconds: number; granted: number }> {
  const period = 50;
  const begin = performance.now();
  let last = begin;
  let late = 0;
  const look = () => {
    const now = performance.now();
    late = Math.max(late, now - last - period);
    last = now;
  };
  const timer = setInterval(look, period);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, granted: 1 + 5 * late / 1000 };
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
