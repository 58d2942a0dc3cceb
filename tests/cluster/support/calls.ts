import { MODEL } from '../../../src/simulate/demo/names.ts';
import { expectedText } from '../../support/expected-text.ts';

export interface CallOptions {
  readonly apiUrl: string;
  /** Distinguishes calls: the answer is a function of it. */
  readonly label: string;
  readonly tokens?: number;
  readonly model?: string;
  readonly signal?: AbortSignal;
  /** Told the time of the first token. */
  readonly onToken?: () => void;
}

export interface CallOutcome {
  readonly label: string;
  readonly status: number;
  /** The whole text, [DONE] seen and equal to what the simulator must answer to this call and to no other. */
  readonly isRight: boolean;
  /** What went wrong; null when nothing did. */
  readonly problem: string | null;
}

/** One streamed chat, compared byte for byte with what its model server must answer. Never throws. */
export async function streamChat(options: CallOptions): Promise<CallOutcome> {
  const { apiUrl, label, tokens = 40, model = MODEL, signal, onToken } = options;
  const body = {
    model,
    max_tokens: tokens,
    ignore_eos: true as const,
    messages: [{ role: 'user', content: `Call ${label}` }],
  };
  try {
    const answer = await fetch(`${apiUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true }),
      ...(signal && { signal }),
    });
    const read = await readStream(answer, onToken);
    if (read.problem !== null) return { label, status: answer.status, isRight: false, problem: read.problem };
    const isRight = read.isDone && read.text === expectedText(body);
    return { label, status: answer.status, isRight, problem: isRight ? null : `cut after ${read.text.length} bytes` };
  } catch (error) {
    return { label, status: 0, isRight: false, problem: String((error as Error).cause ?? error) };
  }
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
  readonly text: string;
  readonly isDone: boolean;
  readonly problem: string | null;
}

async function readStream(answer: Response, onToken?: () => void): Promise<Read> {
  let text = '';
  let isDone = false;
  let rest = '';
  const decoder = new TextDecoder();
  if (!answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    return { text, isDone, problem: `HTTP ${answer.status}: ${(await answer.text()).slice(0, 300)}` };
  }
  for await (const chunk of answer.body ?? []) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue;
      if (line === 'data: [DONE]') {
        isDone = true;
        continue;
      }
      const event = JSON.parse(line.slice(6)) as {
        error?: { message: string };
        choices?: { delta: { content?: string } }[];
      };
      if (event.error) return { text, isDone, problem: event.error.message };
      const content = event.choices?.[0]?.delta.content ?? '';
      if (content !== '') onToken?.();
      text += content;
    }
  }
  return { text, isDone, problem: null };
}
