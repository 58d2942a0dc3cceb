import { MODEL } from '../../../src/simulate/demo/names.ts';
import { expectedSeed, expectedText } from '../../support/expected-text.ts';

export interface CallOptions {
  readonly apiUrl: string;
  /** Distinguishes calls: the answer is a function of it. */
  readonly label: string;
  readonly tokens?: number;
  readonly model?: string;
  readonly signal?: AbortSignal;
  /** One body instead of a stream. */
  readonly plain?: boolean;
  /** Default: none, an anonymous caller. */
  readonly apiKey?: string;
  /** Told the time of the first token. */
  readonly onToken?: () => void;
}

export interface CallOutcome {
  readonly label: string;
  readonly status: number;
  /** The whole text, [DONE] seen and equal to what the simulator must answer to this call and to no other. */
  readonly isRight: boolean;
  /** Characters of text that came. */
  readonly received: number;
  /** What came is the beginning of the right text, nothing included. */
  readonly isPrefix: boolean;
  /** What went wrong; null when nothing did. */
  readonly problem: string | null;
  /** Of the error that it was told, before the answer or in the stream; null when it was told none. */
  readonly code: string | null;
  /** What the journals of the simulators call it by. */
  readonly seed: number;
}

/** One chat, compared byte for byte with what its model server must answer. Never throws. */
export async function streamChat(options: CallOptions): Promise<CallOutcome> {
  const { apiUrl, label, tokens = 40, model = MODEL, signal, onToken, apiKey, plain = false } = options;
  const body = {
    model,
    max_tokens: tokens,
    ignore_eos: true as const,
    messages: [{ role: 'user', content: `Call ${label}` }],
  };
  const read: Read = { status: 0, text: '', isDone: false, problem: null, code: null };
  try {
    const answer = await fetch(`${apiUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({ ...body, stream: !plain }),
      ...(signal && { signal }),
    });
    read.status = answer.status;
    await (plain ? readBody(answer, read) : readStream(answer, read, onToken));
  } catch (error) {
    read.problem = String((error as Error).cause ?? error);
  }
  const expected = expectedText(body);
  const isRight = read.problem === null && read.isDone && read.text === expected;
  const problem = isRight ? null : (read.problem ?? `${read.isDone ? 'wrong' : 'cut'} after ${read.text.length} bytes`);
  return {
    label,
    status: read.status,
    isRight,
    received: read.text.length,
    isPrefix: expected.startsWith(read.text),
    problem,
    code: read.code,
    seed: expectedSeed(body),
  };
}

/** `count` calls at once; only those that did not end as they must. */
export async function wrongCalls(calls: Promise<readonly CallOutcome[]>): Promise<readonly CallOutcome[]> {
  return (await calls).filter(({ isRight }) => !isRight);
}

export function burst(count: number, options: Omit<CallOptions, 'label'>, prefix = 'burst'): Promise<CallOutcome[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) => streamChat({ ...options, label: `${prefix}-${index}` })),
  );
}

interface Read {
  status: number;
  text: string;
  isDone: boolean;
  problem: string | null;
  code: string | null;
}

async function readBody(answer: Response, read: Read): Promise<void> {
  const body = await answer.text();
  if (answer.status !== 200) {
    refused(answer.status, body, read);
    return;
  }
  const completion = JSON.parse(body) as { choices: { message: { content: string } }[] };
  read.text = completion.choices[0]?.message.content ?? '';
  read.isDone = true;
}

function refused(status: number, body: string, read: Read): void {
  read.problem = `HTTP ${status}: ${body.slice(0, 300)}`;
  try {
    read.code = (JSON.parse(body) as { error?: { code?: string } }).error?.code ?? null;
  } catch {
    // Not an error of ours; the problem shows it.
  }
}

async function readStream(answer: Response, read: Read, onToken?: () => void): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  if (!answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    refused(answer.status, await answer.text(), read);
    return;
  }
  for await (const chunk of answer.body ?? []) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue;
      if (line === 'data: [DONE]') {
        read.isDone = true;
        continue;
      }
      const event = JSON.parse(line.slice(6)) as {
        error?: { message: string; code?: string };
        choices?: { delta: { content?: string } }[];
      };
      if (event.error) {
        read.problem = event.error.message;
        read.code = event.error.code ?? null;
        return;
      }
      const content = event.choices?.[0]?.delta.content ?? '';
      if (content !== '') onToken?.();
      read.text += content;
    }
  }
}
