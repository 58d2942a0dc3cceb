// Receives webhooks of Pilotlight with the official OpenAI client. See docs/webhooks.md.
//   npm install openai
//   OPENAI_WEBHOOK_SECRET=whsec_… PORT=9400 node webhook-receiver.mjs
import { createServer } from 'node:http';
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:8080/v1',
  apiKey: process.env.OPENAI_API_KEY ?? 'unused',
  webhookSecret: process.env.OPENAI_WEBHOOK_SECRET,
});
const MAX_BODY_BYTES = 65_536;
/** Ids seen; a service with several replicas keeps them where all can see them. */
const seen = new Set();

const server = createServer(async (request, response) => {
  let event;
  try {
    // The signature is over the bytes as they came: check first, parse afterwards.
    event = await client.webhooks.unwrap(await rawBody(request), request.headers);
  } catch (error) {
    console.error(`refused: ${error.message}`);
    response.writeHead(400).end();
    return;
  }
  // Answer first, work afterwards: what takes longer than webhooks.timeout is sent again.
  response.writeHead(204).end();
  // Delivered at least once: the id is the same for every repetition.
  const id = request.headers['webhook-id'];
  if (seen.has(id)) return;
  seen.add(id);
  console.log(`${event.type} ${event.data.id}`);
  if (event.type === 'batch.completed') {
    // const batch = await client.batches.retrieve(event.data.id);
  }
});

async function rawBody(request) {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk;
    if (body.length > MAX_BODY_BYTES) throw new Error('the body is too large');
  }
  return body;
}

server.listen(Number(process.env.PORT ?? 9400), '127.0.0.1', () => {
  console.log(`receiving on http://127.0.0.1:${server.address().port}/`);
});
