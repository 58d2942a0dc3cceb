import type { LiveTicket, WaitReason } from '../../core/live-order.ts';
import type { BacklogCounts, DeadLetter, ObjectiveQueue, TicketExplained } from '../../core/queues.ts';
import { formatBytes, formatDuration } from '../../core/units.ts';
import { table } from '../render/table.ts';
import type { QueuesTold } from './queue-calls.ts';

export const REASON_TEXTS: Readonly<Record<WaitReason, string>> = {
  paused: 'its objective is paused',
  no_capacity: 'the pool has no open slot: it sleeps or boots',
  no_endpoint_for_class: 'no open endpoint serves its adapter, or all that do have failed it',
  tenant_concurrency: 'its tenant runs as many requests as it may',
  reserved: 'the free slots are kept for a higher band',
  owner_silent: 'the gateway that has it does not answer',
  order: 'others are before it',
};

/** What waits, for each objective. Ends with a newline. */
export function renderQueues(pools: readonly QueuesTold[]): string {
  const rows = pools.flatMap((told) =>
    'problem' in told ? [[told.pool, told.problem]] : told.objectives.map((queue) => row(told.pool, queue)),
  );
  if (rows.length === 0) return 'nothing waits or runs, and no objective is configured\n';
  const head = ['POOL', 'OBJECTIVE', 'PRIORITY', 'HELD', 'IN ORDER', 'STORED', 'RUNNING', 'BYTES', 'OLDEST'];
  return `${plain([...head, 'BACKLOG', 'DEAD', 'PAUSED'], rows)}\n`;
}

function row(pool: string, queue: ObjectiveQueue): readonly string[] {
  return [
    pool,
    queue.objective,
    String(queue.priority),
    String(queue.waitingHeld),
    String(queue.waitingStored),
    String(queue.stored),
    String(queue.running),
    formatBytes(queue.bytes),
    queue.oldestWaitMs === null ? '' : formatDuration(queue.oldestWaitMs),
    backlog(queue),
    queue.deadLetters === null ? '' : String(queue.deadLetters),
    pausedBy(queue),
  ];
}

/** "12 jobs, 3 chunks": entries that nobody has claimed. */
function backlog({ jobs, chunks }: ObjectiveQueue): string {
  const unclaimed = ({ waiting, delayed }: BacklogCounts): number => waiting + delayed;
  const parts = [
    ...(unclaimed(jobs) > 0 ? [`${unclaimed(jobs)} ${unclaimed(jobs) === 1 ? 'job' : 'jobs'}`] : []),
    ...(unclaimed(chunks) > 0 ? [`${unclaimed(chunks)} ${unclaimed(chunks) === 1 ? 'chunk' : 'chunks'}`] : []),
  ];
  return parts.join(', ') || '0';
}

function pausedBy({ paused, jobs, chunks }: ObjectiveQueue): string {
  return [
    ...(paused.byOperator ? ['by an operator'] : []),
    ...(paused.byPolicy ? ['by its policy'] : []),
    ...(jobs.isPaused || chunks.isPaused ? ['in BullMQ'] : []),
  ].join(', ');
}

/** Tickets of one pool: what waits by its position, then the rest as it came. */
export function inTurn<T extends Pick<LiveTicket, 'position'>>(tickets: readonly T[]): readonly T[] {
  const place = ({ position }: T): number => position ?? Number.MAX_SAFE_INTEGER;
  return tickets.toSorted((left, right) => place(left) - place(right));
}

/** The live order, one ticket a line. Ends with a newline. */
export function renderTickets(
  tickets: readonly (LiveTicket & { readonly pool: string })[],
  { nowEpochMs, isChosen }: { readonly nowEpochMs: number; readonly isChosen: boolean },
): string {
  if (tickets.length === 0) {
    return `${isChosen ? 'no such request' : 'nothing'} is in the live order; stored work may wait in the backlog\n`;
  }
  const rows = tickets.map((ticket) => [
    ticket.id,
    ticket.pool,
    ticket.objective,
    ticket.fairnessId,
    ticket.kind,
    ticket.state,
    ticket.position === null ? '' : String(ticket.position),
    formatDuration(Math.max(0, nowEpochMs - ticket.queuedAtEpochMs)),
    ticket.reason ?? ticket.endpointId ?? '',
  ]);
  const head = ['ID', 'POOL', 'OBJECTIVE', 'TENANT', 'KIND', 'STATE', 'POSITION', 'SINCE', 'WHY OR WHERE'];
  return `${plain(head, rows)}\n`;
}

/** Where one request is and what it waits for, in sentences. Ends with a newline. */
export function renderExplained({ id, pool, place, job }: TicketExplained, nowEpochMs: number): string {
  const ago = (epochMs: number): string => `${formatDuration(Math.max(0, nowEpochMs - epochMs))} ago`;
  const who =
    job === null
      ? []
      : [`a job of tenant ${job.tenant} with objective ${job.objective}, accepted ${ago(job.acceptedAtEpochMs)}`];
  return `${[`${id} in ${pool}: ${placeText({ place, nowEpochMs, id })}`, ...who].join('\n  ')}\n`;
}

function placeText({
  place,
  nowEpochMs,
  id,
}: Pick<TicketExplained, 'place' | 'id'> & { readonly nowEpochMs: number }): string {
  const ago = (epochMs: number): string => `${formatDuration(Math.max(0, nowEpochMs - epochMs))} ago`;
  switch (place.kind) {
    case 'live':
      return liveText(place.ticket, ago);
    case 'backlog':
      return place.isPaused
        ? 'it waits in the backlog, whose queue is paused in BullMQ (by Bull Board, for example); resume it there'
        : 'it waits in the backlog; a gateway takes it in when slots are or soon will be open';
    case 'delayed':
      return `it waits in the backlog and is not looked at for ${formatDuration(Math.max(0, place.untilEpochMs - nowEpochMs))}`;
    case 'claimed':
      return 'a gateway has just claimed it, or is ending it';
    case 'missing':
      return 'it is accepted and not in the backlog: somebody removed it there. Put it back: pilotlight reconcile';
    case 'dead_letter':
      return (
        `it failed ${ago(place.letter.endedAtEpochMs)} after ${place.letter.attempts} attempts (${place.letter.code ?? 'no code'}); ` +
        `again: pilotlight queue dead retry ${id}`
      );
    case 'ended':
      return `it ended ${ago(place.endedAtEpochMs)}: ${place.outcome.kind}${place.outcome.code === null ? '' : ` (${place.outcome.code})`}`;
    case 'unknown':
      return 'nobody knows it: it is not in the live order, and no stored job of this pool';
  }
}

function liveText(ticket: LiveTicket, ago: (epochMs: number) => string): string {
  const since = `in the live order since ${ago(ticket.queuedAtEpochMs)}, at ${ticket.owner}`;
  if (ticket.state === 'running')
    return `it runs on ${ticket.endpointId ?? 'an endpoint'}, attempt ${ticket.attempt}; ${since}`;
  if (ticket.state === 'recording') return `it has run and its result is being kept; ${since}`;
  if (ticket.state === 'offered') return `a slot of ${ticket.endpointId ?? 'an endpoint'} is offered to it; ${since}`;
  const why = ticket.reason === null ? '' : `, because ${REASON_TEXTS[ticket.reason]}`;
  const before = ticket.position === null ? '' : `, about ${ticket.position} before it`;
  return `it waits for a slot${why}${before}; ${since}`;
}

/** Dead letters, one a line. Ends with a newline. */
export function renderDeadLetters(
  letters: readonly (DeadLetter & { readonly pool: string })[],
  nowEpochMs: number,
): string {
  if (letters.length === 0) return 'no dead letters\n';
  const rows = letters.map((letter) => [
    letter.id,
    letter.pool,
    letter.objective,
    letter.tenant,
    letter.code ?? '',
    String(letter.attempts),
    `${formatDuration(Math.max(0, nowEpochMs - letter.endedAtEpochMs))} ago`,
    formatDuration(Math.max(0, letter.keptUntilEpochMs - nowEpochMs)),
  ]);
  return `${plain(['ID', 'POOL', 'OBJECTIVE', 'TENANT', 'WHY', 'ATTEMPTS', 'FAILED', 'KEPT FOR'], rows)}\n`;
}

/** Without the empty line that stands before a table within a text. */
function plain(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return table(head, rows).trimStart();
}
