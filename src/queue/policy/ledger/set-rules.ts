import { assign } from './assign.ts';
import { replaceAll } from './moves.ts';
import type { Ok, RuleLine, SetRulesOp } from './ops.ts';
import { doesAnyAge, laneOf } from './rules.ts';
import type { Turn } from './turn.ts';

/** Replaces the rules, which are kept through incarnations. Where tickets stand otherwise now, they are moved. */
export function setRules(turn: Turn, op: SetRulesOp): Ok {
  const { state } = turn;
  const before = new Map(state.rules);
  const lanes = new Map([...before.keys()].map((objective) => [objective, laneOf(state, objective)]));
  state.rules.clear();
  for (const line of op.rules) state.rules.set(line.objective, line);
  if (!doesAnyAge(state)) state.aging.clear();
  for (const objective of new Set([...before.keys(), ...state.rules.keys()])) {
    const isSame =
      placing(before.get(objective)) === placing(state.rules.get(objective)) &&
      (lanes.get(objective) ?? '') === laneOf(state, objective);
    if (!isSame) replaceAll(state, objective);
  }
  assign(turn);
  return { kind: 'ok' };
}

function placing(rule: RuleLine | undefined): string {
  return rule === undefined ? '0 false' : `${rule.agingMs} ${rule.paused}`;
}
