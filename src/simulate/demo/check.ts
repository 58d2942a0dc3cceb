import type { ChatFacts, RowFacts, RunFacts } from './facts.ts';

const EXAMPLES = 3;

/**
 * What the run broke of the promise that every accepted request has exactly one outcome, the right one: one sentence
 * each, none when all is well.
 */
export function brokenPromises(run: RunFacts): readonly string[] {
  return [
    ...aboutBatch(run),
    ...aboutRows(run),
    ...aboutLines(run),
    ...aboutChats(run),
    ...aboutCounts(run),
    ...aboutPool(run),
  ];
}

function aboutBatch({ batch, batchesMade, plannedRows }: RunFacts): string[] {
  if (plannedRows === 0) return [];
  if (batch === null) return [`the file of ${plannedRows} rows was never accepted as a batch`];
  const { status, total, why } = batch;
  return [
    ...(status === 'completed' ? [] : [`batch ${batch.id} is ${status}${why === null ? '' : `: ${why}`}`]),
    ...(total === plannedRows ? [] : [`the batch has ${total} rows, its file ${plannedRows}`]),
    ...(batchesMade === 1 ? [] : [`${batchesMade} batches were made of one file`]),
  ];
}

function aboutRows({ rows }: RunFacts): string[] {
  return [
    ...named(
      rows.filter(({ status }) => status === null),
      'accepted rows have no outcome',
    ),
    ...named(
      rows.filter(({ status }) => status === 'failed'),
      'rows did not complete',
    ),
    ...named(
      rows.filter(({ textIsRight }) => textIsRight === false),
      'rows have a wrong text',
    ),
  ];
}

function aboutLines({ batch, rows, lines: { repeated, strange, outOfOrder } }: RunFacts): string[] {
  const found = rows.filter(({ status }) => status === 'completed').length;
  const told = batch?.completed ?? 0;
  return [
    ...(repeated > 0 ? [`${repeated} lines of the output repeat a row`] : []),
    ...(strange > 0 ? [`${strange} lines of the output belong to no row of the input`] : []),
    ...(outOfOrder > 0 ? [`${outOfOrder} lines of the output are not in the order of the input`] : []),
    ...(told === found ? [] : [`the batch tells of ${told} completed rows, and the output has ${found}`]),
  ];
}

/** A chat that was cut is the one loss that is allowed, and only by the death of the process that held it. */
function aboutChats({ chats, plannedChats, serverDeaths }: RunFacts): string[] {
  const lost = chats.filter(({ outcome }) => outcome === 'failed' || (outcome === 'cut' && serverDeaths === 0));
  const indexes = new Set(chats.map(({ index }) => index));
  return [
    ...(indexes.size !== plannedChats || chats.length !== plannedChats
      ? [`${plannedChats} chats were begun and ${chats.length} have an outcome`]
      : []),
    ...lost.map(({ index, error }) => `chat ${index + 1} failed: ${error ?? 'without a reason'}`),
    ...wrongTexts(chats),
  ];
}

function wrongTexts(chats: readonly ChatFacts[]): string[] {
  return chats
    .filter(({ textIsRight }) => textIsRight === false)
    .map(({ index }) => `chat ${index + 1} got a wrong text`);
}

/** Without a death the server's own counts must agree; a dead process takes its last counts with it. */
function aboutCounts({ rows, chats, settled, serverDeaths }: RunFacts): string[] {
  if (serverDeaths > 0) return [];
  const completedRows = rows.filter(({ status }) => status === 'completed').length;
  const heldChats = chats.filter(({ outcome }) => outcome !== 'refused').length;
  return [
    ...(settled.completedRows !== completedRows
      ? [`the server completed ${settled.completedRows} rows, and the output has ${completedRows}`]
      : []),
    ...(settled.chats !== heldChats ? [`the server settled ${settled.chats} chats and took ${heldChats}`] : []),
  ];
}

function aboutPool({ poolIsAtZero }: RunFacts): string[] {
  return poolIsAtZero ? [] : ['the pool did not go back to zero in time'];
}

function named(rows: readonly RowFacts[], what: string): string[] {
  if (rows.length === 0) return [];
  const examples = rows.slice(0, EXAMPLES).map(({ id }) => id);
  return [`${rows.length} ${what}: ${examples.join(', ')}${rows.length > EXAMPLES ? ', …' : ''}`];
}
