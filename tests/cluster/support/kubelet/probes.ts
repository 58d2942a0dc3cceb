import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '../../../../src/platform/local-redis/run-command.ts';
import type { Container, Handler, HttpGet, Probe } from './objects.ts';

/** How a probe's command runs: in the environment of its container. */
export interface ProbeTarget {
  readonly container: Container;
  readonly podIp: string;
  /** Local command line and environment for a handler of kind exec. */
  command(
    argv: readonly string[],
  ): Promise<{ readonly argv: readonly string[]; readonly env: Record<string, string> } | null>;
}

export interface ProbeRun {
  readonly kind: 'Startup' | 'Readiness' | 'Liveness';
  readonly probe: Probe;
  readonly target: ProbeTarget;
  /** Instead of the probe's own period; for tests that cannot wait whole seconds. */
  readonly periodMs: number | null;
  /** Fails every look while true. */
  readonly forcedToFail: () => boolean;
  /** At each look that failed. */
  readonly onFailure: (message: string) => void;
  /** When enough looks in a row agree, and whenever that changes. */
  readonly onResult: (passed: boolean) => void;
}

const DEFAULT_PERIOD_S = 10;
const DEFAULT_FAILURES = 3;

/** Looks again and again until the signal aborts. Defaults are those of core/v1. Never rejects. */
export async function runProbe(run: ProbeRun, signal: AbortSignal): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = DEFAULT_PERIOD_S, timeoutSeconds = 1 } = run.probe;
  const { successThreshold = 1, failureThreshold = DEFAULT_FAILURES } = run.probe;
  const periodMs = run.periodMs ?? periodSeconds * 1_000;
  let passed: boolean | null = null;
  let inARow = 0;
  let last: boolean | null = null;
  await pause(initialDelaySeconds * 1_000, signal);
  while (!signal.aborted) {
    const problem = run.forcedToFail()
      ? 'HTTP probe failed with statuscode: 503'
      : await look(run, timeoutSeconds * 1_000, signal);
    // What ended together with its container has not failed.
    if (isAborted(signal)) return;
    if (problem !== null) run.onFailure(`${run.kind} probe failed: ${problem}`);
    inARow = last === (problem === null) ? inARow + 1 : 1;
    last = problem === null;
    if (inARow >= (last ? successThreshold : failureThreshold) && passed !== last) {
      passed = last;
      run.onResult(passed);
    }
    await pause(periodMs, signal);
  }
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

async function look({ probe, target }: ProbeRun, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  return handle(probe, target, timeoutMs, signal);
}

/** Runs a probe's or hook's handler once. Returns what went wrong, or null. */
export async function handle(
  handler: Handler,
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | null> {
  const { httpGet: http, tcpSocket, exec, sleep: sleeping } = handler;
  if (http !== undefined) return askHttp(http, target, timeoutMs, signal);
  if (tcpSocket !== undefined) return askTcp(target.podIp, portOf(tcpSocket.port, target.container), timeoutMs, signal);
  if (sleeping !== undefined) {
    await pause(sleeping.seconds * 1_000, signal);
    return null;
  }
  if (exec === undefined) return 'the handler is of a kind that the kubelet stand-in does not know';
  const command = await target.command(exec.command);
  if (command === null) return `exec: "${exec.command[0] ?? ''}": executable file not found in $PATH`;
  const [program = '', ...args] = command.argv;
  const ran = await runCommand(program, args, { env: command.env, timeoutMs, signal }).catch(() => null);
  return ran === null || ran.ok ? null : ran.problem;
}

function askHttp(http: HttpGet, target: ProbeTarget, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  const { path = '/', scheme = 'HTTP', httpHeaders = [] } = http;
  const port = portOf(http.port, target.container);
  const headers = {
    'user-agent': 'kube-probe/1.35',
    ...Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value])),
  };
  const options = { host: target.podIp, port, path, headers, agent: false, signal, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const within = setTimeout(() => request.destroy(new Error('context deadline exceeded')), timeoutMs);
    const request = (scheme === 'HTTPS' ? httpsGet : httpGet)(options, (response) => {
      clearTimeout(within);
      const { statusCode = 0 } = response;
      response.destroy();
      resolve(statusCode >= 200 && statusCode < 400 ? null : `HTTP probe failed with statuscode: ${statusCode}`);
    });
    request.on('error', (error) => {
      clearTimeout(within);
      resolve(`Get "${scheme.toLowerCase()}://${target.podIp}:${port}${path}": ${error.message}`);
    });
  });
}

function askTcp(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('i/o timeout')));
    socket.once('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.once('error', (error) => resolve(`dial tcp ${host}:${port}: ${error.message}`));
  });
}

function portOf(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? 0;
}

/** Ends early, without an error, when the signal aborts. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal }).catch(() => undefined);
}
