/** The ring under faults, five to nine nodes. */
import { seedsHold } from './seeds.ts';

seedsHold(5, 200);
seedsHold(6, 90);
seedsHold(7, 60);
seedsHold(8, 40);
seedsHold(9, 30);
