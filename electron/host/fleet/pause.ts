/** A wait that someone else may cut short. */
export interface Pausable {
  /** Waits `ms` milliseconds, or with null until woken. Resolves to true when it was woken. */
  wait(ms: number | null): Promise<boolean>;
  /** Ends the present wait; without one, the next ends at once. */
  wake(): void;
}

/** One waiter at a time. */
export function pausable(): Pausable {
  let waiter: ((woken: boolean) => void) | null = null;
  let pending = false;
  return {
    wait: (ms) => {
      if (pending) {
        pending = false;
        return Promise.resolve(true);
      }
      return new Promise((resolve) => {
        const timer = ms === null ? null : setTimeout(() => waiter?.(false), ms);
        waiter = (woken) => {
          if (timer !== null) clearTimeout(timer);
          waiter = null;
          resolve(woken);
        };
      });
    },
    wake: () => {
      if (waiter === null) pending = true;
      else waiter(true);
    },
  };
}
