/** Waiting for something that tells nobody when it happens. */

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks every `everyMs` until `look` is true. False when that took longer than `withinMs`. */
export async function until(look: () => boolean | Promise<boolean>, withinMs: number, everyMs = 25): Promise<boolean> {
  for (const deadline = performance.now() + withinMs; ;) {
    if (await look()) return true;
    if (performance.now() > deadline) return false;
    await pause(everyMs);
  }
}
