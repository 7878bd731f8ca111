/** Handlers of one kind of event. */
import type { Unsubscribe } from './engine.ts';

export class Listeners<Event> {
  readonly #handlers = new Set<(event: Event) => void>();

  add(handler: (event: Event) => void): Unsubscribe {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  call(event: Event): void {
    for (const handler of [...this.#handlers]) handler(event);
  }
}
