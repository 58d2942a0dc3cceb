import { assign } from './assign.ts';
import type { Ok, SetRulesOp } from './ops.ts';
import type { Turn } from './turn.ts';

/** Replaces the rules. They are kept through incarnations, as endpoints are. */
export function setRules(turn: Turn, op: SetRulesOp): Ok {
  const { rules } = turn.state;
  rules.clear();
  for (const line of op.rules) rules.set(line.objective, line);
  assign(turn);
  return { kind: 'ok' };
}
