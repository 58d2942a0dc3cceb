/**
 * The life of the simulator.
 *
 * | phase | port | GET /health | inference | goes on to |
 * | --- | --- | --- | --- | --- |
 * | starting | refuses | – | – | loading, stopped (told to stop) |
 * | loading | refuses, or answers 503 to all | 503 | 503 | ready, crashed (fault), stopped |
 * | ready | answers | 200 | served | draining (SIGTERM), dead (fault), crashed (fault) |
 * | draining | answers | 200 | new calls get 500, open ones go on | stopped (nothing open, or out of time) |
 * | dead | answers | 503 | 500; open calls were failed | crashed, soon |
 * | crashed, stopped | refuses | – | – | – |
 */
export const PHASES = ['starting', 'loading', 'ready', 'draining', 'dead', 'crashed', 'stopped'] as const;
export type Phase = (typeof PHASES)[number];

/** What a phase answers to a call of inference; null = it serves. */
export function inferenceRefusal(phase: Phase): { status: number; message: string } | null {
  switch (phase) {
    case 'ready':
      return null;
    case 'starting':
    case 'loading':
      return { status: 503, message: 'The simulated model is still loading.' };
    case 'draining':
      return { status: 500, message: 'The simulated engine is shutting down and takes no new requests.' };
    case 'dead':
    case 'crashed':
    case 'stopped':
      return { status: 500, message: 'The simulated engine is dead.' };
  }
}

/** The status of GET /health. `faultStatus` is what a fault makes of a healthy answer. */
export function healthStatus(phase: Phase, faultStatus: number): number {
  return phase === 'ready' || phase === 'draining' ? faultStatus : 503;
}
