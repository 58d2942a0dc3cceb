import { fillerText } from '../../src/model-sim/policy/filler-text.ts';
import { parseInferenceRequest } from '../../src/model-sim/policy/parse-request.ts';
import { planCall } from '../../src/model-sim/policy/plan-call.ts';

type Asked = { readonly model: string; readonly max_tokens: number };

/** What a simulator of the body's model must answer to it, byte for byte. */
export function expectedText(body: Asked): string {
  return fillerText(expectedSeed(body), 0, body.max_tokens);
}

/** Of that text: what a simulator's journal calls it by. */
export function expectedSeed(body: Asked): number {
  const models = { baseModels: [body.model], maxModelTokens: 32_768, embeddingDimensions: 1, hasAdapter: () => false };
  const parsed = parseInferenceRequest('chat', body, models);
  if (!parsed.ok) throw new Error(parsed.error.message);
  const [seed = 0] = planCall(parsed.value, { blockSizeTokens: 16, prefixCaching: false, medianOutputTokens: 1 }).seeds;
  return seed;
}
