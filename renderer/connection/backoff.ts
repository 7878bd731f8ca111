/** Pauses between attempts to reach the host, in milliseconds. */
const PAUSES_MS = [300, 1000, 2000, 4000, 8000, 15_000];

/** The pause before the next try after `failures` failed ones (1 and more), in milliseconds. */
export function pauseAfter(failures: number): number {
  const index = Math.min(Math.max(failures, 1), PAUSES_MS.length) - 1;
  return PAUSES_MS[index] ?? 15_000;
}
