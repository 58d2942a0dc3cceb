import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { visibilitySeconds } from '../policy/pace.ts';
import type { Attributes } from '../policy/result.ts';
import type { EntryAnswer, Outbound, OutgoingMessage, QueueMessage, SourceQueue, Visibility } from '../ports.ts';
import { ServiceFailure } from './service-failure.ts';

export interface SqsServiceSettings {
  readonly region: string;
  /** Null = AWS. */
  readonly endpoint: string | null;
}

const LONG_POLL_S = 20;
/** Beyond the time that the service itself may take. */
const ANSWER_WITHIN_MS = 10_000;
const CONNECT_MS = 3_000;
const CONNECTIONS = 64;
const TRIES = 3;

/** Queues of one region. Credentials come from the SDK's default chain (environment, shared files, identity of the pod). */
export class SqsService implements Outbound {
  readonly #client: SQSClient;

  constructor({ region, endpoint }: SqsServiceSettings) {
    this.#client = new SQSClient({
      region,
      maxAttempts: TRIES,
      // Else the URL of the queue says where calls go, which behind a proxy is somewhere else.
      ...(endpoint === null ? {} : { endpoint, useQueueUrlAsEndpoint: false }),
      requestHandler: {
        connectionTimeout: CONNECT_MS,
        httpAgent: { maxSockets: CONNECTIONS },
        httpsAgent: { maxSockets: CONNECTIONS },
      },
    });
  }

  source(queueUrl: string): SourceQueue {
    return {
      receive: (maxMessages, visibilityMs, signal) => this.#receive(queueUrl, maxMessages, visibilityMs, signal),
      setVisibility: (entries) => this.#setVisibility(queueUrl, entries),
      delete: (receipts) => this.#delete(queueUrl, receipts),
    };
  }

  async send(queueUrl: string, messages: readonly OutgoingMessage[]): Promise<readonly EntryAnswer[]> {
    const entries = messages.map(({ body, attributes, groupId, dedupId }, index) => ({
      Id: String(index),
      MessageBody: body,
      MessageAttributes: writtenAttributes(attributes),
      ...(groupId === null ? {} : { MessageGroupId: groupId }),
      ...(dedupId === null ? {} : { MessageDeduplicationId: dedupId }),
    }));
    const command = new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries });
    const answer = await this.#call('results cannot be sent', (abortSignal) =>
      this.#client.send(command, { abortSignal }),
    );
    return answersOf(messages.length, answer);
  }

  close(): void {
    this.#client.destroy();
  }

  async #receive(
    queueUrl: string,
    maxMessages: number,
    visibilityMs: number,
    signal: AbortSignal,
  ): Promise<readonly QueueMessage[]> {
    const command = new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: maxMessages,
      WaitTimeSeconds: LONG_POLL_S,
      VisibilityTimeout: visibilitySeconds(visibilityMs),
      MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp', 'MessageGroupId'],
      MessageAttributeNames: ['All'],
    });
    const answer = await this.#call(
      'messages cannot be received',
      (abortSignal) => this.#client.send(command, { abortSignal: AbortSignal.any([abortSignal, signal]) }),
      LONG_POLL_S * 1_000 + ANSWER_WITHIN_MS,
    );
    return (answer.Messages ?? []).map(queueMessage);
  }

  async #setVisibility(queueUrl: string, entries: readonly Visibility[]): Promise<readonly EntryAnswer[]> {
    const command = new ChangeMessageVisibilityBatchCommand({
      QueueUrl: queueUrl,
      Entries: entries.map(({ receipt, visibilityMs }, index) => ({
        Id: String(index),
        ReceiptHandle: receipt,
        VisibilityTimeout: visibilitySeconds(visibilityMs),
      })),
    });
    const answer = await this.#call('visibility cannot be renewed', (abortSignal) =>
      this.#client.send(command, { abortSignal }),
    );
    return answersOf(entries.length, answer);
  }

  async #delete(queueUrl: string, receipts: readonly string[]): Promise<readonly EntryAnswer[]> {
    const command = new DeleteMessageBatchCommand({
      QueueUrl: queueUrl,
      Entries: receipts.map((receipt, index) => ({ Id: String(index), ReceiptHandle: receipt })),
    });
    const answer = await this.#call('messages cannot be deleted', (abortSignal) =>
      this.#client.send(command, { abortSignal }),
    );
    return answersOf(receipts.length, answer);
  }

  async #call<T>(
    what: string,
    send: (signal: AbortSignal) => Promise<T>,
    withinMs = ANSWER_WITHIN_MS * TRIES,
  ): Promise<T> {
    try {
      return await send(AbortSignal.timeout(withinMs));
    } catch (error) {
      throw new ServiceFailure(what, error);
    }
  }
}

interface BatchAnswer {
  readonly Successful?: readonly { readonly Id?: string | undefined }[] | undefined;
  readonly Failed?:
    | readonly {
        readonly Id?: string | undefined;
        readonly Code?: string | undefined;
        readonly SenderFault?: boolean | undefined;
      }[]
    | undefined;
}

/** In the order of the entries; an entry that the answer does not name may be repeated. */
function answersOf(count: number, { Successful, Failed }: BatchAnswer): readonly EntryAnswer[] {
  const done = new Set((Successful ?? []).map(({ Id }) => Id));
  const failed = new Map((Failed ?? []).map((failure) => [failure.Id, failure]));
  return Array.from({ length: count }, (_, index) => {
    const id = String(index);
    if (done.has(id)) return null;
    const { Code = 'NoAnswer', SenderFault = false } = failed.get(id) ?? {};
    return { code: Code, isSenderFault: SenderFault };
  });
}

function queueMessage(message: Message): QueueMessage {
  const { MessageId = '', ReceiptHandle = '', Body = '', Attributes = {}, MessageAttributes = {} } = message;
  const texts = Object.entries(MessageAttributes).flatMap(([name, { StringValue }]): [string, string][] =>
    StringValue === undefined ? [] : [[name, StringValue]],
  );
  return {
    id: MessageId,
    receipt: ReceiptHandle,
    body: Body,
    receiveCount: Number(Attributes.ApproximateReceiveCount ?? 1),
    sentAtEpochMs: Number(Attributes.SentTimestamp ?? Date.now()),
    groupId: Attributes.MessageGroupId ?? null,
    attributes: Object.fromEntries(texts),
  };
}

function writtenAttributes(attributes: Attributes): Record<string, { DataType: string; StringValue: string }> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [name, { DataType: type, StringValue: value }]),
  );
}
