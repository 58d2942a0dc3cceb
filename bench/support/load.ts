/** The load generator: a process of its own that offers one phase of load after the other and tells what came of it. */
import { Worker } from 'node:worker_threads';
import * as hdr from 'hdr-histogram-js';
import { chatBody } from './chat.ts';
import { answerQuestions, type CpuUs, ownCpu } from './child.ts';
import { type Answer, HttpConnection, postRequest } from './http-connection.ts';
import type { TickPlan } from './ticker.ts';

/** Open: requests leave on a schedule, whatever came of the others. Closed: each connection asks again when it has its answer. */
export type Phase =
  | { readonly kind: 'open'; readonly perSecond: number }
  | { readonly kind: 'closed'; readonly connections: number };

export interface LoadOrder {
  readonly phase: Phase;
  readonly url: string;
  readonly model: string;
  readonly stream: boolean;
  readonly seconds: number;
}

export type LoadQuestion = { readonly kind: 'run'; readonly order: LoadOrder } | { readonly kind: 'cpu' };

export interface LoadReport extends CpuUs {
  readonly answered: number;
  /** Broken connections and any status but 200. */
  readonly failed: number;
  readonly firstFailure: string | null;
  readonly perSecond: number;
  readonly eventsPerSecond: number;
  /** Open: from the moment a request was due. Closed: from its sending. To the last byte. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Median to the first byte. */
  readonly firstByteP50Us: number;
  /** Open: how late requests left, at the 99th percentile. Part of the latencies above. */
  readonly lateP99Us: number;
}

/** Beyond it an open phase sends no more: the server is lost, and the report says so by its failures. */
const MAX_IN_FLIGHT = 2_000;
const WARM_CONNECTIONS = 16;
const SETTLE_MS = 50;

class Tally {
  readonly #total = histogram();
  readonly #firstByte = histogram();
  readonly late = histogram();
  readonly #startedMs = performance.now();
  readonly #cpuBefore = ownCpu().cpuUs;
  #failed = 0;
  #events = 0;
  #firstFailure: string | null = null;

  answered(answer: Answer, fromMs: number): void {
    if (answer.status !== 200) {
      this.broken(`status ${answer.status}`);
      return;
    }
    this.#events += answer.events;
    this.#total.recordValue(micros(performance.now() - fromMs));
    this.#firstByte.recordValue(micros(answer.firstByteAtMs - fromMs));
  }

  broken(why: string): void {
    this.#failed += 1;
    this.#firstFailure ??= why;
  }

  report(): LoadReport {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    return {
      answered: this.#total.totalCount,
      failed: this.#failed,
      firstFailure: this.#firstFailure,
      perSecond: this.#total.totalCount / seconds,
      eventsPerSecond: this.#events / seconds,
      p50Us: this.#total.getValueAtPercentile(50),
      p99Us: this.#total.getValueAtPercentile(99),
      maxUs: this.#total.maxValue,
      firstByteP50Us: this.#firstByte.getValueAtPercentile(50),
      lateP99Us: this.late.getValueAtPercentile(99),
      cpuUs: ownCpu().cpuUs - this.#cpuBefore,
    };
  }
}

function histogram(): hdr.Histogram {
  return hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 120_000_000,
    numberOfSignificantValueDigits: 3,
  });
}

function micros(durationMs: number): number {
  return Math.max(1, Math.round(durationMs * 1_000));
}

async function closedLoop(order: LoadOrder, connections: number): Promise<LoadReport> {
  const url = new URL(order.url);
  const request = postRequest(url, chatBody(order.stream, order.model));
  const tally = new Tally();
  const endAtMs = performance.now() + order.seconds * 1_000;
  const loop = async (): Promise<void> => {
    const connection = new HttpConnection(url);
    for (let sentAtMs = performance.now(); sentAtMs < endAtMs; sentAtMs = performance.now()) {
      try {
        tally.answered(await connection.exchange(request), sentAtMs);
      } catch (thrown) {
        tally.broken(String(thrown));
        break;
      }
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connections }, loop));
  return tally.report();
}

async function openLoop(order: LoadOrder, perSecond: number): Promise<LoadReport> {
  const url = new URL(order.url);
  const request = postRequest(url, chatBody(order.stream, order.model));
  const idle = await warmConnections(url, request);
  const tally = new Tally();
  let inFlight = 0;
  const send = async (dueAtMs: number): Promise<void> => {
    tally.late.recordValue(micros(performance.now() - dueAtMs));
    if (inFlight >= MAX_IN_FLIGHT) {
      tally.broken('too many requests without an answer');
      return;
    }
    inFlight += 1;
    const connection = idle.pop() ?? new HttpConnection(url);
    try {
      tally.answered(await connection.exchange(request), dueAtMs);
      idle.push(connection);
    } catch (thrown) {
      tally.broken(String(thrown));
    }
    inFlight -= 1;
  };
  const sent: Promise<void>[] = [];
  const everyMs = 1_000 / perSecond;
  const startAtMs = performance.now() + SETTLE_MS;
  const count = Math.round(perSecond * order.seconds);
  const plan: TickPlan = { startAtMs, everyMs, count, timeOriginMs: performance.timeOrigin };
  await ticks(plan, (tick) => sent.push(send(startAtMs + tick * everyMs)));
  await Promise.all(sent);
  for (const connection of idle) connection.close();
  return tally.report();
}

/** Connected and used once, so that no measured request pays for its connection. */
async function warmConnections(url: URL, request: Buffer): Promise<HttpConnection[]> {
  const connections = Array.from({ length: WARM_CONNECTIONS }, () => new HttpConnection(url));
  await Promise.all(connections.map((connection) => connection.exchange(request)));
  return connections;
}

function ticks(plan: TickPlan, onTick: (tick: number) => void): Promise<void> {
  const worker = new Worker(new URL('./ticker.ts', import.meta.url), { workerData: plan });
  worker.on('message', onTick);
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
}

answerQuestions((question: LoadQuestion) => {
  if (question.kind === 'cpu') return ownCpu();
  const { order } = question;
  const { phase } = order;
  return phase.kind === 'open' ? openLoop(order, phase.perSecond) : closedLoop(order, phase.connections);
});
