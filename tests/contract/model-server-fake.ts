import type { ModelServer, UpstreamCall, UpstreamReceiver, UpstreamRequest } from '../../src/dispatcher/ports.ts';
import type { Script, Step } from './model-server-script.ts';

/** Plays scripts in memory, one per call, by endpoint url; the last one of an endpoint for all its further calls. */
export class FakeModelServer implements ModelServer {
  readonly requests: UpstreamRequest[] = [];
  readonly forgotten: string[] = [];
  alive = true;
  readonly #scripts: Map<string, readonly Script[]>;
  readonly #calls = new Map<string, number>();
  #open = 0;

  constructor(scripts: Readonly<Record<string, readonly Script[]>>) {
    this.#scripts = new Map(Object.entries(scripts));
  }

  /** Calls that were neither answered nor aborted. */
  get openCalls(): number {
    return this.#open;
  }

  open(request: UpstreamRequest, receiver: UpstreamReceiver): UpstreamCall {
    this.requests.push(request);
    const nth = this.#calls.get(request.endpointUrl) ?? 0;
    this.#calls.set(request.endpointUrl, nth + 1);
    const scripts = this.#scripts.get(request.endpointUrl) ?? [];
    const script = scripts[Math.min(nth, scripts.length - 1)] ?? 'refuse';
    this.#open += 1;
    return new FakeCall(script, receiver, () => {
      this.#open -= 1;
    });
  }

  probe(): Promise<boolean> {
    return Promise.resolve(this.alive);
  }

  forget(endpointUrl: string): void {
    this.forgotten.push(endpointUrl);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class FakeCall implements UpstreamCall {
  readonly #steps: Step[];
  readonly #receiver: UpstreamReceiver;
  readonly #onOver: () => void;
  #over = false;
  #paused = false;

  constructor(script: Script, receiver: UpstreamReceiver, onOver: () => void) {
    this.#steps = script === 'refuse' ? [] : [...script];
    this.#receiver = receiver;
    this.#onOver = onOver;
    queueMicrotask(() => {
      if (script === 'refuse') this.#fail('unreachable');
      else this.#next();
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    queueMicrotask(() => this.#next());
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver();
  }

  #next(): void {
    if (this.#over || this.#paused) return;
    const step = this.#steps.shift();
    if (!step || step.do === 'hang') return;
    this.#play(step);
    queueMicrotask(() => this.#next());
  }

  #play(step: Exclude<Step, { do: 'hang' }>): void {
    switch (step.do) {
      case 'head': {
        this.#receiver.onHead(step.status, step.headers ?? {});
        return;
      }
      case 'send': {
        const bytes = Buffer.from(step.bytes);
        if (bytes.length > 0) this.#receiver.onData(bytes);
        return;
      }
      case 'end':
        this.abort();
        {
          this.#receiver.onEnd();
          return;
        }
      case 'reset': {
        this.#fail('reset');
        return;
      }
      case 'garbage': {
        this.#fail('protocol');
        return;
      }
    }
  }

  #fail(kind: 'unreachable' | 'reset' | 'protocol'): void {
    if (this.#over) return;
    this.abort();
    this.#receiver.onFailure({ kind, message: `The fake model server did this: ${kind}.` });
  }
}
