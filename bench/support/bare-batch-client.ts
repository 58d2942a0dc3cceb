/**
 * The calls of a batch without a batch: reads a file of rows and sends each body to the model server, so many at a time, and
 * drops the answers. Prints one JSON line: {rows, seconds, cpuUs}. Arguments: FILE URL CONCURRENCY
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Pool } from 'undici';
import { ownCpu } from './child.ts';

const [file = '', url = '', width = '1'] = process.argv.slice(2);
const concurrency = Number(width);
const pool = new Pool(new URL(url).origin, { connections: concurrency });

async function call(line: string): Promise<void> {
  const row = JSON.parse(line) as { readonly url: string; readonly body: unknown };
  const { statusCode, body } = await pool.request({
    method: 'POST',
    path: row.url,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(row.body),
  });
  JSON.parse(await body.text());
  if (statusCode !== 200) throw new Error(`a call was answered with ${statusCode}`);
}

const before = ownCpu().cpuUs;
const beganMs = performance.now();
const running = new Set<Promise<void>>();
let rows = 0;
for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
  const one: Promise<void> = call(line).finally(() => running.delete(one));
  running.add(one);
  rows += 1;
  if (running.size >= concurrency) await Promise.race(running);
}
await Promise.all(running);
const seconds = (performance.now() - beganMs) / 1_000;
console.log(JSON.stringify({ rows, seconds, cpuUs: ownCpu().cpuUs - before }));
await pool.close();
