import type { DeadLetterAnswer } from '../../core/queues.ts';
import type { CliContext } from '../context.ts';
import { startProgress } from '../submit/progress.ts';
import type { DeadChoice, QueueCalls } from './queue-calls.ts';

/** As many as the admin listener takes at one time. */
const PAGE = 100;

export interface DeadOrder {
  readonly calls: QueueCalls;
  readonly context: CliContext;
  readonly verb: 'retry' | 'purge';
  readonly pools: readonly string[];
}

/** Retries or purges the named jobs, whichever of the pools they are in. */
export async function orderIds(order: DeadOrder, ids: readonly string[]): Promise<readonly DeadLetterAnswer[]> {
  const { calls, context, verb, pools } = order;
  const wanted = [...new Set(ids)];
  const progress = await startProgress(context, labelOf(verb), wanted.length, 0);
  const answers: DeadLetterAnswer[] = [];
  try {
    for (let start = 0; start < wanted.length; start += PAGE) {
      let open: readonly string[] = wanted.slice(start, start + PAGE);
      for (const [place, pool] of pools.entries()) {
        if (open.length === 0) break;
        const page = await calls.orderDead(pool, verb, { ids: open });
        const isLast = place === pools.length - 1;
        const told = page.answers.filter(({ kind }) => kind !== 'not_dead' || isLast);
        answers.push(...told);
        for (const _ of told) progress.step();
        open = page.answers.filter(({ kind }) => kind === 'not_dead').map(({ id }) => id);
      }
    }
  } finally {
    progress.stop();
  }
  return answers;
}

/** Retries or purges all that the choice takes in, page by page. */
export async function orderChosen(order: DeadOrder, choice: DeadChoice): Promise<readonly DeadLetterAnswer[]> {
  const { calls, context, verb, pools } = order;
  const progress = await startProgress(context, labelOf(verb), await atMost(calls, pools, choice), 0);
  const answers: DeadLetterAnswer[] = [];
  try {
    for (const pool of pools) {
      let after: string | null = null;
      do {
        const body = { ...choice, all: true, limit: PAGE, ...(after !== null && { after }) };
        const page = await calls.orderDead(pool, verb, body);
        answers.push(...page.answers);
        for (const _ of page.answers) progress.step();
        after = page.next;
      } while (after !== null);
    }
  } finally {
    progress.stop();
  }
  return answers;
}

async function atMost(calls: QueueCalls, pools: readonly string[], { objective }: DeadChoice): Promise<number> {
  const told = (await calls.all()) ?? [];
  return told
    .filter(({ pool }) => pools.includes(pool))
    .flatMap((queues) => ('problem' in queues ? [] : queues.objectives))
    .filter((queue) => objective === undefined || queue.objective === objective)
    .reduce((sum, { deadLetters }) => sum + (deadLetters ?? 0), 0);
}

function labelOf(verb: 'retry' | 'purge'): string {
  return verb === 'retry' ? 'retried' : 'purged';
}
