/** A batch that nobody keeps, and for how many looks of this keeper it has been so. */
export interface FreeBatch {
  readonly id: string;
  readonly looks: number;
}

export interface KeeperView {
  readonly free: readonly FreeBatch[];
  /** Batches that this keeper has. */
  readonly held: number;
  /** All unfinished batches. */
  readonly live: number;
  /** Keepers that are alive, this one included. */
  readonly keepers: number;
}

/** A batch that stays free so long is taken beyond the fair share: the keeper whose share it is does not take any. */
export const PATIENT_LOOKS = 3;

/** The batches to take now, longest free first. */
export function toTake({ free, held, live, keepers }: KeeperView): readonly string[] {
  const room = fairShare(live, keepers) - held;
  const byWait = [...free].sort((a, b) => b.looks - a.looks);
  return byWait.filter(({ looks }, index) => index < room || looks >= PATIENT_LOOKS).map(({ id }) => id);
}

/** Whether to hand one of its batches on: only well above the share, so that none goes to and fro. */
export function shouldGive({ held, live, keepers }: Omit<KeeperView, 'free'>): boolean {
  return keepers > 1 && held > fairShare(live, keepers) + 1;
}

function fairShare(live: number, keepers: number): number {
  return Math.ceil(live / Math.max(1, keepers));
}
