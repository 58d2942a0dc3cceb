import type { Failed, Grant, LedgerReply, Mail, PoolHint, TurnResult } from '../../policy/ledger/ops.ts';

/** What the script returns: Lua's JSON writes an empty array as {}, and hints as an object of flags. */
type RawResult =
  | { kind: 'stale' }
  | {
      kind: 'turned';
      nowMs: number;
      replies: RawReply[] | object;
      grants: Grant[] | object;
      mail?: RawMail;
      hints: Record<string, true>;
    };
type RawReply = LedgerReply | Failed;
interface RawMail {
  offers: Mail['offers'] | object;
  evictions: Mail['evictions'] | object;
}

/** Reads the script's reply into the form of the specification. */
export function decodeTurn(text: string): TurnResult {
  const raw = JSON.parse(text) as RawResult;
  if (raw.kind === 'stale') return raw;
  return {
    kind: 'turned',
    nowMs: raw.nowMs,
    replies: list<RawReply>(raw.replies).map(decodeReply),
    grants: list<Grant>(raw.grants),
    mail: raw.mail ? decodeMail(raw.mail) : { offers: [], evictions: [] },
    hints: Object.keys(raw.hints).sort() as PoolHint[],
  };
}

export function decodeMail(raw: RawMail): Mail {
  return { offers: list(raw.offers), evictions: list(raw.evictions) };
}

function decodeReply(reply: RawReply): RawReply {
  switch (reply.kind) {
    case 'beat': {
      const windows = list<(typeof reply.windows)[number]>(reply.windows);
      return { ...reply, positions: list(reply.positions), windows: windows.sort(byText((line) => line.objective)) };
    }
    case 'paused':
      return { ...reply, objectives: list<string>(reply.objectives).sort() };
    case 'listed':
      return { ...reply, tickets: list(reply.tickets) };
    case 'reasserted':
      return { ...reply, tickets: list(reply.tickets) };
    case 'outcomes':
      return { ...reply, stored: list(reply.stored) };
    case 'overdue':
    case 'outbox':
      return { ...reply, jobs: list(reply.jobs) };
    case 'snapshot': {
      const objectives = list<(typeof reply.objectives)[number]>(reply.objectives);
      const endpoints = list<(typeof reply.endpoints)[number]>(reply.endpoints);
      const lines = objectives.map((line) => ({
        ...line,
        deadlines: list<(typeof line.deadlines)[number]>(line.deadlines),
      }));
      return { ...reply, objectives: lines.sort(byText((line) => line.objective)), endpoints };
    }
    default:
      return reply;
  }
}

function list<T>(value: readonly T[] | object): T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

function byText<T>(textOf: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (textOf(a) < textOf(b) ? -1 : 1);
}
