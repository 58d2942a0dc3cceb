import { type CliContext, interruptible } from '../context.ts';
import { type AdminFlags, adminClientOf } from '../target-options.ts';
import { type QueueCalls, queueCalls } from './queue-calls.ts';

export interface QueueFlags extends AdminFlags {
  readonly output: 'table' | 'json';
}

export async function withQueues<T>(
  flags: AdminFlags,
  context: CliContext,
  use: (calls: QueueCalls) => Promise<T>,
): Promise<T> {
  const signal = context.interruption();
  return interruptible(signal, use(queueCalls(adminClientOf(flags, context), signal)));
}

export function print({ output }: QueueFlags, context: CliContext, json: object, text: () => string): void {
  context.stdout(output === 'json' ? `${JSON.stringify(json, null, 2)}\n` : text());
}
