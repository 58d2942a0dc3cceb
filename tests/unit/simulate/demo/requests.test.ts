import { expect, test } from 'vitest';
import { fillerText } from '../../../../src/model-sim/policy/filler-text.ts';
import { parseInferenceRequest } from '../../../../src/model-sim/policy/parse-request.ts';
import { planCall } from '../../../../src/model-sim/policy/plan-call.ts';
import {
  batchRow,
  type ChatBody,
  expectedText,
  interactiveBody,
  rowBody,
} from '../../../../src/simulate/demo/requests.ts';
import type { PlannedRequest } from '../../../../src/simulate/demo/workload.ts';

const planned = (index: number, promptTokens = 300, outputTokens = 40): PlannedRequest => ({
  index,
  atMs: 0,
  promptTokens,
  outputTokens,
});

/** What a simulated server with other settings than those the demo assumes answers. */
function served(body: ChatBody): { readonly text: string; readonly promptTokens: number } {
  const parsed = parseInferenceRequest('chat', body, {
    baseModels: ['tickets'],
    maxModelTokens: 8_192,
    embeddingDimensions: 64,
    hasAdapter: () => false,
  });
  if (!parsed.ok) throw new Error(parsed.error.message);
  const plan = planCall(parsed.value, { blockSizeTokens: 32, prefixCaching: true, medianOutputTokens: 129 });
  return { text: fillerText(plan.seeds[0]!, 0, plan.sequences[0]!.outputTokens), promptTokens: plan.promptTokens };
}

test.each([
  { name: 'a row', body: rowBody(1, planned(3)) },
  { name: 'a chat', body: interactiveBody(1, planned(3)) },
])('the expected text of $name is what a simulated server answers', ({ body }) => {
  expect(expectedText(body)).toBe(served(body).text);
});

test('prompts are about as long as the trace says', () => {
  for (const promptTokens of [200, 1_000, 4_000]) {
    const { promptTokens: counted } = served(rowBody(1, planned(0, promptTokens)));
    expect(counted).toBeGreaterThan(promptTokens * 0.9);
    expect(counted).toBeLessThan(promptTokens * 1.1 + 60);
  }
});

test('no two requests have the same answer, so a mixed-up one is seen', () => {
  const texts = Array.from({ length: 500 }, (_request, index) => expectedText(rowBody(1, planned(index, 64))));
  expect(new Set(texts).size).toBe(texts.length);
});

test('a line of the file is a batch row named by its ticket, and only chats stream', () => {
  const line = JSON.parse(batchRow(1, planned(7))) as unknown;
  const body = rowBody(1, planned(7));
  expect(line).toEqual({ custom_id: 'T-100007', method: 'POST', url: '/v1/chat/completions', body });
  expect(JSON.stringify(body)).toContain('T-100007');
  expect(body).not.toHaveProperty('stream');
  expect(interactiveBody(1, planned(0))).toMatchObject({ stream: true });
});
