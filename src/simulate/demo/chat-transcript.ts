import { z } from 'zod';

const chunk = z.object({
  choices: z
    .array(
      z.object({ delta: z.object({ content: z.string().nullish() }).optional(), finish_reason: z.string().nullish() }),
    )
    .default([]),
  error: z.object({ message: z.string(), code: z.string().nullish() }).optional(),
});

/** What one chat stream has said so far. */
export class ChatTranscript {
  text = '';
  finishReason: string | null = null;
  error: string | null = null;
  /** "[DONE]" has come. */
  isDone = false;
  firstEventAtMs: number | null = null;
  /** When the first token with something in it came. */
  firstTokenAtMs: number | null = null;

  /** One event's data, received `atMs`. */
  take(data: string, atMs: number): void {
    if (data === '[DONE]') {
      this.isDone = true;
      return;
    }
    const parsed = chunk.safeParse(parsedJson(data));
    if (!parsed.success) {
      this.error ??= `an event that is no chat chunk: ${data.slice(0, 100)}`;
      return;
    }
    this.firstEventAtMs ??= atMs;
    const { choices, error } = parsed.data;
    if (error) this.error ??= `${error.message} (${error.code ?? 'no code'})`;
    const [choice] = choices;
    const content = choice?.delta?.content ?? '';
    if (content !== '') this.firstTokenAtMs ??= atMs;
    this.text += content;
    this.finishReason ??= choice?.finish_reason ?? null;
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
