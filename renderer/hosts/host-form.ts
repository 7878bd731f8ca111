/** What the user types to add a host, and what is wrong with it. Pure. */
import type { HostAddress } from '../../electron/host/api.ts';

export interface HostForm {
  address: string;
  port: string;
  user: string;
  identityFile: string;
  name: string;
}

export const emptyForm = (): HostForm => ({ address: '', port: '22', user: 'root', identityFile: '', name: '' });

export type HostProblems = Partial<Record<keyof HostForm, string>>;

/** One sentence for each field that is not right; nothing for the others. */
export function hostProblems({ address, port, user }: HostForm): HostProblems {
  const problems: HostProblems = {};
  const typed = address.trim();
  if (typed === '') problems.address = 'Give a host name or an IP address.';
  else if (typed.startsWith('-')) problems.address = 'An address does not begin with a dash.';
  else if (!/^[A-Za-z0-9._:%[\]-]+$/.test(typed)) {
    problems.address = typed.includes('@')
      ? 'Put the user in its own field; here goes the address alone.'
      : 'A host name or an IP address has no spaces or special characters.';
  }
  const number = Number(port.trim());
  if (!/^\d+$/.test(port.trim()) || number < 1 || number > 65535) problems.port = 'From 1 to 65535.';
  if (!/^(?:[A-Za-z0-9_][A-Za-z0-9._\\@-]*)?$/.test(user.trim())) {
    problems.user = 'That holds a character that no user name has.';
  }
  return problems;
}

/** For a form without problems. */
export function hostOf({ address, port, user, identityFile, name }: HostForm): HostAddress {
  return {
    name: name.trim(),
    address: address.trim(),
    port: Number(port.trim()),
    user: user.trim(),
    identityFile: identityFile.trim() === '' ? null : identityFile.trim(),
  };
}

/** `root@10.0.0.5:2222` pasted into the address field, taken apart; null when it is a plain address. */
export function takeApart(typed: string): Pick<HostForm, 'address' | 'port' | 'user'> | null {
  const found = /^(?:ssh\s+)?([^\s@:]+)@([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::(\d+))?$/.exec(typed.trim());
  if (found === null) return null;
  const [, user = '', address = '', port = '22'] = found;
  return { user, address: address.replace(/^\[|\]$/g, ''), port };
}
