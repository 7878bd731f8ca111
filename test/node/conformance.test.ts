/** The contract of conformance.ts on the bundled engine and on real Corosync, with the transports that both have. */
import { existsSync } from 'node:fs';
import { conformance } from './conformance.ts';
import { whyNoNamespaces } from './namespaces.ts';

const noCorosync =
  whyNoNamespaces || (existsSync('/usr/sbin/corosync') ? false : "Debian's package corosync is not installed");

conformance(
  'the bundled engine over udpu, encrypted',
  { engine: 'totem', transport: 'udpu', encrypted: true, links: 1 },
  whyNoNamespaces,
);
conformance(
  'the bundled engine over knet with two links, encrypted',
  { engine: 'totem', transport: 'knet', encrypted: true, links: 2 },
  whyNoNamespaces,
);
conformance(
  'Corosync over knet with two links, encrypted',
  { engine: 'corosync', transport: 'knet', encrypted: true, links: 2 },
  noCorosync,
);
conformance('Corosync over udpu', { engine: 'corosync', transport: 'udpu', encrypted: false, links: 1 }, noCorosync);
