/** The middle of a list of numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value below which `share` (0 to 1) of the list lies. */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/**
 * Measures each contestant once a round, one after the other, so that a slow minute of the machine hits all of them.
 *
 * @param contestants name to a function that resolves with a number
 * @returns name to `{ median, values }`
 */
export async function alternate(rounds, contestants) {
  const values = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(contestants)) values[name].push(await measure());
  }
  return Object.fromEntries(
    Object.entries(values).map(([name, list]) => [name, { median: median(list), values: list }]),
  );
}

/** How often `work` runs in a second, from about `forMs` of it. `work` is called in blocks of `block`. */
export function ratePerSecond(work, forMs = 300, block = 256) {
  const begin = performance.now();
  let done = 0;
  let elapsed = 0;
  do {
    for (let index = 0; index < block; index++) work();
    done += block;
    elapsed = performance.now() - begin;
  } while (elapsed < forMs);
  return (done / elapsed) * 1_000;
}

/** How many milliseconds `work` takes: the shortest of a few runs, which is the one that was disturbed least. */
export function shortestMs(work, runs = 5) {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    work();
    best = Math.min(best, performance.now() - begin);
  }
  return best;
}
