import { embeddingAnswer, wholeAnswer } from '../policy/answers.ts';
import type { ApiError } from '../policy/api-error.ts';
import { simulatedEmbedding } from '../policy/embedding.ts';
import { fillerText } from '../policy/filler-text.ts';
import { wholeResponse } from '../policy/responses.ts';
import { type Reply, type ReplySource, sendError, sendJson, usageOf } from './reply.ts';

/** Answers a call that is not streamed: one body when all is done. */
export class WholeReply implements Reply {
  readonly #source: ReplySource;
  #open: number;

  constructor(source: ReplySource) {
    this.#source = source;
    this.#open = source.plan.sequences.length;
  }

  start(): void {
    // Nothing is sent before the end, the status neither.
  }

  grown(): void {
    // The text is made at the end, from the number of tokens.
  }

  ended(): void {
    this.#open -= 1;
    if (this.#open === 0) sendJson(this.#source.response, 200, this.#body());
  }

  fail(error: ApiError): void {
    sendError(this.#source.response, error);
  }

  #body(): string {
    const { head, plan, request, sequences } = this.#source;
    const usage = usageOf(this.#source);
    if (request.kind === 'embedding') return embeddingAnswer(head, plan.seeds.map(vectorOf(request)), usage);
    const choices = sequences.map((sequence, index) => ({
      text: fillerText(plan.seeds[index] ?? 0, 0, sequence.generatedTokens),
      finishReason: sequence.finishReason ?? 'abort',
    }));
    const [first] = choices;
    if (request.kind === 'response') {
      const { text, finishReason } = first ?? { text: '', finishReason: 'abort' as const };
      return wholeResponse(head, request.echo, { text, finishReason, usage });
    }
    return wholeAnswer(request.kind, head, choices, usage);
  }
}

function vectorOf({ base64, dimensions }: { base64: boolean; dimensions: number }) {
  return (seed: number): string | number[] => {
    const vector = simulatedEmbedding(seed, dimensions);
    return base64 ? Buffer.from(vector.buffer).toString('base64') : [...vector];
  };
}
