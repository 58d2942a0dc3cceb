/**
 * `npm test`: the whole gate, one step after the other, each to its end even when an earlier one failed.
 * `--fast` leaves out what needs Redis and other processes; other arguments choose vitest files. The last line is
 * always "N passed, N failed": tests, plus one for each check.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { prepare, refuse, root } from './setup.mjs';

const STEP_TIMEOUT_MS = 30 * 60_000;
const LISTED_FAILURES = 30;

const CHECKS = [
  { name: 'format', command: ['biome', 'format', '.'] },
  { name: 'lint', command: ['eslint', '.'] },
  { name: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'dependency rules', command: ['depcruise', '--config', '.dependency-cruiser.cjs', 'src'] },
  { name: 'dead code', command: ['knip'] },
];
const SUITES = [
  { name: 'unit', project: 'unit', fast: true },
  { name: 'contract and integration', project: 'integration', fast: false },
  { name: 'end to end', project: 'e2e', fast: false },
  { name: 'on a control plane', project: 'cluster', fast: false },
  { name: 'chaos', project: 'chaos', fast: false },
];

const options = readArguments(process.argv.slice(2));
const node = prepare();
const env = {
  ...process.env,
  PATH: [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
};
const reports = join(root, '.cache', 'test-reports');
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

let running;
let interruptedBy;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interruptedBy = signal;
    running?.kill(signal);
  });
}

const results = [];
for (const check of CHECKS) await step(check.name, () => runCheck(check));
for (const suite of SUITES) if (suite.fast || !options.fast) await step(suite.name, () => runSuite(suite));
process.exitCode = summarise();

function readArguments(args) {
  const flags = args.filter((arg) => arg.startsWith('-'));
  const unknown = flags.filter((flag) => flag !== '--fast');
  if (unknown.length > 0) refuse(`"${unknown[0]}" is no option of npm test; there are --fast and names of test files.`);
  return { fast: flags.includes('--fast'), files: args.filter((arg) => !arg.startsWith('-')) };
}

async function step(name, run) {
  if (interruptedBy) return;
  process.stdout.write(`\n=== ${name}\n`);
  const startedMs = performance.now();
  const counts = await run();
  const result = { name, seconds: (performance.now() - startedMs) / 1_000, ...counts };
  results.push(result);
  process.stdout.write(`=== ${name}: ${outcome(result)} in ${result.seconds.toFixed(1)} s\n`);
}

async function runCheck({ command: [tool, ...args] }) {
  const problem = await runTool(tool, args);
  return problem
    ? { passed: 0, failed: 1, skipped: 0, failures: [problem] }
    : { passed: 1, failed: 0, skipped: 0, failures: [] };
}

async function runSuite({ project }) {
  const report = join(reports, `${project}.json`);
  const chosen = options.files.length > 0 ? ['--passWithNoTests', ...options.files] : [];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const problem = await runTool('vitest', ['run', `--project=${project}`, ...reporters, ...chosen]);
  return countTests(report, problem);
}

/** Runs a tool of node_modules/.bin to its end. Returns what went wrong, or nothing. */
function runTool(tool, args) {
  return new Promise((resolve) => {
    const child = spawn(join(root, 'node_modules', '.bin', tool), args, {
      cwd: root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    running = child;
    const timer = setTimeout(() => child.kill('SIGKILL'), STEP_TIMEOUT_MS);
    const end = (problem) => {
      clearTimeout(timer);
      running = undefined;
      resolve(problem);
    };
    child.once('error', (error) => end(`${tool} could not be run: ${error.message}`));
    child.once('exit', (code, signal) =>
      end(code === 0 ? undefined : `${tool} ended with ${signal ?? `exit code ${code}`}`),
    );
  });
}

/** A file that does not load, an error outside a test and a suite without tests are failures too. */
function countTests(reportFile, problem) {
  let report;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0, failures: [problem ?? 'vitest wrote no report'] };
  }
  const failures = [];
  let failed = 0;
  for (const file of report.testResults) {
    const path = relative(root, file.name);
    const broken = file.assertionResults.filter((test) => test.status === 'failed');
    failures.push(...broken.map((test) => `${path}: ${test.fullName}`));
    if (file.status === 'failed' && broken.length === 0) failures.push(`${path}: ${firstLine(file.message)}`);
    failed += Math.max(broken.length, file.status === 'failed' ? 1 : 0);
  }
  if (problem && failed === 0) {
    failures.push(report.numTotalTests === 0 ? 'no tests were found' : problem);
    failed = 1;
  }
  return { passed: report.numPassedTests, failed, skipped: report.numPendingTests + report.numTodoTests, failures };
}

function firstLine(text) {
  return (text ?? '').split('\n', 1)[0];
}

function outcome({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Writes the closing summary and returns the exit code. */
function summarise() {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const lines = ['', 'Summary'];
  for (const result of results) {
    lines.push(
      `  ${result.failed > 0 ? 'FAIL' : 'ok  '}  ${result.name.padEnd(26)}${`${result.seconds.toFixed(1)} s`.padStart(9)}   ${outcome(result)}`,
    );
    lines.push(...result.failures.slice(0, LISTED_FAILURES).map((failure) => `          ${failure}`));
    if (result.failures.length > LISTED_FAILURES)
      lines.push(`          and ${result.failures.length - LISTED_FAILURES} more`);
  }
  if (options.fast) lines.push('  not run (--fast): contract and integration, end to end');
  if (interruptedBy) lines.push(`  stopped by ${interruptedBy} before the end`);
  const testsRun = results.slice(CHECKS.length).reduce((total, result) => total + result.passed + result.failed, 0);
  if (testsRun === 0) lines.push('  no test ran, which counts as a failure');
  const failed = sum('failed') + (testsRun === 0 || interruptedBy ? Math.max(0, 1 - sum('failed')) : 0);
  process.stdout.write(`${lines.join('\n')}\n\n${sum('passed')} passed, ${failed} failed\n`);
  if (interruptedBy) return 128 + constants.signals[interruptedBy];
  return failed > 0 ? 1 : 0;
}
