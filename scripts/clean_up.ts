/** The signals that end a script, and their numbers. */
const SIGNALS = [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const;

/**
 * Listens for the signals that end a script.
 *
 * @param handler Called with the exit code that says which it was
 * @returns A function that stops listening
 */
export function onEndingSignal(handler: (code: number) => void): () => void {
  const stop = SIGNALS.map(([name, number]) => {
    const listener = () => handler(128 + number);
    Deno.addSignalListener(name, listener);
    return () => Deno.removeSignalListener(name, listener);
  });
  return () => stop.forEach((one) => one());
}

/**
 * Cleans up at the end of a scope (`await using`), or when a signal ends the script
 * before.
 *
 * @param clean What is to be done
 * @returns What does it at the end of its scope
 */
export function cleaningUp(clean: () => Promise<void>): AsyncDisposable {
  let ending: Promise<never> | undefined;
  const stopListening = onEndingSignal((code) => {
    ending ??= clean().then(() => Deno.exit(code));
  });
  return {
    async [Symbol.asyncDispose]() {
      // What ends the scope then may be what the signal's clean-up has ended.
      if (ending) await ending;
      stopListening();
      await clean();
    },
  };
}
