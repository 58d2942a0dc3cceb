import type { JsonObject } from './parse-fields.ts';

/** Fields of the request that its answer repeats. */
const ECHOED = {
  instructions: null,
  max_output_tokens: null,
  metadata: {},
  parallel_tool_calls: true,
  temperature: 1,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: [],
  top_p: 1,
  truncation: 'disabled',
} as const;

/** Those fields as the caller set them, or as they are when nothing was said. */
export function echoedFields(body: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(ECHOED).map(([name, fallback]) => [name, body[name] ?? fallback]));
}
