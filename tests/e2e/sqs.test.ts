import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMoto, MOTO_CREDENTIALS, type Moto, startMoto } from '../support/moto.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const found = await findMoto();
const BODY = { model: 'sim', max_tokens: 4, messages: [{ role: 'user', content: 'Why is the sky blue?' }] };

describe.skipIf(found.kind === 'missing')('requests from SQS', () => {
  let moto: Moto;
  let client: SQSClient;

  beforeAll(async () => {
    process.env['AWS_ACCESS_KEY_ID'] = MOTO_CREDENTIALS.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = MOTO_CREDENTIALS.secretAccessKey;
    moto = await startMoto();
    client = new SQSClient({ region: 'us-east-1', endpoint: moto.endpoint });
  });
  afterAll(async () => {
    client.destroy();
    await moto.stop();
  });

  async function queue(name: string): Promise<string> {
    const { QueueUrl = '' } = await client.send(new CreateQueueCommand({ QueueName: name }));
    return QueueUrl;
  }

  async function send(url: string, body: unknown): Promise<string> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const { MessageId = '' } = await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: text }));
    return MessageId;
  }

  async function collect(url: string, count: number, into: Message[] = []): Promise<Message[]> {
    await until(
      async () => {
        const command = { QueueUrl: url, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] };
        const { Messages = [] } = await client.send(new ReceiveMessageCommand(command));
        for (const message of Messages) {
          into.push(message);
          await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: message.ReceiptHandle }));
        }
        return into.length >= count;
      },
      `${count} messages`,
      60_000,
    );
    return into;
  }

  async function isEmpty(url: string): Promise<boolean> {
    const { Attributes = {} } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
    );
    return (
      Attributes['ApproximateNumberOfMessages'] === '0' && Attributes['ApproximateNumberOfMessagesNotVisible'] === '0'
    );
  }

  test('every message gets one result, whatever its format, also when the gateway is killed in between', async () => {
    const [work, results, dead] = [await queue('work'), await queue('results'), await queue('dead')];
    const source = {
      name: 'work',
      url: work,
      endpoint: moto.endpoint,
      tenant: 'anonymous',
      objective: 'nightly',
      resultsUrl: results,
      deadLetterUrl: dead,
      visibility: '10s',
    };
    const serve = await prepareServe(poolYaml({ sim: ['--boot-load=1s'], settings: { sqs: { queues: [source] } } }));
    await serve.start();
    const ids: string[] = [];
    for (let index = 0; index < 20; index += 1) {
      ids.push(await send(work, { custom_id: `row-${index}`, url: '/v1/chat/completions', body: BODY }));
    }
    await serve.kill();
    const kubeai = await send(work, { metadata: { ticket: 7 }, path: '/v1/chat/completions', body: BODY });
    const llmd = await send(work, { id: 'a-1', deadline: 4_000_000_000, payload: BODY });
    const broken = await send(work, 'this is not JSON');
    const forbidden = await send(work, { custom_id: 'x', url: '/v1/chat/completions', body: { ...BODY, model: 'no' } });
    await serve.start();

    const told = await collect(results, ids.length + 4);
    const byMessage = new Map(told.map((message) => [attribute(message, 'CorrelationId'), message]));
    for (const id of [...ids, kubeai, llmd]) {
      expect(byMessage.get(id) && attribute(byMessage.get(id), 'status_code'), id).toBe('200');
    }
    const row = JSON.parse(byMessage.get(ids[3] ?? '')?.Body ?? '') as Record<string, unknown>;
    expect(row).toMatchObject({ custom_id: 'row-3', response: { status_code: 200 }, error: null });
    expect(JSON.parse(byMessage.get(kubeai)?.Body ?? '')).toMatchObject({ metadata: { ticket: 7 }, status_code: 200 });
    expect(JSON.parse(byMessage.get(llmd)?.Body ?? '')).toMatchObject({ id: 'a-1', status_code: 200 });
    expect(attribute(byMessage.get(broken), 'error_code')).toBe('invalid_json');
    expect(attribute(byMessage.get(forbidden), 'error_code')).toBe('model_not_found');

    const buried = await collect(dead, 2);
    expect(buried.map((message) => attribute(message, 'error_code')).sort()).toEqual([
      'invalid_json',
      'model_not_found',
    ]);
    await until(() => isEmpty(work), 'nothing is left on the queue', 60_000);
    expect(await serve.stop()).toBe(0);
  });
});

function attribute(message: Message | undefined, name: string): string | undefined {
  return message?.MessageAttributes?.[name]?.StringValue;
}
