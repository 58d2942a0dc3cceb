import { rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';
import { run } from '../unit/cli/support.ts';

/** A model server that answers 500 while the file that its environment names is there. */
const ENGINE = `
const http = require('node:http'), fs = require('node:fs');
http.createServer((req, res) => {
  req.resume();
  req.on('end', () => {
    if (req.method === 'POST' && fs.existsSync(process.argv[2])) res.writeHead(500).end('{"error":{"message":"broken"}}');
    else if (req.method === 'POST') {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', choices: [
        { index: 0, message: { role: 'assistant', content: 'well' }, finish_reason: 'stop' }], usage: {
        prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
    } else res.writeHead(200).end();
  });
}).listen(Number(process.argv[1]), '127.0.0.1');`;

interface JobTold {
  readonly id: string;
  readonly status: string;
  readonly retried_as?: string;
  readonly retry_of?: string;
}

async function submit(serve: ServeProcess): Promise<string> {
  const body = { model: 'sim', messages: [{ role: 'user', content: 'a secret prompt' }] };
  const answer = await fetch(`${serve.apiUrl}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-llm-d-inference-objective': 'nightly' },
    body: JSON.stringify(body),
  });
  expect(`${answer.status} ${answer.status === 202 ? '' : await answer.clone().text()}`).toBe('202 ');
  return ((await answer.json()) as JobTold).id;
}

async function job(serve: ServeProcess, id: string): Promise<JobTold | null> {
  const answer = await fetch(`${serve.apiUrl}/v1/jobs/${id}`);
  return answer.status === 404 ? null : ((await answer.json()) as JobTold);
}

test('jobs that failed for good are found, run again and forgotten from the command line', async () => {
  const marker = `/tmp/pilotlight-broken-${process.pid}`;
  await writeFile(marker, '');
  const command = ['node', '-e', ENGINE, '{port}', marker];
  const settings = { dispatcher: { maxStoredAttempts: 2 } };
  const serve = await prepareServe(poolYaml({ command, settings }));
  await serve.start();
  const cli = (...args: string[]) => run([...args, '--admin-url', serve.adminUrl], { fetch });
  const ids = [await submit(serve), await submit(serve), await submit(serve)];
  for (const id of ids) {
    await until(async () => (await job(serve, id))?.status === 'failed', 'the job failed', 60_000);
  }

  const listed = await cli('queue', 'dead', 'list');
  expect(listed.exitCode).toBe(0);
  for (const id of ids) expect(listed.stdout).toContain(id);
  expect(listed.stdout + (await cli('queue', 'dead', 'show', ids[0] ?? '')).stdout).not.toContain('secret');
  expect((await cli('queue', 'explain', ids[0] ?? '')).stdout).toContain(`pilotlight queue dead retry ${ids[0]}`);
  expect((await cli('queue')).stdout).toMatch(/default\/chat +nightly +-10 +0 +0 +0 +0 .* 0 +3$/m);

  await rm(marker);
  const [retried = '', ...others] = ids;
  expect(await cli('queue', 'dead', 'retry', retried, 'job_never')).toMatchObject({
    exitCode: 1,
    stdout: `${retried}\t${retried}-r1\njob_never\tis no dead letter\n`,
  });
  await until(async () => (await job(serve, `${retried}-r1`))?.status === 'completed', 'the retry is done', 60_000);
  expect(await job(serve, retried)).toMatchObject({ status: 'failed', retried_as: `${retried}-r1` });
  expect(await job(serve, `${retried}-r1`)).toMatchObject({ retry_of: retried });

  const purged = await cli('queue', 'dead', 'purge', '--objective', 'nightly', '-o', 'json');
  const { answers } = JSON.parse(purged.stdout) as { answers: { id: string; kind: string }[] };
  expect(answers.map(({ id }) => id).sort()).toEqual([...others].sort());
  for (const id of others) expect(await job(serve, id)).toBeNull();
  expect((await cli('queue', 'dead', 'list')).stdout).toBe('no dead letters\n');
  expect(await serve.log()).toMatch(/dead_letters\.purged/);
  expect(await serve.stop()).toBe(0);
});

test('a paused objective keeps its jobs, wakes no pool, and goes on where it was; others are served meanwhile', async () => {
  const serve = await prepareServe(poolYaml());
  await serve.start();
  const cli = (...args: string[]) => run([...args, '--admin-url', serve.adminUrl], { fetch });
  expect(await cli('queue', 'pause', 'chat', 'nightly')).toMatchObject({
    exitCode: 0,
    stdout: 'default/chat: nightly is paused\n',
  });
  const id = await submit(serve);
  expect((await cli('queue')).stdout).toMatch(/nightly .* 1 job +0 +by an operator$/m);
  const call = { model: 'sim', max_tokens: 2, messages: [{ role: 'user', content: 'Hi' }] };
  const answer = await fetch(`${serve.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-llm-d-inference-objective': 'interactive' },
    body: JSON.stringify(call),
  });
  expect(answer.status).toBe(200);
  expect(await job(serve, id)).toMatchObject({ status: 'queued' });
  await serve.untilPool('the pool sleeps, whatever is paused', ({ phase }) => phase === 'Asleep');
  expect((await cli('queue', 'explain', id)).stdout).toContain('waits in the backlog');

  expect((await cli('queue', 'resume', 'chat', 'nightly')).stdout).toBe('default/chat: nightly goes on\n');
  await until(async () => (await job(serve, id))?.status === 'completed', 'the job is done', 60_000);
  expect(await cli('queue', 'pause', 'chat', 'nigthly')).toMatchObject({ exitCode: 1 });
  expect(await serve.stop()).toBe(0);
});
