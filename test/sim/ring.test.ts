/** The ring under faults, few nodes: every seed is one run, and every invariant holds in each. */
import { seedsHold } from './seeds.ts';

seedsHold(2, 700);
seedsHold(3, 600);
seedsHold(4, 300);
