import type { BootResult } from './boot-tracker.ts';
import { type Breaker, bootFailed, closedBreaker } from './breaker.ts';
import { addBoot, type BootHistory } from './cold-start.ts';

/** What is known of every replica template, over all pools. */
export interface Templates {
  readonly boots: BootHistory;
  readonly breakers: ReadonlyMap<string, Breaker>;
}

const KEPT_BREAKERS = 500;

/** The knowledge after one more boot: a Ready is remembered and closes the breaker, a failure counts towards it. */
export function learnBoot(templates: Templates, result: BootResult, nowMs: number): Templates {
  const others = [...templates.breakers].filter(([hash]) => hash !== result.templateHash).slice(-(KEPT_BREAKERS - 1));
  if (result.kind === 'ready') {
    return { boots: addBoot(templates.boots, result.templateHash, result.boot), breakers: new Map(others) };
  }
  const breaker = bootFailed(breakerOf(templates, result.templateHash), result.message, nowMs, result.permanent);
  return { boots: templates.boots, breakers: new Map([...others, [result.templateHash, breaker]]) };
}

export function breakerOf(templates: Templates, templateHash: string): Breaker {
  return templates.breakers.get(templateHash) ?? closedBreaker;
}
