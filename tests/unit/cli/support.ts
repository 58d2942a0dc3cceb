import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { CliContext } from '../../../src/cli/context.ts';
import { runCli } from '../../../src/cli/program.ts';

export interface Run {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly fetch?: typeof globalThis.fetch;
  readonly interruption?: AbortSignal;
  readonly isOutputTerminal?: boolean;
}

/** The CLI in this process, with its output kept. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  let stdout = '';
  let stderr = '';
  const signal = options.interruption ?? new AbortController().signal;
  const context: CliContext = {
    environment: options.environment ?? {},
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTerminal: false,
    isOutputTerminal: options.isOutputTerminal ?? false,
    interruption: () => signal,
    fetch: options.fetch ?? (() => Promise.reject(new TypeError('fetch failed'))),
  };
  const exitCode = await runCli(argv, context);
  return { exitCode, stdout, stderr };
}

/** A server that answers each path the same. */
export function answering(answers: Readonly<Record<string, readonly [status: number, body: unknown]>>) {
  const requests: { method: string; path: string; headers: Headers; body: unknown }[] = [];
  const fetch = (input: unknown, init?: RequestInit): Promise<Response> => {
    const path = new URL(String(input)).pathname;
    const body = typeof init?.body === 'string' ? (JSON.parse(init.body) as unknown) : null;
    requests.push({ method: init?.method ?? 'GET', path, headers: new Headers(init?.headers), body });
    const [status, answer] = answers[path] ?? [
      404,
      { error: { message: 'Unknown request.', code: 'route_not_found' } },
    ];
    return Promise.resolve(Response.json(answer, { status }));
  };
  return { fetch, requests };
}

/** Files in a folder that is removed when the test ends; the way to their paths. */
export function withFiles(files: Readonly<Record<string, string>>): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'pilotlight-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return (name) => join(folder, name);
}
