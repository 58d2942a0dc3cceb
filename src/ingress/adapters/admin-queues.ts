import { type Express, json, type Request, type Response } from 'express';
import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { CatalogSource } from '../../core/objects.ts';
import type { DeadLetterAnswer, DeadLetterDesk, PoolQueues, QueueDesk, QueueDesks } from '../../core/queues.ts';
import {
  orderCursor,
  parseDeadOrder,
  parseDeadQuery,
  parseTicketQuery,
  type QueryFields,
} from '../policy/queue-request.ts';
import { shown } from '../policy/fields.ts';
import type { AdminAuthorizer } from '../ports.ts';
import {
  type AskedPool,
  askedPool,
  type PolicyVerb,
  type PoolRequest,
  refusedType,
  type SendError,
} from './admin-pools.ts';

export interface AdminQueuesDeps {
  readonly authorizer: AdminAuthorizer;
  readonly catalog: CatalogSource;
  /** Null or absent: this process serves none. */
  readonly queues?: QueueDesks | null;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Params {
  readonly namespace: string;
  readonly name: string;
  readonly id: string;
  readonly objective: string;
}

interface Asked extends AskedPool {
  readonly desk: QueueDesk;
  readonly params: Params;
  readonly req: Request;
}

type Answer = Readonly<Record<string, unknown>> | PilotlightError;

/** A page of a hundred ids. */
const MAX_BODY_BYTES = 65_536;
const NO_QUEUES = 'This process serves no queues; ask the admin listener of a gateway.';

/** What waits, why, and what failed, of the pools that this process serves; and what an operator does about it. */
export function addQueueRoutes(app: Express, deps: AdminQueuesDeps, sendError: SendError): void {
  const { clock } = deps;
  const at =
    (verb: PolicyVerb, handle: (asked: Asked) => Promise<Answer>) =>
    async (req: Request, res: Response): Promise<void> => {
      const answer = await answerOf(deps, verb, req, handle);
      if (answer instanceof PilotlightError) sendError(res, answer);
      else res.json(answer);
    };
  const root = '/queues/:namespace/:name';
  app.get('/queues', async (req: Request, res: Response) => {
    const answer = await allQueues(deps, req);
    if (answer instanceof PilotlightError) sendError(res, answer);
    else res.json(answer);
  });
  app.get(
    root,
    at('get', async ({ desk }) => ({ object: 'queue', ...(await desk.look()) })),
  );
  app.get(
    `${root}/tickets`,
    at('get', async ({ desk, pool, req }) => {
      const query = parseTicketQuery(queryOf(req));
      if (query instanceof PilotlightError) return query;
      const tickets = await desk.tickets(query);
      return { object: 'tickets', pool: pool.key, nowEpochMs: clock.epochMs(), tickets };
    }),
  );
  app.get(
    `${root}/tickets/:id`,
    at('get', async ({ desk, params }) => ({
      object: 'ticket',
      nowEpochMs: clock.epochMs(),
      ...(await desk.explain(params.id)),
    })),
  );
  app.get(
    `${root}/dead`,
    at('get', async (asked) => {
      const query = parseDeadQuery(queryOf(asked.req), clock.epochMs());
      if (query instanceof PilotlightError) return query;
      return { object: 'dead_letters', pool: asked.pool.key, ...(await deadOf(asked).list(query)) };
    }),
  );
  app.get(
    `${root}/dead/:id`,
    at('get', async (asked) => {
      const letter = await deadOf(asked).show(asked.params.id);
      return letter ? { object: 'dead_letter', pool: asked.pool.key, ...letter } : notDead(asked);
    }),
  );
  const readJson = json({ limit: MAX_BODY_BYTES, type: 'application/json', strict: false });
  for (const verb of ['pause', 'resume'] as const) {
    app.post(
      `${root}/objectives/:objective/${verb}`,
      readJson,
      at('pause', (asked) => setPaused(deps, asked, verb === 'pause')),
    );
  }
  for (const verb of ['retry', 'purge'] as const) {
    app.post(
      `${root}/dead/${verb}`,
      readJson,
      at(verb, (asked) => orderDead(deps, asked, verb)),
    );
  }
}

async function answerOf(
  deps: AdminQueuesDeps,
  verb: PolicyVerb,
  req: Request,
  handle: (asked: Asked) => Promise<Answer>,
): Promise<Answer> {
  const params = req.params as unknown as Params;
  const pool = await askedPool(deps, req as PoolRequest, verb);
  if (pool instanceof PilotlightError) return pool;
  const notJson = req.method === 'POST' ? refusedType(req) : null;
  if (notJson) return notJson;
  const desk = deps.queues?.(pool.pool.key);
  if (!desk) return new PilotlightError('jobs_disabled', NO_QUEUES);
  try {
    return await handle({ ...pool, desk, params, req });
  } catch (thrown) {
    if (thrown instanceof PilotlightError) return thrown;
    throw thrown;
  }
}

/** The queues of those namespaces whose policies the caller may list; a pool whose ledger does not answer says so. */
async function allQueues({ authorizer, catalog, queues, log }: AdminQueuesDeps, req: Request): Promise<Answer> {
  if (!queues) return new PilotlightError('jobs_disabled', NO_QUEUES);
  const pools = [...catalog.current().pools.values()];
  const visible = new Set<string>();
  let refusal: PilotlightError | null = null;
  for (const namespace of new Set(pools.map((pool) => pool.namespace))) {
    const action = { kind: 'policy', verb: 'list', namespace, name: null } as const;
    const allowed = await authorizer.authorize(req.headers, action);
    if (!(allowed instanceof PilotlightError)) visible.add(namespace);
    else if (allowed.code === 'admin_forbidden') refusal ??= allowed;
    else return allowed;
  }
  if (visible.size === 0 && refusal) return refusal;
  const looks = await Promise.all(
    pools
      .filter(({ namespace }) => visible.has(namespace))
      .map(async ({ key }): Promise<PoolQueues | { readonly pool: string; readonly problem: string } | null> => {
        try {
          return (await queues(key)?.look()) ?? null;
        } catch (thrown) {
          if (!(thrown instanceof PilotlightError)) {
            log.error({ pool: key, error: asError(thrown).name }, 'queues.look_failed');
          }
          return { pool: key, problem: thrown instanceof PilotlightError ? thrown.message : 'It cannot be read.' };
        }
      }),
  );
  return { object: 'queues', pools: looks.filter((look) => look !== null) };
}

async function setPaused({ log }: AdminQueuesDeps, asked: Asked, isPaused: boolean): Promise<Answer> {
  const { desk, pool, by } = asked;
  const { objective } = asked.params;
  await desk.setPaused(objective, isPaused);
  log.info({ pool: pool.key, objective, by }, isPaused ? 'objective.paused' : 'objective.resumed');
  const now = (await desk.look()).objectives.find((one) => one.objective === objective);
  const paused = now?.paused ?? { byPolicy: false, byOperator: isPaused };
  return { object: 'objective', pool: pool.key, objective, paused };
}

async function orderDead({ clock, log }: AdminQueuesDeps, asked: Asked, verb: 'retry' | 'purge'): Promise<Answer> {
  const order = parseDeadOrder(asked.req.body, clock.epochMs());
  if (order instanceof PilotlightError) return order;
  const dead = deadOf(asked);
  const page = order.kind === 'page' ? await dead.list(order.query) : null;
  const ids = order.kind === 'ids' ? order.ids : (page?.letters ?? []).map(({ id }) => id);
  const answers = verb === 'retry' ? await dead.retry(ids) : await dead.purge(ids);
  const { pool, by } = asked;
  const count = (kind: DeadLetterAnswer['kind']) => answers.filter((answer) => answer.kind === kind).length;
  const done = count('retried') + count('purged');
  if (ids.length > 0) {
    const told = { pool: pool.key, by, done, refused: count('refused'), unknown: count('not_dead'), ids };
    log.info(told, verb === 'retry' ? 'dead_letters.retried' : 'dead_letters.purged');
  }
  const next = order.kind === 'page' ? orderCursor(page?.next ?? null, order.query.endedBeforeEpochMs) : null;
  return { object: 'dead_letters.order', pool: pool.key, verb, done, answers, next };
}

/** Express is told not to parse it; a name that is given twice is a list. */
function queryOf({ originalUrl }: Pick<Request, 'originalUrl'>): QueryFields {
  const start = originalUrl.indexOf('?');
  const given = new URLSearchParams(start < 0 ? '' : originalUrl.slice(start + 1));
  return Object.fromEntries(
    [...new Set(given.keys())].map((name) => {
      const values = given.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}

function deadOf({ desk }: Asked): DeadLetterDesk {
  if (desk.deadLetters) return desk.deadLetters;
  throw new PilotlightError('jobs_disabled', 'This process keeps no stored jobs; ask a gateway with jobs.enabled.');
}

function notDead({ params, pool }: Asked): PilotlightError {
  const message = `Pool ${pool.key} has no dead letter '${shown(params.id)}'.`;
  return new PilotlightError('job_not_found', message, { param: 'id' });
}
