import { POLICY_CONDITIONS, type PolicyCondition, type PolicyConditionType } from '../../core/policy-status.ts';
import { BOOT_TROUBLES, type BootTrouble, type PoolStatus, type Replica } from '../../core/replicas.ts';
import { lastingWords } from './lasting-words.ts';
import type { MissingRight, PolicyFacts, PoolFacts, TargetFacts, Verdict, Verdicts } from './policy-facts.ts';

export type Finding = Pick<PolicyCondition, 'status' | 'reason' | 'message'>;

const LONGEST_MESSAGE_CHARS = 1_024;
const MOST_LISTED = 5;

/** What holds of each condition now. */
export function findings(facts: PolicyFacts, nowEpochMs: number): Readonly<Record<PolicyConditionType, Finding>> {
  return {
    ...verdictFindings(facts),
    ...(facts.resolvedRefs.status === true ? targetRefs(facts.pool) : {}),
    Ready: ready(facts),
    CapacityAvailable: capacity(facts, nowEpochMs),
    ReplicasOwned: replicasOwned(facts),
    Permitted: permitted(facts),
    TrafficManaged: trafficManaged(facts),
    InSync: inSync(facts),
  };
}

/** As the API keeps them: the time of a condition changes with its status, and with nothing else. */
export function conditions(
  found: Partial<Readonly<Record<PolicyConditionType, Finding>>>,
  before: readonly PolicyCondition[],
  { generation, nowEpochMs }: { readonly generation: number; readonly nowEpochMs: number },
): readonly PolicyCondition[] {
  return POLICY_CONDITIONS.flatMap((type) => {
    const finding = found[type];
    if (finding === undefined) return [];
    const { status, reason } = finding;
    const last = before.find((condition) => condition.type === type);
    const message = lastingWords(last?.message, clip(finding.message));
    const lastTransitionTime = last?.status === status ? last.lastTransitionTime : rfc3339(nowEpochMs);
    return [{ type, status, reason, message, observedGeneration: generation, lastTransitionTime }];
  });
}

/** The two conditions that come from reading an object. */
export function verdictFindings({ accepted, resolvedRefs }: Verdicts): Record<'Accepted' | 'ResolvedRefs', Finding> {
  return { Accepted: verdictFinding(accepted), ResolvedRefs: verdictFinding(resolvedRefs) };
}

function verdictFinding({ status, reason, message }: Verdict): Finding {
  return { status: status === null ? 'Unknown' : status ? 'True' : 'False', reason, message };
}

/** Whole seconds, as metav1.Time. */
export function rfc3339(epochMs: number): string {
  return new Date(Math.floor(epochMs / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
}

/** What the targets themselves name. */
function targetRefs(pool: PoolFacts | null): { readonly ResolvedRefs?: Finding } {
  const said = ofTargets(pool, 'ResolvedRefs');
  return said === null ? {} : { ResolvedRefs: said };
}

function ready({ accepted, pool }: PolicyFacts): Finding {
  if (accepted.status === false) return no('NotAccepted', 'The policy has no effect; condition Accepted says why.');
  if (pool === null) return unknown('Starting', 'The controller has not looked at the pool yet.');
  const { phase, replicas, blockedWhy } = pool.status;
  const serving = replicas.filter((replica) => replica.phase === 'Ready').length;
  if (serving > 0) {
    const paused = phase === 'Paused' ? ' The pool is paused: replicas stay as they are.' : '';
    return well('Serving', `${count(serving, 'replica')} of ${replicas.length} ready.${paused}`);
  }
  switch (phase) {
    case 'Paused':
      return no(
        'Paused',
        'The pool is paused and no replica is ready: resume it (spec.paused, or `pilotlight resume`).',
      );
    case 'Stalled':
      return no('Stalled', sentence(blockedWhy ?? 'no capacity can come'));
    case 'Draining':
      return no('Draining', 'The last replicas finish what they run; queued work wakes the pool again.');
    case 'Asleep':
      return well('Asleep', 'At zero; the next call that may wake the pool does.');
    case 'Waking':
    case 'Ready':
      return no('Waking', 'No replica is ready yet; nextReadyAt says when the next one is expected.');
  }
}

function capacity(facts: PolicyFacts, nowEpochMs: number): Finding {
  const { pool } = facts;
  if (pool === null) return notManaged(facts);
  const open = pool.targets
    .filter(({ breaker }) => breaker?.isOpen === true)
    .map((target) => breakerSentence(target, nowEpochMs));
  const said = ofTargets(pool, 'CapacityAvailable');
  if (said !== null) return no(said.reason, [said.message, ...open].join(' '));
  const trouble = worstTrouble(pool.status.replicas);
  if (trouble !== null) {
    const { kind, message } = trouble.trouble;
    const same = pool.status.replicas.filter((replica) => replica.trouble?.kind === kind).length;
    return no(kind, [`${count(same, 'replica')} of ${trouble.target}: ${sentence(message)}`, ...open].join(' '));
  }
  return open.length > 0 ? no('BreakerOpen', open.join(' ')) : well('Available', 'Nothing keeps replicas from coming.');
}

function breakerSentence({ name, breaker }: TargetFacts, nowEpochMs: number): string {
  const retryInMs = breaker?.retryInMs ?? null;
  const isDue = retryInMs !== null && retryInMs <= 0;
  const at = retryInMs === null || isDue ? '' : ` The next try is at ${rfc3339(nowEpochMs + retryInMs)}.`;
  const retry = isDue ? ' The next try is due.' : at;
  const last = breaker?.message == null ? '' : ` (${breaker.message})`;
  return `The last ${breaker?.failures ?? 0} boots of target ${name} failed${last}: correct its template, a new one is tried at once.${retry}`;
}

type Troubled = Replica & { readonly trouble: BootTrouble };

/** What people must mend first: what is permanent, then what holds orders back. */
function worstTrouble(replicas: readonly Replica[]): Troubled | null {
  const rank = ({ trouble }: Troubled): number =>
    (trouble.permanent ? 0 : 200) + (trouble.blocksOrders ? 0 : 100) + BOOT_TROUBLES.indexOf(trouble.kind);
  const troubled = replicas.filter((replica): replica is Troubled => replica.trouble !== null);
  return troubled.toSorted((a, b) => rank(a) - rank(b))[0] ?? null;
}

function replicasOwned(facts: PolicyFacts): Finding {
  const { pool, observes } = facts;
  if (pool === null) return notManaged(facts);
  const said = ofTargets(pool, 'ReplicasOwned');
  if (said !== null) return said;
  return observes
    ? well('Observing', 'Mode Observe: decisions are reported and never written.')
    : well('SoleWriter', 'Nobody else is seen to scale its workloads.');
}

function permitted({ pool, missingRights }: PolicyFacts): Finding {
  if (missingRights !== null && missingRights.length > 0) {
    const listed = missingRights.slice(0, MOST_LISTED).map(rightWords).join(', ');
    const more = missingRights.length > MOST_LISTED ? ` and ${missingRights.length - MOST_LISTED} more` : '';
    return no('RightsMissing', `The controller ${listed}${more}: add it to the Role of its ServiceAccount.`);
  }
  const said = ofTargets(pool, 'Permitted');
  if (said !== null) return said;
  return missingRights === null
    ? unknown('NotChecked', 'The rights of the controller were not checked yet.')
    : well('RightsComplete', 'No right is missing.');
}

function rightWords({ verb, resource, namespace, message }: MissingRight): string {
  if (message !== undefined) return message;
  return `cannot ${verb} ${resource} in ${namespace === null ? 'the cluster' : `namespace ${namespace}`}`;
}

function trafficManaged(facts: PolicyFacts): Finding {
  if (facts.pool === null) return notManaged(facts);
  const bypass = facts.pool.status.bypassTraffic ?? null;
  if (bypass === null) return well('ThroughPilotlight', 'No request was seen that did not come through Pilotlight.');
  const what = `Its engines run ${count(bypass.requests, 'request')} that did not come through Pilotlight (since ${rfc3339(bypass.sinceEpochMs)})`;
  return no(
    'BypassTraffic',
    `${what}: send that traffic through Pilotlight; until it ends the replica that runs it is kept.`,
  );
}

function inSync({ redisWhy, feeds, pool }: PolicyFacts): Finding {
  const stays = 'Replicas stay as they are until then.';
  if (redisWhy !== null) {
    return no(
      'RedisUnreachable',
      `Redis does not answer (${redisWhy}), so the demand is not known: check Redis. ${stays}`,
    );
  }
  const stale = feeds.find(({ freshness }) => freshness.state === 'stale');
  if (stale !== undefined) {
    const { why, heardAtEpochMs } = stale.freshness;
    const since = heardAtEpochMs === null ? 'never' : `last at ${rfc3339(heardAtEpochMs)}`;
    return no(
      'ApiServerStale',
      `${stale.resource} were heard of ${since}: ${sentence(why ?? 'the API server does not answer')} ${stays}`,
    );
  }
  const absent = feeds.find(({ freshness }) => freshness.state === 'absent');
  if (absent !== undefined) {
    const why = absent.freshness.why ?? 'install its CRD';
    return no('ResourceMissing', `The API server does not know ${absent.resource}: ${sentence(why)}`);
  }
  const frozen: PoolStatus['frozen'] = pool?.status.frozen;
  if (frozen != null) {
    const reason = frozen.source === 'ledger' ? 'DemandUnknown' : 'ReplicasUnknown';
    return no(reason, `${sentence(frozen.why)} ${stays} (since ${rfc3339(frozen.sinceEpochMs)})`);
  }
  const syncing = feeds.find(({ freshness }) => freshness.state === 'syncing');
  if (syncing !== undefined) return unknown('Syncing', `${syncing.resource} are being listed for the first time.`);
  return well('InSync', 'Everything that a decision needs is known and new.');
}

/** The conditions of its targets that are not well, together; null = all are. */
function ofTargets(pool: PoolFacts | null, type: PolicyConditionType): Finding | null {
  const said = (pool?.targets ?? []).flatMap(({ name, state }) =>
    (state?.conditions ?? [])
      .filter((condition) => condition.type === type && !condition.status)
      .map(({ reason, message }) => ({ reason, text: `target ${name}: ${sentence(message)}` })),
  );
  const [first] = said;
  return first === undefined ? null : no(first.reason, said.map(({ text }) => text).join(' '));
}

function notManaged({ accepted }: PolicyFacts): Finding {
  const why =
    accepted.status === false ? 'The policy has no effect; see Accepted.' : 'The controller has not looked yet.';
  return unknown('NotManaged', why);
}

function well(reason: string, message: string): Finding {
  return { status: 'True', reason, message };
}

function no(reason: string, message: string): Finding {
  return { status: 'False', reason, message };
}

function unknown(reason: string, message: string): Finding {
  return { status: 'Unknown', reason, message };
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

function clip(text: string): string {
  return text.length <= LONGEST_MESSAGE_CHARS ? text : `${text.slice(0, LONGEST_MESSAGE_CHARS - 1)}…`;
}
