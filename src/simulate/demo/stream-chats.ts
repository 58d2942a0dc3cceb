import { retryDelayMs, type StreamEnd } from './adapters/api.ts';
import { ChatTranscript } from './chat-transcript.ts';
import type { ChatFacts } from './facts.ts';
import { type ChatBody, expectedText, interactiveBody } from './requests.ts';
import type { Session } from './session.ts';
import type { PlannedRequest } from './workload.ts';

/** As often as the official clients try again after a refusal or a connection that broke before the first token, and a few more. */
const MAX_TRIES = 6;

export interface ChatListener {
  /** Whether a replica is ready now. */
  hasReadyReplica(): boolean;
  sent(index: number): void;
  /** A comment of a stream that waits, such as "pilotlight phase=waking position=0 eta=4s". */
  comment(index: number, text: string): void;
  refused(): void;
  firstToken(index: number, ttftMs: number): void;
  ended(chat: ChatFacts): void;
}

/** Streams every chat, each begun at its time. Resolves when all have an outcome. */
export async function streamChats(
  session: Session,
  planned: readonly PlannedRequest[],
  listener: ChatListener,
): Promise<void> {
  const begun = planned.map(async (request) => {
    await session.until(request.atMs);
    listener.ended(await streamChat(session, request, listener));
  });
  await Promise.all(begun);
}

type TryEnd = { readonly transcript: ChatTranscript; readonly end: StreamEnd };

async function streamChat(session: Session, request: PlannedRequest, listener: ChatListener): Promise<ChatFacts> {
  const sentAtMs = session.elapsedMs();
  const metSleepingPool = !listener.hasReadyReplica();
  listener.sent(request.index);
  const body = interactiveBody(session.seed, request);
  for (let tries = 1; ; tries += 1) {
    const attempt = await tryOnce(session, request, body, sentAtMs, listener);
    const { transcript, end } = attempt;
    const retryMs = end.kind === 'ended' ? null : retryDelayMs(end);
    const mayTryAgain = tries < MAX_TRIES && transcript.firstTokenAtMs === null;
    if (mayTryAgain && end.kind === 'lost') {
      await session.pauseAfterLoss();
    } else if (mayTryAgain && retryMs !== null) {
      listener.refused();
      await session.clock.sleep(retryMs, session.signal);
    } else {
      const ttftMs = sinceSent(transcript.firstTokenAtMs, sentAtMs);
      const queueMs = end.kind === 'ended' ? end.queueMs : null;
      const waitMs = queueMs ?? sinceSent(transcript.firstEventAtMs, sentAtMs);
      return { index: request.index, metSleepingPool, ttftMs, waitMs, ...judged(attempt, body) };
    }
  }
}

async function tryOnce(
  session: Session,
  { index }: PlannedRequest,
  body: ChatBody,
  sentAtMs: number,
  listener: ChatListener,
): Promise<TryEnd> {
  const transcript = new ChatTranscript();
  const path = '/v1/chat/completions';
  const end = await session.stream(
    { method: 'POST', path, key: session.keys.chats, body },
    {
      comment: (text) => listener.comment(index, text),
      data(data) {
        const isFirst = transcript.firstTokenAtMs === null;
        transcript.take(data, session.elapsedMs());
        const { firstTokenAtMs } = transcript;
        if (isFirst && firstTokenAtMs !== null) listener.firstToken(index, firstTokenAtMs - sentAtMs);
      },
    },
  );
  return { transcript, end };
}

function judged({ transcript, end }: TryEnd, body: ChatBody): Pick<ChatFacts, 'outcome' | 'error' | 'textIsRight'> {
  if (end.kind === 'answer') {
    const isRefusal = retryDelayMs(end) !== null;
    return {
      outcome: isRefusal ? 'refused' : 'failed',
      error: `HTTP ${end.status}: ${end.text.slice(0, 200)}`,
      textIsRight: null,
    };
  }
  const { text, isDone, error, finishReason, firstTokenAtMs } = transcript;
  if (error !== null) return { outcome: 'failed', error, textIsRight: null };
  if (end.kind === 'lost') {
    const why = `the connection broke: ${end.why}`;
    return { outcome: firstTokenAtMs === null ? 'failed' : 'cut', error: why, textIsRight: null };
  }
  if (!isDone || finishReason !== 'length') {
    return { outcome: 'failed', error: `the stream ended early (finish_reason ${finishReason})`, textIsRight: null };
  }
  return { outcome: 'completed', error: null, textIsRight: text === expectedText(body) };
}

function sinceSent(atMs: number | null, sentAtMs: number): number | null {
  return atMs === null ? null : atMs - sentAtMs;
}
