/**
 * The arrows between the rooms (dependency-cruiser). Imports point one way:
 * renderer -> (types of) electron/host -> agent/rpc types -> agent, and inside the agent
 * cli, rpc -> cluster -> engine, mount -> pure rooms.
 */
const pure = '^agent/(conf|quorum|totem|tree|replica)/';
const pureAndShared = '^agent/((conf|quorum|totem|tree|replica)/|result\\.ts$)';

/** @param {string} name @param {string} comment @param {object} from @param {object} to */
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

module.exports = {
  forbidden: [
    forbid(
      'no-circles',
      'Two files that import each other are one file.',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    forbid('resolvable', 'Every import must resolve.', {}, { couldNotResolve: true }),
    forbid(
      'pure-rooms-have-no-edges',
      'A pure room imports pure rooms only: no node: module, no package.',
      { path: pure },
      { pathNot: [pureAndShared] },
    ),
    forbid(
      'engine-and-mount-rest-on-pure-rooms',
      'engine/ and mount/ do not know the rooms above them.',
      { path: '^agent/(engine|mount)/' },
      { path: '^agent/(cluster|cli|rpc)/' },
    ),
    forbid(
      'engine-does-not-know-mount',
      'A membership engine does not know the file system.',
      { path: '^agent/engine/' },
      { path: '^agent/mount/' },
    ),
    forbid(
      'cluster-is-below-cli-and-rpc',
      'Procedures do not know who calls them; rpc/api.ts holds the words they share.',
      { path: '^agent/cluster/' },
      { path: '^agent/(cli|rpc)/', pathNot: '^agent/rpc/api\\.ts$' },
    ),
    forbid(
      'agent-stands-alone',
      'The agent never imports the desktop.',
      { path: '^agent/' },
      { path: '^(electron|renderer|build|test)/' },
    ),
    forbid(
      'host-speaks-to-agents-by-rpc',
      'The desktop knows of the agent its rpc types, its pure rooms and the wire.',
      { path: '^electron/' },
      {
        path: '^agent/',
        pathNot: [
          '^agent/(conf|quorum)/',
          '^agent/totem/ids\\.ts$',
          '^agent/rpc/api\\.ts$',
          // Clusters without our agent are changed by the same rules: how an apply is planned and read back, what names may be.
          '^agent/cluster/(apply/(plan|trial)|procedure|rules)\\.ts$',
          '^agent/engine/(engine|read-back)\\.ts$',
          '^agent/mount/control\\.ts$',
          '^agent/json-lines\\.ts$',
          '^agent/result\\.ts$',
        ],
      },
    ),
    forbid(
      'host-does-not-know-renderer',
      'The host pushes state; it does not draw.',
      { path: '^electron/' },
      { path: '^renderer/' },
    ),
    forbid(
      'host-does-not-know-lab-inside',
      'The host sees a lab by its interface.',
      { path: '^electron/host/' },
      { path: '^electron/lab/', pathNot: '^electron/lab/lab\\.ts$' },
    ),
    forbid(
      'renderer-uses-one-interface',
      'The renderer knows the host by its types, and the conf language.',
      { path: '^renderer/' },
      {
        path: '^(electron|agent|build|test)/',
        pathNot: ['^electron/host/api\\.ts$', '^agent/(conf|quorum)/', '^agent/result\\.ts$'],
      },
    ),
    forbid(
      'renderer-takes-only-types-of-host',
      'No host code in the page.',
      { path: '^renderer/' },
      { path: '^electron/', dependencyTypesNot: ['type-only'] },
    ),
    forbid(
      'renderer-runs-in-a-browser',
      'No node: module in the page.',
      { path: '^renderer/', pathNot: '^renderer/vite\\.config\\.ts$' },
      { dependencyTypes: ['core'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|artefacts)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};
