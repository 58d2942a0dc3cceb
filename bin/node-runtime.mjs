/**
 * Finds a Node that can run Pilotlight's TypeScript and runs it. Plain JavaScript with builtins only, because it works
 * before anything is installed, on Node >= 20.
 */
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';

export const MINIMUM_NODE = '22.19';

// Node before 24.3 announces type stripping as experimental on every start.
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];
const STOP_WITH_PARENT = new URL('./stop-with-parent.mjs', import.meta.url).href;
// A terminal sends these to every process in it, so passing them on would deliver them twice.
const SENT_BY_TERMINALS = ['SIGINT', 'SIGHUP'];

/** Whether a version such as "v24.21.0" is at least MINIMUM_NODE. */
export function isNewEnough(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  const [wantedMajor, wantedMinor] = MINIMUM_NODE.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** The Node that the `node` package installed under `root`, when it is there and runs on this machine. */
export function installedNode(root) {
  const path = join(root, 'node_modules', 'node', 'bin', 'node');
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return status === 0 && isNewEnough(stdout.trim()) ? path : undefined;
}

/** The pinned Node of the checkout, else the one that runs now if it is new enough, else nothing. */
export function findNode(root) {
  return installedNode(root) ?? (isNewEnough(process.version) ? process.execPath : undefined);
}

/**
 * Runs `node <args>` with this terminal and becomes it: signals go to it, its exit code is returned (128 + n after
 * signal n). It is asked to stop when this process dies, `kill -9` included.
 */
export function runNode(node, args) {
  const child = spawn(node, [...NODE_FLAGS, `--import=${STOP_WITH_PARENT}`, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (!onTerminal || !SENT_BY_TERMINALS.includes(signal)) child.kill(signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : code));
  });
}
