import type { LiveTicket } from '../../core/live-order.ts';
import type { DeadLetter, DeadLetterAnswer, DeadLetterPage, PoolQueues, TicketExplained } from '../../core/queues.ts';
import { type Client, errorOf, expectJson } from '../client.ts';
import { findPool } from '../pools/find-pool.ts';

/** A pool whose queues could not be read says why. */
export type QueuesTold = PoolQueues | { readonly pool: string; readonly problem: string };

export interface DeadChoice {
  readonly objective?: string;
  readonly olderThan?: string;
}

export interface DeadAnswer {
  readonly answers: readonly DeadLetterAnswer[];
  readonly next: string | null;
}

/** The queues as the admin listener of a gateway tells them. Each call throws a CliError that says what to do. */
export interface QueueCalls {
  /** Null = the process that answers serves none. */
  all(): Promise<readonly QueuesTold[] | null>;
  /** Keys of the pools that `name` means; all of them without one. */
  pools(name?: string): Promise<readonly string[]>;
  tickets(pool: string, query: Readonly<Record<string, string>>): Promise<readonly LiveTicket[]>;
  explain(pool: string, id: string): Promise<TicketExplained>;
  setPaused(pool: string, objective: string, isPaused: boolean): Promise<PauseTold>;
  deadLetters(pool: string, query: Readonly<Record<string, string>>): Promise<DeadLetterPage>;
  /** Null = not a dead letter of this pool. */
  deadLetter(pool: string, id: string): Promise<DeadLetter | null>;
  orderDead(pool: string, verb: 'retry' | 'purge', body: object): Promise<DeadAnswer>;
}

export interface PauseTold {
  readonly pool: string;
  readonly objective: string;
  readonly paused: { readonly byPolicy: boolean; readonly byOperator: boolean };
}

/** A page of a hundred jobs is read, accepted again and synced. */
const ORDER_TIMEOUT_MS = 120_000;

export function queueCalls(client: Client, signal: AbortSignal): QueueCalls {
  const get = async (path: string): Promise<unknown> => expectJson(await client.send({ path, signal }));
  const post = async (path: string, body: object): Promise<unknown> => {
    const request = { method: 'POST', path, body: JSON.stringify(body), signal, timeoutMs: ORDER_TIMEOUT_MS } as const;
    return expectJson(await client.send(request));
  };
  const calls: QueueCalls = {
    async all() {
      const answer = await client.send({ path: '/queues', signal });
      if (answer.status === 404 && errorOf(answer)?.code === 'jobs_disabled') return null;
      return (expectJson(answer) as { readonly pools: readonly QueuesTold[] }).pools;
    },
    async pools(name) {
      const answer = (await get('/queues')) as { readonly pools: readonly QueuesTold[] };
      const keys = answer.pools.map(({ pool }) => ({ pool, policy: null }));
      if (name === undefined) return keys.map(({ pool }) => pool);
      return [findPool(name, keys, { where: client.url, namespace: null }).pool];
    },
    async tickets(pool, query) {
      const answer = await get(`${pathOf(pool)}/tickets?${new URLSearchParams(query).toString()}`);
      return (answer as { readonly tickets: readonly LiveTicket[] }).tickets;
    },
    async explain(pool, id) {
      return (await get(`${pathOf(pool)}/tickets/${encodeURIComponent(id)}`)) as TicketExplained;
    },
    async setPaused(pool, objective, isPaused) {
      const path = `${pathOf(pool)}/objectives/${encodeURIComponent(objective)}/${isPaused ? 'pause' : 'resume'}`;
      return (await post(path, {})) as PauseTold;
    },
    async deadLetters(pool, query) {
      return (await get(`${pathOf(pool)}/dead?${new URLSearchParams(query).toString()}`)) as DeadLetterPage;
    },
    async deadLetter(pool, id) {
      const answer = await client.send({ path: `${pathOf(pool)}/dead/${encodeURIComponent(id)}`, signal });
      if (answer.status === 404 && errorOf(answer)?.code === 'job_not_found') return null;
      return expectJson(answer) as DeadLetter;
    },
    async orderDead(pool, verb, body) {
      return (await post(`${pathOf(pool)}/dead/${verb}`, body)) as DeadAnswer;
    },
  };
  return calls;
}

function pathOf(pool: string): string {
  return `/queues/${pool.split('/').map(encodeURIComponent).join('/')}`;
}
