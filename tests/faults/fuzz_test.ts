import { chosenSeed, folder, seeded, testWith } from "../tools.ts";
import { FUZZERS } from "./fuzz.ts";

/** How long each is tried, in milliseconds. */
const LASTS = 700;

for (const { name, needs, once } of FUZZERS) {
  testWith(needs, `faults: any bytes as ${name}`, async () => {
    const seed = chosenSeed();
    const random = seeded(seed);
    using at = folder();
    const end = performance.now() + LASTS;
    try {
      do {
        await once(random, at);
      } while (performance.now() < end);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  });
}
