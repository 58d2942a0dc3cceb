import type { LiveTicket, LiveTicketQuery } from '../../core/live-order.ts';
import type { TicketLine } from '../policy/ledger/control-ops.ts';
import type { Ask } from './stored-requests.ts';

/** What operators ask of the order; the rules of objectives are with the slots, which are told again in the same way. */
export class OrderDesk {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async setPaused(objective: string, paused: boolean): Promise<void> {
    await this.#ask({ op: 'setPaused', objective, paused });
  }

  async pausedObjectives(): Promise<readonly string[]> {
    return (await this.#ask({ op: 'paused' })).objectives;
  }

  async list({ objective, fairnessId, limit }: LiveTicketQuery): Promise<readonly LiveTicket[]> {
    const asked = { objective: objective ?? '', fairnessId: fairnessId ?? '', limit };
    return (await this.#ask({ op: 'list', ...asked })).tickets.map(liveTicket);
  }

  async find(id: string): Promise<LiveTicket | null> {
    const [ticket] = (await this.#ask({ op: 'find', id })).tickets;
    return ticket === undefined ? null : liveTicket(ticket);
  }
}

function liveTicket(line: TicketLine): LiveTicket {
  return {
    ...line,
    position: line.position < 0 ? null : line.position,
    reason: line.reason === '' ? null : line.reason,
    endpointId: line.endpointId === '' ? null : line.endpointId,
    expiresAtEpochMs: line.expiresAtEpochMs === 0 ? null : line.expiresAtEpochMs,
  };
}
