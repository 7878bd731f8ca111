/** Runs inside a node: `node probe.ts SECTION...` prints what came of each row, one JSON document a line. */
import { attributes } from './attributes.ts';
import { directories } from './directories.ts';
import { io } from './io.ts';
import { attempt, type Section } from './kit.ts';
import { noQuorum, prepareNoQuorum } from './no-quorum.ts';
import { room, sizes } from './sizes.ts';
import { guests, locks, virtual } from './virtual.ts';

const sections: Readonly<Record<string, Section>> = {
  sizes,
  room,
  directories,
  attributes,
  io,
  virtual,
  guests,
  locks,
  prepareNoQuorum,
  noQuorum,
};

for (const name of process.argv.slice(2)) {
  const section = sections[name];
  if (section === undefined) throw new Error(`there is no section ${name}`);
  for (const { row, expected, run } of section.rows)
    process.stdout.write(`${JSON.stringify({ section: section.section, row, expected, got: attempt(run) })}\n`);
}
