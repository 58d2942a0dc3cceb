import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** CPU time of a process since it started, all threads. */
export interface CpuUs {
  readonly cpuUs: number;
}

interface Asked<Question> {
  readonly id: number;
  readonly question: Question;
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

/** One process of a bench: answers questions over IPC. Ends with the process that started it. */
export class BenchChild<Question> {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>();
  #serial = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => this.#answered(message as Answer));
    child.once('exit', (code, signal) => {
      const error = new Error(`${child.spawnargs[1] ?? 'a bench process'} ended: ${signal ?? code ?? 'unknown'}`);
      for (const { reject } of this.#open.values()) reject(error);
    });
  }

  static async start<Question>(module: URL, args: readonly string[] = []): Promise<BenchChild<Question>> {
    const child = fork(module, args, { env: { ...process.env, NODE_ENV: 'production' } });
    await once(child, 'spawn');
    return new BenchChild<Question>(child);
  }

  async ask<Value>(question: Question): Promise<Value> {
    const id = (this.#serial += 1);
    const answer = Promise.withResolvers<unknown>();
    this.#open.set(id, answer);
    this.#child.send({ id, question } satisfies Asked<Question>);
    return (await answer.promise) as Value;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill();
    await exited;
  }

  #answered(answer: Answer): void {
    const open = this.#open.get(answer.id);
    this.#open.delete(answer.id);
    if ('error' in answer) open?.reject(new Error(answer.error));
    else open?.resolve(answer.value);
  }
}

/** The other end: answers each question with what `answer` resolves to, and exits when nobody is left to ask. */
export function answerQuestions(answer: (question: never) => unknown): void {
  process.on('message', (message) => {
    const { id, question } = message as Asked<never>;
    Promise.try(() => answer(question)).then(
      (value) => process.send?.({ id, value } satisfies Answer),
      (thrown: unknown) => process.send?.({ id, error: String(thrown) } satisfies Answer),
    );
  });
  process.once('disconnect', () => process.exit(0));
}

export function ownCpu(): CpuUs {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system };
}
