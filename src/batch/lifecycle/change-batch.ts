import type { BatchChange } from '../../core/batches.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import { refuseExtension } from '../policy/lifecycle/create-rules.ts';
import { extended, isRunnable, paused, reprioritised, resumed } from '../policy/lifecycle/generations.ts';
import type { BatchDoc } from '../ports.ts';
import { advance } from './advance.ts';
import type { CreateDeps } from './create-batch.ts';

const REASON_CHARS = 256;
const VERBS: Readonly<Record<BatchChange['kind'], string>> = {
  pause: 'pause',
  resume: 'resume',
  objective: 'change the objective of',
  extend: 'extend',
};

/** The batch after the change; repeating one changes nothing. Throws what stands against it. */
export async function changeBatch(
  deps: Pick<CreateDeps, 'journal' | 'world' | 'clock' | 'meter'>,
  doc: BatchDoc,
  identity: Identity,
  change: BatchChange,
): Promise<BatchDoc> {
  const { journal, clock, meter } = deps;
  const result = await advance(journal, doc, (current) => {
    if (!isRunnable(current)) throw notRunnable(VERBS[change.kind], current);
    switch (change.kind) {
      case 'pause':
        return paused(current, 'paused', pauseMessage(change.reason), clock.epochMs());
      case 'resume':
        return resumed(current);
      case 'objective': {
        const pools = current.plan?.groups.map(({ pool }) => pool) ?? null;
        throwRefusal(deps.world.refuseObjective(identity, change.objective, pools));
        return current.wishes.objective === change.objective && hasOnly(current, change.objective)
          ? null
          : reprioritised(current, change.objective);
      }
      case 'extend': {
        if (change.expiresAtEpochMs === current.expiresAtEpochMs) return null;
        const times = { presentEpochMs: current.expiresAtEpochMs, nowEpochMs: clock.epochMs() };
        throwRefusal(refuseExtension(change.expiresAtEpochMs, times));
        return extended(current, change.expiresAtEpochMs);
      }
    }
  });
  if (result.isChanged && change.kind === 'pause') meter.paused('paused');
  return result.doc;
}

export function notRunnable(verb: string, { status, ending }: BatchDoc): PilotlightError {
  const why = ending === 'expired' && status === 'in_progress' ? ' whose window is over' : ` with status '${status}'`;
  return new PilotlightError('batch_already_finished', `Cannot ${verb} a batch${why}.`);
}

function hasOnly({ plan }: BatchDoc, objective: string): boolean {
  return plan === null || plan.groups.every((group) => group.objective === objective);
}

function pauseMessage(reason: string | null): string {
  return reason?.slice(0, REASON_CHARS) ?? 'It was paused; resume it to let its rows run.';
}

function throwRefusal(refusal: PilotlightError | null): void {
  if (refusal !== null) throw refusal;
}
