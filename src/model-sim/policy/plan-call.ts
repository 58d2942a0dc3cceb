import { outputLength } from './output-length.ts';
import type { InferenceRequest } from './parse-request.ts';
import { blockHashes, hashPrompt, promptTokens } from './prompt.ts';
import type { SequenceSpec } from './sequence.ts';
import { hash32, hashText } from './text-hash.ts';

export interface CallPlan {
  /** One for each choice of each prompt, in the order of the answer. */
  readonly sequences: readonly SequenceSpec[];
  /** What the texts or vectors are made from, one for each sequence. */
  readonly seeds: readonly number[];
  /** Each prompt counted once, as `usage` wants it. */
  readonly promptTokens: number;
}

export interface PlanConfig {
  readonly blockSizeTokens: number;
  readonly prefixCaching: boolean;
  readonly medianOutputTokens: number;
}

/**
 * What the engine has to do for the request. A seed is made from the model, the prompt, the request's `seed` and the
 * number of the choice, and from nothing else: not from the endpoint, the time, or the length asked for.
 */
export function planCall(request: InferenceRequest, config: PlanConfig): CallPlan {
  const sequences: SequenceSpec[] = [];
  const seeds: number[] = [];
  let total = 0;
  for (const prompt of request.prompts) {
    const tokens = promptTokens(prompt);
    total += tokens;
    const hashes = config.prefixCaching ? blockHashes(prompt, config.blockSizeTokens, request.adapter) : [];
    const state = hashText(hashPrompt(prompt), `\0${request.model}\0${request.seed}`);
    for (let choice = 0; choice < request.choices; choice += 1) {
      const seed = hash32(hashText(state, `\0${choice}`));
      const length = request.kind === 'embedding' ? EMBEDDING : outputLength(request, config.medianOutputTokens, seed);
      seeds.push(seed);
      sequences.push({
        promptTokens: tokens,
        blockHashes: hashes,
        outputTokens: length.tokens,
        endsBy: length.endsBy,
        adapter: request.adapter,
      });
    }
  }
  return { sequences, seeds, promptTokens: total };
}

const EMBEDDING = { tokens: 0, endsBy: 'stop' } as const;
