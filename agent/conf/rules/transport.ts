/** Which transport the reader of the file takes it to name. */
import { bundledTransport } from '../bundled.ts';
import { model } from '../model.ts';
import type { Subject } from './report.ts';

export const transportOf = ({ document, dialect }: Pick<Subject, 'document' | 'dialect'>): string =>
  (dialect === 'ringmaster' ? bundledTransport(document) : null) ?? model(document).totem.transport ?? 'knet';
