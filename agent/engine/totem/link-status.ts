/** What the links know, as the engine's status tells it. */
import type { PathStatus } from '../../totem/links/link-types.ts';
import type { LinkStatus } from '../engine.ts';

/** `clock`: milliseconds since 1970 at the zero of the links' own clock. */
export function linkStatuses(paths: readonly PathStatus[], clock: number): LinkStatus[] {
  return paths.map(({ link, peer, address, state, since, latencyUs, mtu, failures }) => ({
    ...{ link, peer, address, state, failures, mtu },
    connected: state === 'up',
    since: Math.round(clock + since),
    latencyUs: latencyUs === null ? null : Math.round(latencyUs),
  }));
}
