// A nightly batch with the official Node client: one file in, one file out.
//
//   npm install openai
//   node examples/batch/nightly.mjs examples/batch/rows.jsonl
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: 'http://127.0.0.1:8080/v1', apiKey: 'none' });

const uploaded = await client.files.create({ file: createReadStream(process.argv[2]), purpose: 'batch' });
let batch = await client.batches.create({
  input_file_id: uploaded.id,
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
  metadata: { job: 'nightly', 'pilotlight-objective': 'nightly' },
});
while (!['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
  await sleep(2_000);
  batch = await client.batches.retrieve(batch.id);
  const { completed, failed, total } = batch.request_counts;
  console.log(`${batch.status}: ${completed + failed} of ${total}`);
}

// "completed" does not mean that every row succeeded: look at both files.
for (const [kind, id] of [
  ['output', batch.output_file_id],
  ['error', batch.error_file_id],
]) {
  if (!id) continue;
  const content = await client.files.content(id);
  await pipeline(content.body, createWriteStream(`${kind}.jsonl`));
  console.log(`${kind}.jsonl is written`);
}
