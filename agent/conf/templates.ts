/** Files to begin with: the examples of the chapter, in the present dialect. */
import { newConf, type NewNode } from './edits.ts';

export interface Template {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly text: string;
}

const node = (nodeId: number, name: string, ...addresses: string[]): NewNode => ({
  nodeId,
  name,
  votes: 1,
  addresses: addresses.map((address, link) => ({ link, address })),
});

const knet = { transport: 'knet', secauth: 'on' } as const;

export const TEMPLATES: readonly Template[] = [
  {
    id: 'hostnames',
    title: 'Three nodes, by host name',
    about: 'What a new cluster gets when no address is given. The names must resolve on every node.',
    text: newConf({
      ...knet,
      clusterName: 'testcluster',
      nodes: [node(1, 'uno', 'uno'), node(2, 'due', 'due'), node(3, 'tre', 'tre')],
    }),
  },
  {
    id: 'separate-network',
    title: 'Three nodes on a network of their own',
    about: 'Cluster traffic away from storage and guests, by plain addresses.',
    text: newConf({
      ...knet,
      clusterName: 'testcluster',
      nodes: [node(1, 'uno', '10.10.10.1'), node(2, 'due', '10.10.10.2'), node(3, 'tre', '10.10.10.3')],
    }),
  },
  {
    id: 'two-links',
    title: 'Two links',
    about: 'Two networks; one may fail. What the redundant rings of Corosync 2 were for.',
    text: newConf({
      ...knet,
      clusterName: 'tweak',
      nodes: [node(1, 'pvecm1', '10.10.10.1', '10.10.20.1'), node(2, 'pvecm2', '10.10.10.2', '10.10.20.2')],
    }).replace('provider: corosync_votequorum', 'provider: corosync_votequorum\n  two_node: 1'),
  },
];
