import type { RuleLine } from './ops.ts';
import { shareRules } from './rules.ts';
import type { LedgerState } from './state.ts';

/** Percent times tokens: what is owed to a share that nobody could serve does not grow without end. */
const MAX_DEBT = 100 * 100_000;

/**
 * Counts tokens that were granted to a ticket that had to wait, or takes them back (below 0). Every objective with a
 * guaranteed share earns that percent of them, and pays for its own. It earns nothing up while nothing of it waits, and
 * owes at most the tokens of its last grant, so that an earlier hour of plenty does not cost it the share of this one.
 */
export function account(state: LedgerState, objective: string, tokens: number): void {
  for (const rule of shareRules(state)) {
    const book = state.books.get(rule.objective);
    if (book === undefined) continue;
    const isOwn = rule.objective === objective;
    let debt = book.shareDebt + rule.guaranteedSharePercent * tokens - (isOwn ? 100 * tokens : 0);
    if (isOwn && tokens > 0) debt = Math.max(debt, -100 * tokens);
    if (!hasRunnable(state, rule.objective)) debt = Math.min(debt, 0);
    book.shareDebt = Math.max(-MAX_DEBT, Math.min(MAX_DEBT, debt));
  }
}

/** Objectives to which tokens are owed, the largest debt first. */
export function inDebt(state: LedgerState): string[] {
  const debt = (rule: RuleLine) => state.books.get(rule.objective)?.shareDebt ?? 0;
  const owed = shareRules(state).filter((rule) => debt(rule) > 0);
  return owed.sort((a, b) => debt(b) - debt(a)).map(({ objective }) => objective);
}

function hasRunnable(state: LedgerState, lane: string): boolean {
  return state.queueOrder.ids().some((key) => state.queues.get(key)?.lane === lane);
}
