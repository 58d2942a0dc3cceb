import type { Random } from '../core/random.ts';

/** The machine's own chance. Good enough for spreading load and retries, not for secrets. */
export const systemRandom: Random = { next: () => Math.random() };
