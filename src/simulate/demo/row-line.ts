import { z } from 'zod';
import type { RowFacts } from './facts.ts';
import { type ChatBody, expectedText } from './requests.ts';

const completion = z.object({
  created: z.number(),
  choices: z.tuple([z.object({ message: z.object({ content: z.string() }) })]),
});

const rowLine = z.object({
  custom_id: z.string(),
  response: z.object({ status_code: z.number(), body: z.unknown() }).nullable(),
  pilotlight: z.object({ attempts: z.number().nullable() }).nullish(),
});
export type RowLine = z.output<typeof rowLine>;

/** One line of an output or error file; null when it is none. */
export function parseRowLine(text: string): RowLine | null {
  try {
    return rowLine.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** What the line says of the row whose body this is; `failed` = it stands in the error file. */
export function judgeRow(
  index: number,
  line: RowLine,
  found: { readonly failed: boolean; readonly body: ChatBody; readonly acceptedAtEpochMs: number },
): RowFacts {
  const { custom_id: id, response, pilotlight } = line;
  const attempts = pilotlight?.attempts ?? null;
  if (found.failed) return { index, id, status: 'failed', textIsRight: null, waitMs: null, attempts };
  const answer = response?.status_code === 200 ? completion.safeParse(response.body).data : undefined;
  const textIsRight = answer?.choices[0].message.content === expectedText(found.body);
  // The answer tells whole seconds: half a second later is the best guess.
  const waitMs = answer === undefined ? null : Math.max(0, answer.created * 1_000 + 500 - found.acceptedAtEpochMs);
  return { index, id, status: 'completed', textIsRight, waitMs, attempts };
}
