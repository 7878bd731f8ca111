/**
 * The keys of corosync.conf: where they stand, what they may hold, and what changing one takes. Facts
 * from corosync.conf(5) and votequorum(5) and from trying them on Corosync 3.1.7; the words are ours.
 */

export type KeyType =
  | { readonly kind: 'text' }
  | { readonly kind: 'address' }
  | { readonly kind: 'number'; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly values: readonly string[] };

/** What a running cluster does with a changed value. */
export type KeyEffect = 'live' | 'restart' | 'none';

export interface KeyFact {
  readonly section: string;
  readonly name: string;
  readonly type: KeyType;
  readonly effect: KeyEffect;
  readonly about: string;
  /** The default in words; null when there is none. */
  readonly standard: string | null;
}

const U8 = 255;
const U16 = 65_535;
const U32 = 4_294_967_295;

const text: KeyType = { kind: 'text' };
const address: KeyType = { kind: 'address' };
const number = (max: number, min = 0): KeyType => ({ kind: 'number', min, max });
const choice = (...values: string[]): KeyType => ({ kind: 'choice', values });
const yesNo = choice('yes', 'no', 'on', 'off');

type Row = readonly [name: string, type: KeyType, effect: KeyEffect, standard: string | null, about: string];

const TOTEM: readonly Row[] = [
  ['version', number(U32), 'restart', null, 'Format of the file: always 2.'],
  ['cluster_name', text, 'restart', null, 'Name of the cluster. All nodes must have the same.'],
  [
    'config_version',
    number(Number.MAX_SAFE_INTEGER),
    'none',
    '0',
    'Edition of the file. Raised with every change; a node with an older one does not join.',
  ],
  [
    'transport',
    choice('knet', 'udpu', 'udp'),
    'restart',
    'knet',
    'How packets travel: knet (several links, encryption), udpu (unicast), udp (multicast).',
  ],
  [
    'secauth',
    choice('on', 'off'),
    'live',
    'off',
    'Authenticates and encrypts every packet with the cluster key. Any word but "on" means off.',
  ],
  [
    'crypto_cipher',
    choice('none', 'aes128', 'aes192', 'aes256'),
    'live',
    'none',
    'Cipher of every packet. Needs a crypto_hash.',
  ],
  [
    'crypto_hash',
    choice('none', 'md5', 'sha1', 'sha256', 'sha384', 'sha512'),
    'live',
    'none',
    'Hash that authenticates every packet.',
  ],
  ['crypto_model', choice('nss', 'openssl'), 'live', 'nss', 'Library that does the cryptography.'],
  ['keyfile', text, 'live', '/etc/corosync/authkey', 'File with the cluster key.'],
  ['key', text, 'live', null, 'The cluster key itself; readable for everybody who may read this file.'],
  [
    'ip_version',
    choice('ipv4', 'ipv6', 'ipv4-6', 'ipv6-4'),
    'restart',
    'ipv6-4',
    'Which addresses names are resolved to, and in which order.',
  ],
  [
    'link_mode',
    choice('passive', 'active', 'rr'),
    'restart',
    'passive',
    'Which links carry a packet: the best one, all, or each in turn.',
  ],
  [
    'token',
    number(U32),
    'live',
    '3000',
    'Milliseconds of silence after which a node counts as lost. Longer tolerates more, notices later.',
  ],
  [
    'token_coefficient',
    number(U32),
    'live',
    '650',
    'Milliseconds added to the token timeout for each node beyond the second.',
  ],
  ['token_warning', number(100), 'live', '75', 'Warns when the token took this per cent of its timeout.'],
  ['token_retransmit', number(U32), 'live', 'from token', 'Milliseconds until the token is sent again.'],
  [
    'token_retransmits_before_loss_const',
    number(U32),
    'live',
    '4',
    'How often the token is sent again before it counts as lost.',
  ],
  ['hold', number(U32), 'live', 'from token_retransmit', 'Milliseconds for which an idle ring holds the token.'],
  ['join', number(U32), 'live', '50', 'Milliseconds between join messages while a ring is formed.'],
  ['send_join', number(U32), 'live', '0', 'Largest random delay of a join message in milliseconds.'],
  [
    'consensus',
    number(U32),
    'live',
    '1.2 * token',
    'Milliseconds to wait for agreement before a new round. At least 1.2 * token.',
  ],
  ['merge', number(U32), 'live', '200', 'Milliseconds between checks for another part of the cluster.'],
  ['downcheck', number(U32), 'live', '1000', 'Milliseconds until a lost network interface is looked at again.'],
  [
    'fail_recv_const',
    number(U32),
    'live',
    '2500',
    'Token rotations without a message that should have come, until a new ring is formed.',
  ],
  ['seqno_unchanged_const', number(U32), 'live', '30', 'Idle token rotations before the ring rests.'],
  ['heartbeat_failures_allowed', number(U32), 'live', '0', 'Heartbeats that may be missed; 0 switches them off.'],
  ['max_network_delay', number(U32), 'live', '50', 'Largest delay of the network in milliseconds.'],
  ['window_size', number(U32), 'live', '50', 'Most messages in one rotation of the token.'],
  ['max_messages', number(U32), 'live', '17', 'Most messages one node sends per token.'],
  ['miss_count_const', number(U32), 'live', '5', 'Times a message may be asked for again.'],
  ['netmtu', number(U32), 'restart', '1500', 'Largest packet in bytes.'],
  ['knet_pmtud_interval', number(U32), 'live', '30', 'Seconds between measurements of the path MTU.'],
  ['knet_mtu', number(U32), 'live', '0', 'Largest knet packet in bytes; 0 measures it.'],
  [
    'knet_compression_model',
    choice('zlib', 'lz4', 'lz4hc', 'lzo2', 'lzma', 'bzip2', 'zstd'),
    'live',
    'none',
    'Compression of packets.',
  ],
  ['knet_compression_threshold', number(U32), 'live', '0', 'Packets of fewer bytes are not compressed.'],
  ['knet_compression_level', number(2_147_483_647, -2_147_483_648), 'live', '0', 'How hard to compress.'],
  [
    'block_unlisted_ips',
    choice('yes', 'no'),
    'live',
    'yes',
    'Drops packets from addresses that are not in the nodelist.',
  ],
  [
    'cancel_token_hold_on_retransmit',
    choice('yes', 'no'),
    'live',
    'no',
    'An idle ring moves on at once when a message is missing.',
  ],
  ['clear_node_high_bit', choice('yes', 'no'), 'restart', 'no', 'Keeps automatic node ids below 2^31.'],
  ['nodeid', number(U32), 'none', null, 'Node id of this machine. Not read any more: it belongs into the nodelist.'],
  ['threads', number(U32), 'none', '0', 'Threads for encryption. Without effect in Corosync 3.'],
  [
    'rrp_mode',
    choice('none', 'active', 'passive'),
    'none',
    null,
    'Redundant rings of Corosync 2. Corosync 3 does not read it: use knet with several links.',
  ],
  ['vsftype', text, 'none', null, 'Of Corosync 1. Not read any more.'],
  ...[
    'rrp_problem_count_timeout',
    'rrp_problem_count_threshold',
    'rrp_problem_count_mcast_threshold',
    'rrp_token_expired_timeout',
    'rrp_autorecovery_check_timeout',
  ].map((name): Row => [
    name,
    number(U32),
    'none',
    null,
    'Of the redundant rings of Corosync 2. Without effect in Corosync 3.',
  ]),
];

const INTERFACE: readonly Row[] = [
  ['linknumber', number(7), 'live', '0', 'The link this section is about.'],
  [
    'ringnumber',
    text,
    'none',
    null,
    'Name of linknumber in Corosync 2. Corosync 3 ignores it and takes the section for link 0.',
  ],
  ['bindnetaddr', address, 'restart', null, 'Network to bind to. Not needed with a nodelist.'],
  ['mcastaddr', address, 'restart', null, 'Multicast address, for transport udp.'],
  ['mcastport', number(U16), 'restart', '5405 + linknumber', 'UDP port of the link.'],
  ['ttl', number(U8), 'restart', '1', 'Hops of multicast packets, for transport udp.'],
  ['broadcast', choice('yes', 'no'), 'restart', 'no', 'Broadcast instead of multicast, for transport udp.'],
  ['knet_link_priority', number(U8), 'live', '1', 'Of links that work, passive mode takes the highest.'],
  ['knet_ping_interval', number(U32), 'live', 'from token', 'Milliseconds between probes of the link.'],
  ['knet_ping_timeout', number(U32), 'live', 'from token', 'Milliseconds after which a probe counts as lost.'],
  ['knet_ping_precision', number(U32), 'live', '2048', 'Probes over which latency is averaged.'],
  ['knet_pong_count', number(U32), 'live', '2', 'Answers needed before a link counts as up.'],
  ['knet_transport', choice('udp', 'sctp'), 'restart', 'udp', 'Protocol of the link.'],
];

const NODE: readonly Row[] = [
  ['name', text, 'live', null, 'Name of the node; best its host name.'],
  ['nodeid', number(U32, 1), 'restart', null, 'Number of the node, unique in the cluster.'],
  ['quorum_votes', number(U32), 'live', '1', 'Votes of the node.'],
  ...Array.from({ length: 8 }, (_, link): Row => [
    `ring${link}_addr`,
    address,
    'restart',
    null,
    `Address of the node on link ${link}.`,
  ]),
];

const FLAG = number(U8);
const QUORUM: readonly Row[] = [
  ['provider', choice('corosync_votequorum'), 'restart', null, 'What counts votes. Without it there is no quorum.'],
  [
    'expected_votes',
    number(U32),
    'live',
    'the votes of all nodes',
    'Votes of the whole cluster. Best left out: then the nodelist counts.',
  ],
  ['two_node', FLAG, 'live', '0', 'For exactly two nodes: either may go on alone after both have met.'],
  ['wait_for_all', FLAG, 'restart', '0', 'After a start of the whole cluster, no quorum until all nodes have met.'],
  ['auto_tie_breaker', FLAG, 'restart', '0', 'Of two equal halves, the one with the lowest node id goes on.'],
  ['auto_tie_breaker_node', text, 'restart', 'lowest', 'Which node breaks the tie.'],
  ['last_man_standing', FLAG, 'restart', '0', 'Expected votes follow the nodes that are left.'],
  ['last_man_standing_window', number(U32), 'restart', '10000', 'Milliseconds before they do.'],
  ['allow_downscale', FLAG, 'restart', '0', 'A node that leaves in an orderly way lowers the expected votes.'],
  ['expected_votes_tracking', FLAG, 'restart', '0', 'Remembers the highest number of votes seen.'],
  ['votes', number(U32), 'live', null, 'Votes of this node; better quorum_votes in the nodelist.'],
  ['leaving_timeout', number(U32), 'restart', '10000', 'Milliseconds for which a node that leaves still counts.'],
];

const LEVELS = choice('alert', 'crit', 'debug', 'emerg', 'err', 'info', 'notice', 'warning');
/** As libqb knows them (qblog.h). */
const FACILITIES = choice(
  ...['auth', 'authpriv', 'cron', 'daemon', 'ftp', 'kern', 'lpr', 'mail', 'news', 'syslog', 'user', 'uucp'],
  ...['local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'],
);
const LOGGING: readonly Row[] = [
  ['to_stderr', yesNo, 'live', 'yes', 'Writes the log to standard error.'],
  ['to_syslog', yesNo, 'live', 'yes', 'Writes the log to syslog.'],
  ['to_logfile', yesNo, 'live', 'no', 'Writes the log to a file.'],
  ['to_file', yesNo, 'live', null, 'Older name of to_logfile.'],
  ['logfile', text, 'live', null, 'The file.'],
  ['logfile_priority', LEVELS, 'live', 'info', 'What goes to the file.'],
  ['syslog_priority', LEVELS, 'live', 'info', 'What goes to syslog.'],
  ['syslog_facility', FACILITIES, 'live', 'daemon', 'Facility of syslog.'],
  ['debug', choice('on', 'off', 'trace'), 'live', 'off', 'Much more in the log.'],
  ['timestamp', choice('on', 'off', 'hires'), 'live', 'hires', 'Time stamps in the log.'],
  ['syslog_level', LEVELS, 'live', null, 'Older name of syslog_priority.'],
  ['tags', text, 'none', null, 'Of Corosync 1. Not read any more.'],
  ['fileline', choice('on', 'off'), 'live', 'off', 'Source lines in the log.'],
  ['function_name', choice('on', 'off'), 'live', 'off', 'Function names in the log.'],
  ['blackbox', choice('on', 'off'), 'live', 'on', 'Keeps the newest messages in memory.'],
];

const SYSTEM: readonly Row[] = [
  ['qb_ipc_type', choice('native', 'shm', 'socket'), 'restart', 'native', 'How programs talk to Corosync.'],
  ['sched_rr', choice('yes', 'no'), 'restart', 'yes', 'Real-time scheduling.'],
  ['priority', text, 'restart', '0', 'Scheduling priority.'],
  [
    'move_to_root_cgroup',
    choice('yes', 'no', 'auto'),
    'restart',
    'auto',
    'Leaves the control group it was started in.',
  ],
  ['allow_knet_handle_fallback', choice('yes', 'no'), 'restart', 'no', 'Goes on without privileged operations.'],
  ['state_dir', text, 'restart', '/var/lib/corosync', 'Where it keeps its state.'],
];

const DEVICE: readonly Row[] = [
  ['model', choice('net'), 'live', null, 'Kind of the quorum device.'],
  ['votes', number(U32), 'live', 'nodes - 1', 'Votes of the quorum device.'],
  ['timeout', number(U32), 'live', '10000', 'Milliseconds without word from the device until its votes are gone.'],
  ['sync_timeout', number(U32), 'live', '30000', 'The same while a ring is formed.'],
  ['master_wins', number(U8), 'live', '0', 'The part with the device wins.'],
];

/** Read by corosync-qdevice, which has its own checks; Corosync looks at none of it. */
const DEVICE_NET: readonly Row[] = [
  ['host', text, 'live', null, 'Host of the quorum device daemon (corosync-qnetd).'],
  ['port', number(U16), 'live', '5403', 'Its TCP port.'],
  [
    'algorithm',
    choice('ffsplit', 'lms', 'test', '2nodelms'),
    'live',
    null,
    'Which part of a split cluster it votes for.',
  ],
  ['tie_breaker', text, 'live', 'lowest', 'Of equal parts, the one with this node: lowest, highest or a node id.'],
  ['tls', choice('on', 'off', 'required'), 'live', 'on', 'Encrypts the connection to it.'],
  ['connect_timeout', number(U32), 'live', '0.8 * timeout', 'Milliseconds to connect.'],
  ['force_ip_version', choice('0', '4', '6'), 'live', '0', 'Which addresses its name is resolved to.'],
  [
    'keep_active_partition_tie_breaker',
    choice('on', 'off'),
    'live',
    'off',
    'Of equal parts, the one that was active stays.',
  ],
];

const DEVICE_HEURISTICS: readonly Row[] = [
  ['mode', choice('on', 'sync', 'off'), 'live', 'off', 'When the commands of exec_NAME are run.'],
  ['timeout', number(U32), 'live', '0.5 * timeout', 'Milliseconds a command may take.'],
  ['sync_timeout', number(U32), 'live', '0.5 * sync_timeout', 'The same while a ring is formed.'],
  ['interval', number(U32), 'live', '3 * timeout', 'Milliseconds between runs.'],
];

const MONITORED: readonly Row[] = [
  ['recovery', choice('none', 'reboot', 'shutdown'), 'live', 'none', 'What is done when the limit is passed.'],
  ['max', text, 'live', null, 'The limit.'],
  ['poll_period', number(Number.MAX_SAFE_INTEGER), 'live', '3000', 'Milliseconds between looks.'],
];

const facts = (section: string, rows: readonly Row[]): KeyFact[] =>
  rows.map(([name, type, effect, standard, about]) => ({ section, name, type, effect, standard, about }));

export const KEYS: readonly KeyFact[] = [
  ...facts('totem', TOTEM),
  ...facts('totem.interface', INTERFACE),
  ...facts('nodelist.node', NODE),
  ...facts('quorum', QUORUM),
  ...facts('quorum.device', DEVICE),
  ...facts('quorum.device.net', DEVICE_NET),
  ...facts('quorum.device.heuristics', DEVICE_HEURISTICS),
  ...facts('logging', LOGGING),
  ...facts('logging.logging_daemon', [
    ...LOGGING,
    ['name', text, 'live', null, 'The daemon this section is about.'],
    ['subsys', text, 'live', null, 'The part of it.'],
  ]),
  ...facts('resources.system.memory_used', MONITORED),
  ...facts('resources.system.load_15min', MONITORED),
  ...facts('nozzle', [
    ['name', text, 'live', null, 'Name of the network interface, for instance noz0.'],
    ['ipaddr', text, 'live', null, 'Its address; the node id takes the place of the host part.'],
    ['ipprefix', text, 'live', null, 'Length of its network prefix.'],
    ['macaddr', text, 'live', null, 'First part of its hardware address.'],
  ]),
  ...facts('logging.logger_subsys', [
    ...LOGGING,
    ['subsys', text, 'live', null, 'The part of Corosync this section is about.'],
  ]),
  ...facts('system', SYSTEM),
  ...facts('uidgid', [
    ['uid', text, 'live', null, 'A user who may talk to Corosync.'],
    ['gid', text, 'live', null, 'A group that may talk to Corosync.'],
  ]),
  ...facts('resources', [
    ['watchdog_device', text, 'restart', 'off', 'The watchdog.'],
    ['watchdog_timeout', number(U32), 'restart', '6', 'Seconds until it bites.'],
  ]),
];

/** Sections that Corosync knows, and what they are about. Those below are in it where they hold keys of their own. */
export const SECTIONS: Readonly<Record<string, string>> = {
  totem: 'The ring: name of the cluster, transport, encryption, timeouts.',
  'totem.interface': 'One link: its port and its options.',
  nodelist: 'The nodes of the cluster.',
  'nodelist.node': 'One node: name, number, votes, addresses.',
  quorum: 'How votes are counted.',
  'quorum.device': 'A quorum device outside of the cluster.',
  logging: 'Where the log goes and what is in it.',
  'logging.logger_subsys': 'Logging of one part of Corosync.',
  'logging.logging_daemon': 'Logging of one daemon.',
  system: 'How the process runs.',
  uidgid: 'Who else may talk to Corosync.',
  resources: 'Watchdog and monitored resources.',
  nozzle: 'A network interface over the ring.',
};

/** Sections whose keys are other programs' business. */
const OPEN_SECTIONS = ['quorum.device.', 'resources.', 'nozzle', 'pload', 'service', 'amf', 'aisexec', 'event'];
export const isOpenSection = (path: string): boolean =>
  OPEN_SECTIONS.some((prefix) => path === prefix || path.startsWith(prefix));

export const keyFact = (section: string, name: string): KeyFact | null =>
  KEYS.find((fact) => fact.section === section && fact.name === name) ?? null;
export const keysOf = (section: string): KeyFact[] => KEYS.filter((fact) => fact.section === section);
