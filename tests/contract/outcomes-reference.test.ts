import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { PilotlightError } from '../../src/core/errors.ts';
import {
  DROPPED_REASON_HEADER,
  FLOW_OUTCOME_NAMES,
  FLOW_OUTCOMES,
  FLOW_OUTCOMES_METRIC,
  type FlowOutcome,
  type FlowStage,
  flowOutcomeOf,
} from '../../src/core/flow-outcomes.ts';

const PAGE = new URL('../../docs/outcomes.md', import.meta.url);

const STAGES: Readonly<Record<FlowStage, string>> = {
  dispatched: 'It got a slot',
  rejected: 'Rejected: it never entered the live order',
  evicted: 'Evicted: it left the live order without a slot',
  revoked: 'Revoked: it had a slot, and lost it through no fault of the model server',
};

const INTRO = `# Outcomes

How a request leaves flow control: exactly one of these each. The names are the label \`outcome\` of
\`${FLOW_OUTCOMES_METRIC.name}{pool, objective, outcome}\`; pool and objective are \`none\` for what is refused before they are
known. \`theirs\` is the label that \`inference_extension_flow_control_request_queue_duration_seconds\` has for it. The meaning of
each code is in [errors.md](errors.md), and all waits with their limits in [waiting.md](waiting.md). This page is made from the code:
\`PILOTLIGHT_TEST_WRITE=1 npx vitest run --project integration tests/contract/outcomes-reference\`.

- **429 is busy, 503 is no capacity.** A budget that is full while no model server is ready is 503 \`no_capacity\`, and so is a TTL that
  passes then. A tenant's own limit is always 429.
- **\`${DROPPED_REASON_HEADER}\`** has the words of llm-d's endpoint picker where it has one, ours in the same style otherwise. Inside
  a stream that has begun it is a comment line before the error event: \`: pilotlight dropped=evicted retry-after-ms=7000\`.
- **\`Retry-After\`** (seconds, and \`retry-after-ms\`) is measured: *queue* = until a tenth of what stands before the caller is done, after
  the boot while nothing serves; *quota* = until the same request would pass; *fixed* = 1 or 2 s, because another try may help
  at once.
- **stored** is what the event means for a job or a row: *same*; *refused* = its submission is answered so; *handed back* = it waits in the
  backlog again, no attempt used, and is not counted, because it has not left; *expired*, *cancelled* = its outcome; – = it cannot
  happen to it. A job for which a budget has no room is refused with 429, whether or not model servers are ready.
`;

function row(name: string, outcome: FlowOutcome): string {
  const { code, droppedReason, retryAfter, stored, theirs, when } = outcome;
  const error = code === null ? null : new PilotlightError(code, '');
  const cells = [
    `\`${name}\``,
    error ? `${error.httpStatus} \`${error.code}\`` : '–',
    droppedReason === null ? '–' : `\`${droppedReason}\``,
    retryAfter === 'none' ? '–' : retryAfter,
    error ? (error.retryable ? 'yes' : 'no') : '–',
    stored === 'never' ? '–' : stored.replace('_', ' '),
    theirs,
    when,
  ];
  return `| ${cells.join(' | ')} |`;
}

function page(): string {
  const tables = Object.entries(STAGES).map(([stage, title]) => {
    const rows = FLOW_OUTCOME_NAMES.filter((name) => FLOW_OUTCOMES[name].stage === stage);
    const lines = rows.map((name) => row(name, FLOW_OUTCOMES[name]));
    const header = '| outcome | answer | dropped reason | Retry-After | retry | stored | theirs | when |';
    return `\n## ${title}\n\n${header}\n|${' --- |'.repeat(8)}\n${lines.join('\n')}\n`;
  });
  return INTRO + tables.join('');
}

test('docs/outcomes.md is what the code says', async () => {
  if (process.env['PILOTLIGHT_TEST_WRITE'] === '1') await writeFile(PAGE, page());
  expect(await readFile(PAGE, 'utf8')).toBe(page());
});

test('names begin with their stage, and codes lead back to an outcome of theirs', () => {
  for (const name of FLOW_OUTCOME_NAMES) {
    const { stage, code } = FLOW_OUTCOMES[name];
    expect(name.startsWith(stage), name).toBe(true);
    const byCode = code && flowOutcomeOf(new PilotlightError(code, ''));
    expect(byCode && FLOW_OUTCOMES[byCode].code, name).toBe(code);
  }
});
