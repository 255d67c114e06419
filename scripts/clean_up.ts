/** The signals that end a script, and their numbers. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/**
 * Cleans up at the end of a scope (`await using`), or when a signal ends the script
 * before.
 *
 * @param clean What is to be done
 * @returns What does it at the end of its scope
 */
export function cleaningUp(clean: () => Promise<void>): AsyncDisposable {
  let ending: Promise<never> | undefined;
  const listeners = Object.entries(SIGNALS).map(([name, number]) => {
    const listener = () => {
      ending ??= clean().then(() => Deno.exit(128 + number));
    };
    Deno.addSignalListener(name as keyof typeof SIGNALS, listener);
    return [name as keyof typeof SIGNALS, listener] as const;
  });
  return {
    async [Symbol.asyncDispose]() {
      // What ends the scope then may be what the signal's clean-up has ended.
      if (ending) await ending;
      for (const [name, listener] of listeners) {
        Deno.removeSignalListener(name, listener);
      }
      await clean();
    },
  };
}
