import type { BatchDoc, BatchJournal } from '../ports.ts';

/** Conflicts in a row that are met by asking again; each of them means that somebody else got one further. */
const MAX_CONFLICTS = 20;

/**
 * Writes the change that `change` makes of the newest generation. Returns what the batch is afterwards: changed, or (where
 * `change` answers null) as it is. Never writes a change that was made of an older generation.
 */
export async function advance(
  journal: BatchJournal,
  doc: BatchDoc,
  change: (current: BatchDoc) => BatchDoc | null,
): Promise<{ readonly doc: BatchDoc; readonly isChanged: boolean }> {
  let current = doc;
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
    const next = change(current);
    if (next === null) return { doc: current, isChanged: false };
    const answer = await journal.advance(next);
    if (answer.kind === 'advanced') return { doc: next, isChanged: true };
    current = answer.current;
  }
  throw new Error(`batch ${doc.id} changed ${MAX_CONFLICTS} times while one change of it was written`);
}
