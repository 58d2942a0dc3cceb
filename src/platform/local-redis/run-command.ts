import { spawn } from 'node:child_process';

const KEPT_OUTPUT_CHARS = 16_384;

export interface CommandOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs: number;
  signal: AbortSignal;
}

/** `problem` is one line for people; `output` the end of stdout, at most 16 Ki characters. */
export type CommandResult = { ok: true; output: string } | { ok: false; problem: string };

/** Runs a program to its end without a shell. Rejects only when `signal` aborts; the program is killed then, and at its timeout. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { cwd, env, timeoutMs, signal } = options;
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    signal,
  });
  const output = keepEnd(child.stdout);
  const complaints = keepEnd(child.stderr);
  const result = await new Promise<CommandResult>((resolve) => {
    child.once('error', (error) => resolve({ ok: false, problem: `${program}: ${error.message}` }));
    child.once('close', (code, killedBy) => {
      if (code === 0) resolve({ ok: true, output: output() });
      else
        resolve({
          ok: false,
          problem: `${program}: ${lastLine(complaints()) || (killedBy ?? `exit code ${code ?? 'unknown'}`)}`,
        });
    });
  });
  signal.throwIfAborted();
  return result;
}

function keepEnd(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text = (text + chunk).slice(-KEPT_OUTPUT_CHARS);
  });
  return () => text;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}
