/** What one pruning run took: of `removed` channels out of `total`, `hits` came from layers that held `marked` of them. */
export interface Draw {
  total: number;
  marked: number;
  removed: number;
  hits: number;
}

/**
 * Probabilities, under removal of channels by pure chance, that runs together take at least and at most as many marked
 * channels as they did: the exact sum of independent hypergeometric counts. `upper` small: more than chance; `lower`
 * small: fewer.
 */
export function uniformTails(draws: readonly Draw[]): { upper: number; lower: number } {
  let distribution = new Float64Array([1]);
  let hits = 0;
  for (const draw of draws) {
    distribution = convolve(distribution, hypergeometric(draw));
    hits += draw.hits;
  }
  let lower = 0;
  let upper = 0;
  distribution.forEach((p, count) => {
    if (count <= hits) lower += p;
    if (count >= hits) upper += p;
  });
  return { upper: Math.min(1, upper), lower: Math.min(1, lower) };
}

/** P(0), P(1), .. P(removed) marked among `removed` channels drawn without replacement. */
function hypergeometric({ total, marked, removed }: Draw): Float64Array {
  const logChoose = (n: number, k: number): number =>
    k < 0 || k > n ? Number.NEGATIVE_INFINITY : logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  const all = logChoose(total, removed);
  return Float64Array.from({ length: removed + 1 }, (_, hits) =>
    Math.exp(logChoose(marked, hits) + logChoose(total - marked, removed - hits) - all),
  );
}

const logFactorials = [0];

function logFactorial(n: number): number {
  for (let i = logFactorials.length; i <= n; i++) logFactorials.push(logFactorials[i - 1] + Math.log(i));
  return logFactorials[n];
}

function convolve(a: Float64Array, b: Float64Array): Float64Array<ArrayBuffer> {
  const out = new Float64Array(a.length + b.length - 1);
  a.forEach((p, i) => {
    b.forEach((q, j) => {
      out[i + j] += p * q;
    });
  });
  return out;
}
