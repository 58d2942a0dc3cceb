import { PilotlightError } from '../../core/errors.ts';
import type { PoolOrder } from '../../core/pool-orders.ts';
import { formatDuration, parseDuration } from '../../core/units.ts';
import { missing, wrongType, wrongValue } from './fields.ts';
import { isJsonObject, type JsonObject } from './json-body.ts';

/** What can be ordered for a pool: POST /pools/NAMESPACE/NAME/… on the admin listener. */
export const ORDER_VERBS = ['wake', 'drain', 'pause', 'resume'] as const;
export type OrderVerb = (typeof ORDER_VERBS)[number];

const FIELDS: Readonly<Record<OrderVerb, readonly string[]>> = {
  wake: ['for', 'replicas'],
  drain: ['for'],
  pause: [],
  resume: [],
};

/** Nobody remembers an order that is older; what shall hold for longer belongs into the policy. */
const LONGEST_ORDER_MS = 7 * 86_400_000;
const MOST_REPLICAS = 1_000;

/** The change that a body asks for. `maxReplicas`: what the pool's targets allow together. */
export function parseOrder(
  verb: OrderVerb,
  body: unknown,
  { nowEpochMs, maxReplicas }: { readonly nowEpochMs: number; readonly maxReplicas: number },
): Partial<PoolOrder> | PilotlightError {
  const fields = body ?? {};
  if (!isJsonObject(fields)) return wrongType('body', 'an object', fields);
  const unknown = Object.keys(fields).find((name) => !FIELDS[verb].includes(name));
  if (unknown !== undefined) {
    const known =
      FIELDS[verb].length > 0 ? `it has ${FIELDS[verb].map((name) => `'${name}'`).join(' and ')}` : 'it has none';
    return wrongValue(unknown.slice(0, 64), `'${verb}' has no such field; ${known}`);
  }
  if (verb === 'pause' || verb === 'resume') return { paused: verb === 'pause' };
  const forMs = orderedTime(fields);
  if (forMs instanceof PilotlightError) return forMs;
  const untilEpochMs = forMs === 0 ? null : nowEpochMs + forMs;
  if (verb === 'drain') return { drainUntilEpochMs: untilEpochMs };
  const wakeReplicas = orderedReplicas(fields, maxReplicas);
  if (wakeReplicas instanceof PilotlightError) return wakeReplicas;
  return untilEpochMs === null ? { wakeUntilEpochMs: null } : { wakeUntilEpochMs: untilEpochMs, wakeReplicas };
}

function orderedTime(fields: JsonObject): number | PilotlightError {
  const written = fields['for'];
  if (written === undefined) return missing('for');
  if (typeof written !== 'string') return wrongType('for', 'a duration like "30m"', written);
  const parsed = parseDuration(written.slice(0, 64));
  if (!parsed.ok) return wrongValue('for', parsed.problem);
  if (parsed.value <= LONGEST_ORDER_MS) return parsed.value;
  return wrongValue('for', `must be at most ${formatDuration(LONGEST_ORDER_MS)}; for longer change the ScalePolicy`);
}

function orderedReplicas(fields: JsonObject, maxReplicas: number): number | PilotlightError {
  const wanted = fields['replicas'] ?? 1;
  if (typeof wanted !== 'number' || !Number.isInteger(wanted)) return wrongType('replicas', 'an integer', wanted);
  if (wanted < 1 || wanted > MOST_REPLICAS) return wrongValue('replicas', `must be from 1 to ${MOST_REPLICAS}`);
  if (wanted <= maxReplicas) return wanted;
  return wrongValue('replicas', `the pool's targets allow ${maxReplicas} together (maxReplicas)`);
}

/** An order as the admin listener shows it; what has passed is null. Times are RFC 3339. */
export function orderObject(pool: string, order: PoolOrder, nowEpochMs: number): Record<string, unknown> {
  const ahead = (untilEpochMs: number | null) =>
    untilEpochMs !== null && untilEpochMs > nowEpochMs ? untilEpochMs : null;
  const wakeUntil = ahead(order.wakeUntilEpochMs);
  const drainUntil = ahead(order.drainUntilEpochMs);
  return {
    pool,
    wake: wakeUntil === null ? null : { until: timeText(wakeUntil), replicas: order.wakeReplicas },
    drain: drainUntil === null ? null : { until: timeText(drainUntil) },
    paused: order.paused,
    by: order.by,
  };
}

function timeText(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
