/**
 * Runs the steps of infra/docker/Dockerfile in folders, without a container engine: what COPY copies and RUN runs, with
 * the Node of this machine for that of the base image. Then starts the result as the image would. Takes about 30 s and
 * needs an npm registry. What it cannot show: the base image itself, its user, and the file system being read-only.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { allowedNames, parseCopy, parseDockerfile } from './image/dockerfile.mjs';
import { prepare, root, say } from './setup.mjs';

const STEP_TIMEOUT_MS = 5 * 60_000;
const IGNORED_WORDS = ['ENV', 'USER', 'EXPOSE', 'ENTRYPOINT', 'CMD'];

const node = prepare();
const temporary = mkdtempSync(join(tmpdir(), 'pilotlight-image-'));
try {
  const docker = join(root, 'infra', 'docker');
  const { stages } = parseDockerfile(readFileSync(join(docker, 'Dockerfile'), 'utf8'));
  const context = join(temporary, 'context');
  copyContext(context, allowedNames(readFileSync(join(docker, 'Dockerfile.dockerignore'), 'utf8')));
  for (const stage of stages) runStage(stage, context);
  checkResult(stages.at(-1));
} catch (error) {
  say(error.message);
  process.exitCode = 1;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/** The build context: of the repository only what git knows or would, and the ignore file lets in. */
function copyContext(target, names) {
  const listed = run('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z', '--', ...names], root);
  for (const file of listed.split('\0').filter((name) => name !== '' && existsSync(join(root, name)))) {
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(root, file), join(target, file));
  }
}

function runStage({ name, steps }, context) {
  const stageRoot = join(temporary, 'stages', name);
  let folder = stageRoot;
  for (const { word, value, line } of steps) {
    const startedMs = performance.now();
    if (word === 'WORKDIR') mkdirSync((folder = join(stageRoot, value)), { recursive: true });
    else if (word === 'COPY') copy(value, { folder, stageRoot, context });
    else if (word === 'RUN') run('sh', ['-c', value], folder);
    else if (!IGNORED_WORDS.includes(word)) throw new Error(`line ${line}: this check does not know ${word}.`);
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
    process.stdout.write(`${name}: ${word} ${value} (${seconds} s)\n`);
  }
}

function copy(value, { folder, stageRoot, context }) {
  const { from, sources, target } = parseCopy(value);
  const base = from === undefined ? context : join(temporary, 'stages', from);
  const into = target.startsWith('/') ? join(stageRoot, target) : resolve(folder, target);
  for (const source of sources) {
    const path = join(base, source);
    const toFolder = sources.length > 1 || target.endsWith('/');
    cpSync(path, toFolder ? join(into, source) : into, { recursive: true, verbatimSymlinks: true });
  }
}

function checkResult({ name, steps }) {
  const stageRoot = join(temporary, 'stages', name);
  const written = steps.find(({ word }) => word === 'ENTRYPOINT').value;
  const [program, script] = JSON.parse(written);
  if (program !== 'node') throw new Error(`ENTRYPOINT starts "${program}", not node.`);
  const app = join(stageRoot, dirname(dirname(script)));
  const extra = readdirSync(app).filter((entry) => ['src', 'tests', 'scripts', '.git'].includes(entry));
  if (extra.length > 0) throw new Error(`the image would contain ${extra.join(', ')}.`);
  const packages = installed(app);
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  for (const [path, { version }] of Object.entries(packages)) {
    if (locked[path]?.version !== version)
      throw new Error(`${path} is ${version}, the lock file says ${locked[path]?.version}.`);
    if (locked[path].dev) throw new Error(`${path} is needed for development only.`);
  }
  const start = (...args) => run(node, [join(stageRoot, script), ...args], temporary, { NODE_ENV: 'production' });
  const version = start('--version').trim();
  start('config', 'validate', '-f', join(root, 'examples', 'local.yaml'));
  start('model-sim', '--help');
  process.stdout.write(`the result answers as ${version} with ${Object.keys(packages).length} packages\n`);
}

function installed(app) {
  return JSON.parse(readFileSync(join(app, 'node_modules', '.package-lock.json'), 'utf8')).packages;
}

function run(command, args, cwd, env = {}) {
  const PATH = [dirname(node), process.env.PATH].join(delimiter);
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: STEP_TIMEOUT_MS,
    maxBuffer: 64 * 1_024 * 1_024,
    env: { ...process.env, PATH, ...env },
  });
  if (error || status !== 0) {
    throw new Error(`${command} ${args.join(' ')} in ${cwd} failed: ${error?.message ?? `${stdout}${stderr}`}`);
  }
  return stdout;
}
