import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { S3Payloads } from '../../src/sqs/adapters/s3-payloads.ts';
import { SqsService } from '../../src/sqs/adapters/sqs-service.ts';
import { type FlakyProxy, startFlakyProxy } from './flaky-proxy.ts';
import { MOTO_CREDENTIALS, startMoto } from './moto.ts';
import { until } from './until.ts';

/** Real queues and buckets, a proxy in front of what the tested code uses, and the hands of a requester. */
export class SqsWorld {
  readonly client: SQSClient;
  readonly s3: S3Client;
  readonly proxy: FlakyProxy;
  readonly service: SqsService;
  readonly payloads: S3Payloads;
  readonly #stopMoto: () => Promise<void>;
  #queues = 0;

  private constructor(endpoint: string, proxy: FlakyProxy, stopMoto: () => Promise<void>) {
    const region = 'us-east-1';
    this.client = new SQSClient({ region, endpoint });
    this.s3 = new S3Client({ region, endpoint, forcePathStyle: true });
    this.proxy = proxy;
    this.service = new SqsService({ region, endpoint: proxy.endpoint });
    this.payloads = new S3Payloads({ region, endpoint: proxy.endpoint });
    this.#stopMoto = stopMoto;
  }

  static async start(): Promise<SqsWorld> {
    process.env['AWS_ACCESS_KEY_ID'] = MOTO_CREDENTIALS.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = MOTO_CREDENTIALS.secretAccessKey;
    const moto = await startMoto();
    return new SqsWorld(moto.endpoint, await startFlakyProxy(moto.endpoint), () => moto.stop());
  }

  async stop(): Promise<void> {
    this.client.destroy();
    this.s3.destroy();
    this.service.close();
    this.payloads.close();
    await this.proxy.close();
    await this.#stopMoto();
  }

  async queue({ fifo = false } = {}): Promise<string> {
    this.#queues += 1;
    const command = {
      QueueName: `queue-${this.#queues}${fifo ? '.fifo' : ''}`,
      ...(fifo && { Attributes: { FifoQueue: 'true' } }),
    };
    return (await this.client.send(new CreateQueueCommand(command))).QueueUrl ?? '';
  }

  async bucket(name: string): Promise<void> {
    await this.s3.send(new CreateBucketCommand({ Bucket: name }));
  }

  async put(bucket: string, key: string, body: string): Promise<void> {
    await this.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  }

  async send(
    url: string,
    body: unknown,
    attributes: Readonly<Record<string, string>> = {},
    more: Partial<SendMessageCommandInput> = {},
  ): Promise<string> {
    const command = {
      QueueUrl: url,
      MessageBody: typeof body === 'string' ? body : JSON.stringify(body),
      MessageAttributes: Object.fromEntries(
        Object.entries(attributes).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
      ),
      ...more,
    };
    return (await this.client.send(new SendMessageCommand(command))).MessageId ?? '';
  }

  /** What is on the queue now, taken off it. */
  async take(url: string): Promise<readonly Message[]> {
    const command = { QueueUrl: url, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] };
    const { Messages = [] } = await this.client.send(new ReceiveMessageCommand(command));
    for (const { ReceiptHandle } of Messages) {
      await this.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
    }
    return Messages;
  }

  async collect(url: string, count: number): Promise<readonly Message[]> {
    const all: Message[] = [];
    const isEnough = async () => all.push(...(await this.take(url))) >= count;
    await until(isEnough, `${count} messages on ${url}`);
    return all;
  }

  async counts(url: string): Promise<{ visible: number; hidden: number }> {
    const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] });
    const { Attributes = {} } = await this.client.send(command);
    return {
      visible: Number(Attributes['ApproximateNumberOfMessages']),
      hidden: Number(Attributes['ApproximateNumberOfMessagesNotVisible']),
    };
  }

  async untilEmpty(url: string): Promise<void> {
    const isEmpty = async () => {
      const { visible, hidden } = await this.counts(url);
      return visible + hidden === 0;
    };
    await until(isEmpty, `${url} is empty`);
  }
}

export function attribute(message: Message | undefined, name: string): string | undefined {
  return message?.MessageAttributes?.[name]?.StringValue;
}
