/** The address after the `#`: `#/files/nodes/pve1` is the screen `files` with the rest `nodes/pve1`. */
import { computed, shallowRef } from 'vue';

export const SCREENS = ['topology', 'configuration', 'files', 'events', 'hosts'] as const;
export type Screen = (typeof SCREENS)[number];

export interface Route {
  readonly screen: Screen;
  /** What follows the screen's name, without a leading slash; '' mostly. */
  readonly rest: string;
}

export function parseRoute(hash: string): Route {
  const [name = '', ...rest] = hash.replace(/^#\/?/, '').split('/');
  const screen = SCREENS.find((one) => one === name) ?? 'topology';
  return { screen, rest: rest.map(decodePart).join('/') };
}

export function routeHash({ screen, rest }: Route): string {
  return rest === '' ? `#/${screen}` : `#/${screen}/${rest.split('/').map(encodeURIComponent).join('/')}`;
}

const decodePart = (part: string): string => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

const here = shallowRef<Route>(parseRoute(window.location.hash));
window.addEventListener('hashchange', () => (here.value = parseRoute(window.location.hash)));

/** The present address. */
export const route = computed(() => here.value);

/** Goes to a screen; with `replace` the way back does not stop here. */
export function goTo(to: Route, replace = false): void {
  const hash = routeHash(to);
  if (hash === window.location.hash) return;
  if (!replace) {
    window.location.hash = hash;
    return;
  }
  window.history.replaceState(null, '', hash);
  here.value = to;
}
