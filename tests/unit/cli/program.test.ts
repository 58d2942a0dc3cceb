import { describe, expect, test } from 'vitest';
import { stoppedBy } from '../../../src/cli/exit-codes.ts';
import { answering, run } from './support.ts';

const COMMANDS = [
  'serve',
  'demo',
  'model-sim',
  'submit',
  'jobs',
  'jobs get',
  'jobs result',
  'jobs cancel',
  'status',
  'pools',
  'queue',
  'explain',
  'wake',
  'drain',
  'pause',
  'resume',
  'init',
  'doctor',
  'config',
  'config print',
  'config validate',
  'config schema',
];

describe('help', () => {
  test('the overview names every command, what to try and the exit codes', async () => {
    const { stdout, exitCode } = await run(['--help']);
    expect(exitCode).toBe(0);
    for (const command of COMMANDS) expect(stdout).toContain(command.split(' ')[0]);
    expect(stdout).toContain('pilotlight serve -f examples/local.yaml');
    expect(stdout).toContain('Exit codes:');
    expect(stdout).not.toContain('write-tables');
  });

  test.each(COMMANDS)('%s has help of its own', async (command) => {
    const { stdout, exitCode } = await run([...command.split(' '), '--help']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Usage: pilotlight /);
  });

  test('the version is that of the package', async () => {
    expect((await run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

test.each([
  { name: 'no command', argv: [], want: 'Usage: pilotlight' },
  { name: 'a command with a typo', argv: ['serv'], want: '(Did you mean serve?)' },
  { name: 'a flag with a typo', argv: ['status', '--wach'], want: '(Did you mean --watch?)' },
  { name: 'too many arguments', argv: ['submit', 'a', 'b'], want: 'too many arguments' },
  { name: 'a number that is none', argv: ['demo', '--jobs', 'many'], want: 'Write a whole number from 0 to 1000000.' },
  { name: 'a duration without a unit', argv: ['status', '--every', '5'], want: 'Write a duration with a unit' },
  { name: 'serve without objects', argv: ['serve'], want: 'serve needs objects; add -f' },
  { name: 'nothing to validate', argv: ['config', 'validate'], want: 'nothing to check; add -f' },
  { name: 'a kind that does not exist', argv: ['config', 'schema', 'Pool'], want: 'no kind is called "Pool"' },
  { name: 'nothing to submit', argv: ['submit'], want: 'name a file, or give both --model and --prompt' },
  { name: 'a file that does not exist', argv: ['submit', 'none.jsonl'], want: '"none.jsonl" does not exist' },
  { name: 'a model without a prompt', argv: ['submit', '--model', 'm'], want: 'give both --model and --prompt' },
  {
    name: 'an address that is none',
    argv: ['status', '--admin-url', 'localhost'],
    want: '--admin-url: "localhost" is not an address',
  },
  {
    name: 'a key file that does not exist',
    argv: ['jobs', 'get', 'x', '--api-key-file', '/none'],
    want: '--api-key-file: "/none" cannot be read',
  },
  {
    name: 'a setting with a typo',
    argv: ['config', 'print', '--set', 'serve.port=1'],
    want: 'did you mean "server.port"?',
  },
  {
    name: 'a simulator flag with a bad value',
    argv: ['model-sim', '--boot-load', '5'],
    want: 'model-sim: --boot-load: "5" is not a duration',
  },
])('$name ends with 2 and says what to do', async ({ argv, want }) => {
  const { stderr, exitCode } = await run(argv);
  expect(stderr).toContain(want);
  expect(exitCode).toBe(2);
});

describe('config', () => {
  test('print shows flags and variables as sources', async () => {
    const { stdout, exitCode } = await run(['config', 'print', '--port', '81', '--set', 'log.level=warn'], {
      environment: { PILOTLIGHT_DATA_DIR: '/data' },
    });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('port: 81 # --port\n');
    expect(stdout).toContain('level: warn # --set log.level\n');
    expect(stdout).toContain('dir: /data # PILOTLIGHT_DATA_DIR\n');
  });

  test('validate counts what it read', async () => {
    expect(await run(['config', 'validate', '-f', 'examples/local.yaml'])).toEqual({
      exitCode: 0,
      stdout: '7 documents, no problems\n',
      stderr: '',
    });
  });

  test('validate takes several files, after one -f or after several, and lists all that is wrong', async () => {
    const argv = [
      'config',
      'validate',
      '-f',
      'examples/local.yaml',
      'examples/local.yaml',
      '-f',
      'none.yaml',
      '--set',
      'x=1',
    ];
    const { stdout, exitCode } = await run(argv);
    expect(exitCode).toBe(2);
    expect(stdout).toBe(
      '--set x: x: no such setting; allowed here: ' +
        `${stdout.split('allowed here: ')[1]!.split('\n')[0]!}\n` +
        'none.yaml: cannot be read: no such file or folder; check the -f argument\n' +
        '7 documents, 2 problems\n',
    );
  });

  test('schema is JSON', async () => {
    const { stdout } = await run(['config', 'schema', 'ScalePolicy']);
    expect(JSON.parse(stdout)).toMatchObject({ properties: { kind: { const: 'ScalePolicy' } } });
  });
});

describe('client commands', () => {
  const job = { id: 'job_1', object: 'job', status: 'completed' };

  test('nothing at the address: 3, and how to change that', async () => {
    const { stderr, exitCode } = await run(['jobs', 'get', 'job_1'], {
      environment: { PILOTLIGHT_URL: 'http://h:1/v1/' },
    });
    expect(stderr).toBe(
      'pilotlight: http://h:1 is not reachable; start it with "pilotlight serve -f …", or name the right address with --url\n',
    );
    expect(exitCode).toBe(3);
  });

  test('a refusal: 1, its message, its code, and a remedy where there is one', async () => {
    const error = {
      message: 'This API key is not known here.',
      type: 'authentication_error',
      param: null,
      code: 'invalid_api_key',
    };
    const { fetch } = answering({ '/v1/jobs/job_1': [401, { error }] });
    const { stderr, exitCode } = await run(['jobs', 'get', 'job_1'], { fetch });
    expect(stderr).toBe(
      'pilotlight: This API key is not known here (invalid_api_key); put the key into PILOTLIGHT_API_KEY, or name a file that holds it with --api-key-file\n',
    );
    expect(exitCode).toBe(1);
  });

  test("an answer that is not Pilotlight's", async () => {
    const fetch = () => Promise.resolve(new Response('<html>', { status: 200 }));
    const { stderr, exitCode } = await run(['jobs', 'get', 'job_1'], { fetch });
    expect(stderr).toContain("the answer is not JSON; is this address Pilotlight's? (<html>)");
    expect(exitCode).toBe(1);
  });

  test('jobs get prints the job, and the key goes into the header', async () => {
    const { fetch, requests } = answering({ '/v1/jobs/job_1': [200, job] });
    const { stdout } = await run(['jobs', 'get', 'job_1'], { fetch, environment: { PILOTLIGHT_API_KEY: 'sk-1' } });
    expect(JSON.parse(stdout)).toEqual(job);
    expect(requests[0]!.headers.get('authorization')).toBe('Bearer sk-1');
  });

  test.each([
    { name: 'an answer', status: 200, exitCode: 0 },
    { name: "a model server's refusal", status: 400, exitCode: 1 },
  ])('jobs result prints $name and ends with $exitCode', async ({ status, exitCode }) => {
    const { fetch } = answering({ '/v1/jobs/job_1': [200, job], '/v1/jobs/job_1/result': [status, { x: 1 }] });
    expect(await run(['jobs', 'result', 'job_1', '--wait'], { fetch })).toEqual({
      exitCode,
      stdout: '{"x":1}\n',
      stderr: '',
    });
  });

  test('jobs result of a job that failed says why', async () => {
    const error = {
      message: 'The job failed after 8 attempts.',
      type: 'upstream_error',
      param: null,
      code: 'upstream_error',
    };
    const { fetch } = answering({
      '/v1/jobs/job_1': [200, { ...job, status: 'failed' }],
      '/v1/jobs/job_1/result': [502, { error }],
    });
    const { stderr, exitCode } = await run(['jobs', 'result', 'job_1'], { fetch });
    expect(stderr).toBe('pilotlight: failed: The job failed after 8 attempts (upstream_error)\n');
    expect(exitCode).toBe(1);
  });

  test('jobs cancel', async () => {
    const { fetch, requests } = answering({ '/v1/jobs/job_1/cancel': [200, { ...job, status: 'cancelled' }] });
    expect((await run(['jobs', 'cancel', 'job_1'], { fetch })).stderr).toBe('job_1 is cancelled\n');
    expect(requests[0]!.method).toBe('POST');
  });

  test('submit of one prompt prints its id', async () => {
    const { fetch, requests } = answering({ '/v1/jobs': [202, { ...job, status: 'queued' }] });
    const argv = ['submit', '--model', 'm', '--prompt', 'Hello', '--objective', 'nightly', '--deadline', '8h'];
    const { stdout, exitCode } = await run(argv, { fetch });
    expect([stdout, exitCode]).toEqual(['job_1\n', 0]);
    expect(requests[0]!.body).toEqual({
      objective: 'nightly',
      deadline: '8h',
      body: { model: 'm', messages: [{ role: 'user', content: 'Hello' }] },
    });
  });

  test('Ctrl-C while waiting ends with 130', async () => {
    const controller = new AbortController();
    const { fetch } = answering({ '/v1/jobs/job_1': [200, { ...job, status: 'queued' }] });
    const interrupting: typeof globalThis.fetch = async (...args) => {
      const answer = await fetch(...args);
      setImmediate(() => controller.abort(stoppedBy('SIGINT')));
      return answer;
    };
    const { stderr, exitCode } = await run(['jobs', 'result', 'job_1', '--wait'], {
      fetch: interrupting,
      interruption: controller.signal,
    });
    expect([stderr, exitCode]).toEqual(['pilotlight: stopped by SIGINT\n', 130]);
  });

  test('an unexpected error: one sentence, and the stack when asked for', async () => {
    const fetch = () => {
      const response = new Response('{}');
      Object.defineProperty(response, 'text', { value: () => Promise.resolve(null) });
      return Promise.resolve(response);
    };
    const plain = await run(['status'], { fetch });
    expect(plain.stderr).toMatch(/^pilotlight: unexpected error: .*\(PILOTLIGHT_DEBUG=1 shows where\)\n$/);
    expect(plain.exitCode).toBe(1);
    expect((await run(['status'], { fetch, environment: { PILOTLIGHT_DEBUG: '1' } })).stderr).toMatch(/\n {4}at /);
  });
});
