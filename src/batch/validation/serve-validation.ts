import { FileCheck } from '../policy/validation/file-check.ts';
import { readLineSet } from '../policy/validation/line-set.ts';
import type { Route, RouteAnswer } from '../policy/validation/route-table.ts';
import type { CheckBody } from '../policy/validation/row-check.ts';
import type { FromThread, ThreadPort, ToThread } from './ports.ts';

const WRONG_ROWS_PIECE_BYTES = 262_144;
/** Makes pieces of 1 MiB. */
const PLAN_PIECE_ROWS = 32_768;

/** Checks the one file that comes through this port; resolves once everything is told. */
export async function serveValidation(port: ThreadPort, checkBody: CheckBody): Promise<void> {
  const inbox = new Inbox(port);
  const start = await inbox.next();
  if (start.kind !== 'start') throw new Error(`a validation starts with its rules, not with '${start.kind}'`);
  const onlyLines = start.onlyLines === null ? null : readLineSet(start.onlyLines);
  const check = new FileCheck({ ...start.rules, checkBody }, onlyLines);
  await readFile(check, inbox, port);
  const findings = check.findings();
  if (start.wantsPlan && findings.valid) await sendPlan(check, inbox);
  port.post({ kind: 'done', findings }, []);
}

async function readFile(check: FileCheck, inbox: Inbox, port: ThreadPort): Promise<void> {
  while (!check.isStopped) {
    const message = await inbox.next();
    if (message.kind === 'end') {
      await answered(check.end(), inbox);
      return;
    }
    if (message.kind !== 'chunk') throw new Error(`a chunk of the file is due, not '${message.kind}'`);
    const { buffer, bytes } = message;
    // As a Buffer, for its indexOf is several times faster.
    await answered(check.feed(Buffer.from(buffer, 0, bytes)), inbox);
    port.post({ kind: 'read', buffer, bytes }, [buffer]);
    if (check.wrongRows.heldBytes >= WRONG_ROWS_PIECE_BYTES) await inbox.send('wrong', check.wrongRows.take());
  }
}

async function answered(steps: Generator<Route, void, RouteAnswer>, inbox: Inbox): Promise<void> {
  let step = steps.next();
  while (!step.done) step = steps.next(await inbox.routeOf(step.value));
}

async function sendPlan(check: FileCheck, inbox: Inbox): Promise<void> {
  if (check.wrongRows.heldBytes > 0) await inbox.send('wrong', check.wrongRows.take());
  for (const piece of check.table.pieces(PLAN_PIECE_ROWS)) await inbox.send('plan', piece);
}

/** Keeps what comes while the thread waits for an answer. */
class Inbox {
  readonly #port: ThreadPort;
  readonly #messages: Exclude<ToThread, { kind: 'answer' }>[] = [];
  #waiting: ((message: Exclude<ToThread, { kind: 'answer' }>) => void) | null = null;
  #asking: ((answer: RouteAnswer | null) => void) | null = null;

  constructor(port: ThreadPort) {
    this.#port = port;
    port.onMessage((message) => {
      if (message.kind === 'answer') this.#asking?.(message.answer);
      else if (this.#waiting) this.#waiting(message);
      else this.#messages.push(message);
    });
  }

  async next(): Promise<Exclude<ToThread, { kind: 'answer' }>> {
    const message = this.#messages.shift();
    if (message) return message;
    return new Promise((resolve) => {
      this.#waiting = (next) => {
        this.#waiting = null;
        resolve(next);
      };
    });
  }

  async routeOf(route: Route): Promise<RouteAnswer> {
    const answer = await this.#ask({ kind: 'route', route }, []);
    if (answer === null) throw new Error('a route was asked for, and not told');
    return answer;
  }

  async send(of: 'plan' | 'wrong', bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#ask({ kind: 'piece', of, bytes }, [bytes.buffer]);
  }

  #ask(message: FromThread, transfer: readonly ArrayBuffer[]): Promise<RouteAnswer | null> {
    return new Promise((resolve) => {
      this.#asking = resolve;
      this.#port.post(message, transfer);
    });
  }
}
