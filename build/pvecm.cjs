#!/usr/bin/env node
/** `npx pvecm ...` in this project: the command line of the agent, run from its sources. */
const { join } = require('node:path');

process.argv.splice(2, 0, join(__dirname, '..', 'agent', 'cli', 'main.ts'), 'pvecm');
require('./runtime.cjs');
