/** Edits as minimal changes of the text: what is meant changes, and no other line does. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  addLink,
  addNode,
  applyEdits,
  diagnose,
  foldings,
  isOldDialect,
  linksOf,
  model,
  moveNetwork,
  nameAt,
  outline,
  parse,
  removeKey,
  removeLink,
  removeNode,
  renameNode,
  rrpToKnet,
  setNodeKey,
  setValue,
  TEMPLATES,
} from '../../agent/conf/index.ts';
import { accidentalFile } from '../node/conf-accidents.ts';

const CONF = `# our cluster
totem {
  version: 2
  cluster_name: prod   
  config_version: 4
  interface {
    linknumber: 1
    knet_link_priority: 9
  }
}

nodelist {
\tnode {
\t\tname: alpha
\t\tnodeid: 1
\t\tring0_addr: alpha
\t\tring1_addr: 10.1.0.1
\t}
\tnode { 
\t\tname: beta
\t\tnodeid: 2
\t\tring0_addr: beta
\t\tring1_addr: 10.1.0.2
\t}
}
quorum {
  provider: corosync_votequorum
}
`;

const value = <T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T => {
  assert.ok(result.ok, result.ok ? '' : String(result.error));
  return result.value;
};
/** Lines of one text that are not in the other, in order. */
function differing(before: string, after: string): { gone: string[]; come: string[] } {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  const rest = [...fresh];
  const gone = old.filter((line) => {
    const at = rest.indexOf(line);
    if (at < 0) return true;
    rest.splice(at, 1);
    return false;
  });
  return { gone, come: rest };
}

describe('an edit', () => {
  test('sets a key where it stands, and keeps the blanks around it', () => {
    assert.deepEqual(differing(CONF, setValue(CONF, 'totem', 'cluster_name', 'test')), {
      gone: ['  cluster_name: prod   '],
      come: ['  cluster_name: test   '],
    });
  });

  test('raises the token in a file that has none, as its neighbours are indented', () => {
    assert.deepEqual(differing(CONF, setValue(CONF, 'totem', 'token', '5000')), { gone: [], come: ['  token: 5000'] });
  });

  test('makes a section that is not there', () => {
    assert.equal(setValue(CONF, 'logging', 'debug', 'on'), `${CONF}logging {\n  debug: on\n}\n`);
    assert.deepEqual(differing(CONF, setValue(CONF, 'quorum.device', 'model', 'net')).come, [
      '  device {',
      '    model: net',
      '  }',
    ]);
  });

  test('takes a key out, whole line', () => {
    assert.deepEqual(differing(CONF, removeKey(CONF, 'totem', 'version')), { gone: ['  version: 2'], come: [] });
  });

  test('sets the votes of one node', () => {
    const made = value(setNodeKey(CONF, 2, 'quorum_votes', '3'));
    assert.deepEqual(differing(CONF, made), { gone: [], come: ['\t\tquorum_votes: 3'] });
    assert.equal(model(parse(made)).nodelist[1]?.votes, 3);
  });

  test('adds a link to every node, or to none', () => {
    const both = new Map([
      [1, '10.2.0.1'],
      [2, '10.2.0.2'],
    ]);
    assert.deepEqual(differing(CONF, value(addLink(CONF, 2, both))), {
      gone: [],
      come: ['\t\tring2_addr: 10.2.0.1', '\t\tring2_addr: 10.2.0.2'],
    });
    const one = addLink(CONF, 2, new Map([[1, '10.2.0.1']]));
    assert.equal(one.ok ? '' : one.error, 'beta needs an address on link 2: every node needs one');
  });

  test('removes a link with its section, never the last', () => {
    const made = value(removeLink(CONF, 1));
    assert.deepEqual(linksOf(made), [0]);
    assert.doesNotMatch(made, /knet_link_priority/);
    const last = removeLink(made, 0);
    assert.match(last.ok ? '' : last.error, /is the only one/);
  });

  test('moves a network in two files that a running cluster takes one after the other', () => {
    const { first, second } = value(
      moveNetwork(
        CONF,
        0,
        new Map([
          [1, '10.5.0.1'],
          [2, '10.5.0.2'],
        ]),
      ),
    );
    assert.deepEqual(linksOf(first), [0, 1, 2]);
    assert.deepEqual(linksOf(second), [1, 2]);
    for (const file of [first, second]) assert.deepEqual(errors(file), []);
  });

  test('touches no other line, in any file', () => {
    for (let seed = 1; seed <= 400; seed += 1) {
      const text = accidentalFile(seed, 'alpha');
      const { gone, come } = differing(text, setValue(text, 'totem', 'token', '4321'));
      assert.ok(gone.length <= 1 && come.length <= 3, `seed ${seed}: ${JSON.stringify({ gone, come })}`);
      for (const result of [removeNode(text, 2), setNodeKey(text, 1, 'quorum_votes', '2'), removeLink(text, 1)]) {
        if (result.ok) assert.ok(differing(text, result.value).come.length <= 1, `seed ${seed}`);
      }
      const added = addNode(text, { nodeId: 77, name: 'new', votes: 1, addresses: [{ link: 0, address: '10.9.9.9' }] });
      if (added.ok) assert.deepEqual(differing(text, added.value).gone, [], `seed ${seed}`);
    }
  });
});

const errors = (text: string): string[] =>
  diagnose(text)
    .filter(({ severity }) => severity === 'error')
    .map(({ line, message }) => `${line}: ${message}`);

describe('renaming a node', () => {
  test('changes its name and the addresses that are its name, and nothing else', () => {
    const made = applyEdits(CONF, value(renameNode(CONF, 'alpha', 'gamma')));
    assert.deepEqual(differing(CONF, made), {
      gone: ['\t\tname: alpha', '\t\tring0_addr: alpha'],
      come: ['\t\tname: gamma', '\t\tring0_addr: gamma'],
    });
  });

  test('begins at the name, or at an address that is one', () => {
    assert.equal(nameAt(CONF, 14, 12)?.name, 'alpha');
    assert.equal(nameAt(CONF, 16, 16)?.name, 'alpha');
    assert.equal(nameAt(CONF, 17, 16), null);
  });

  test('is refused for a name that is taken or is none', () => {
    const refusal = (to: string): string => {
      const result = renameNode(CONF, 'alpha', to);
      return result.ok ? '' : result.error;
    };
    assert.equal(refusal('beta'), 'there is a node beta already');
    assert.match(refusal('al pha'), /is no host name/);
  });
});

describe('the outline', () => {
  test('names sections, links and nodes, with the lines they take', () => {
    const flat = outline(CONF).flatMap((item) => [item, ...item.children]);
    assert.deepEqual(
      flat.map(({ name, detail, line, endLine }) => `${name} ${detail} ${line}-${endLine}`),
      [
        'totem  2-10',
        'link 1  6-9',
        'nodelist 2 nodes 12-25',
        'alpha alpha, 10.1.0.1 13-18',
        'beta beta, 10.1.0.2 19-24',
        'quorum  26-28',
      ],
    );
    assert.deepEqual(
      foldings(`# one\n# two\n${CONF}`).find(({ comment }) => comment),
      { line: 1, endLine: 3, comment: true },
    );
  });
});

/** The chapter's own example of redundant rings, as Corosync 2 had them. */
const RRP = `totem {
  cluster_name: tweak
  config_version: 9
  ip_version: ipv4
  rrp_mode: passive
  secauth: on
  version: 2
  interface {
    bindnetaddr: 10.10.10.1
    ringnumber: 0
  }
  interface {
    bindnetaddr: 10.10.20.1
    ringnumber: 1
    mcastport: 5407
  }
}

nodelist {
  node {
    name: pvecm1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.10.10.1
    ring1_addr: 10.10.20.1
  }
  node {
    name: pvecm2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.10.10.2
    ring1_addr: 10.10.20.2
  }
}
`;

describe('the old dialect', () => {
  test('is known by its rings, and made into links of knet without touching another line', () => {
    assert.ok(isOldDialect(RRP));
    assert.ok(!isOldDialect(CONF));
    const { text, notes } = value(rrpToKnet(RRP));
    assert.ok(!isOldDialect(text));
    assert.deepEqual(errors(text), []);
    assert.deepEqual(differing(RRP, text), {
      gone: [
        '  rrp_mode: passive',
        '    bindnetaddr: 10.10.10.1',
        '    ringnumber: 0',
        '    bindnetaddr: 10.10.20.1',
        '    ringnumber: 1',
      ],
      come: ['    linknumber: 0', '    linknumber: 1', 'quorum {', '  provider: corosync_votequorum', '}'],
    });
    assert.match(notes.join(' '), /rrp_mode is taken out/);
  });

  test('a file without a nodelist cannot be converted, and the reason is said', () => {
    const result = rrpToKnet('totem {\n  version: 2\n  rrp_mode: passive\n}\n');
    assert.match(result.ok ? '' : result.error, /has no nodelist/);
  });
});

describe('templates', () => {
  for (const { id, text } of TEMPLATES) {
    test(`${id} is without an error`, () => assert.deepEqual(errors(text), []));
  }
});
