import { fillerText } from '../../model-sim/policy/filler-text.ts';
import { parseInferenceRequest } from '../../model-sim/policy/parse-request.ts';
import { planCall } from '../../model-sim/policy/plan-call.ts';
import { TEXT_UNITS_PER_TOKEN } from '../../model-sim/policy/prompt.ts';
import { MODEL } from './names.ts';
import { supportTicket, type Ticket, ticketNumber } from './ticket.ts';
import type { PlannedRequest } from './workload.ts';

/** Endpoint of every row. */
export const ROW_PATH = '/v1/chat/completions';

const SUMMARISE =
  'You summarise support tickets for the morning report. Say in plain words who wants what, what was tried, and what the ' +
  'next step is. Do not invent anything.';
const HELP = 'You help a support agent while the customer is on the line. Answer briefly, from the ticket alone.';
const QUESTIONS = [
  'What does the customer want?',
  'What should I offer?',
  'What was tried already?',
  'Draft a short reply, please.',
];

/** Roles, instructions and the question around the ticket, in characters. */
const FRAME_CHARS = 240;
/** Chats are about tickets that no row is about. */
const CHAT_TICKETS_FROM = 2_000_000;

/** An OpenAI chat body whose answer has exactly `max_tokens` tokens, so that the trace alone decides what it costs. */
export interface ChatBody extends Record<string, unknown> {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly max_tokens: number;
  readonly ignore_eos: true;
}

export function rowTicket(seed: number, planned: PlannedRequest): Ticket {
  return supportTicket(seed, planned.index, ticketChars(planned));
}

/** The chat body of one summary. */
export function rowBody(seed: number, planned: PlannedRequest): ChatBody {
  return chatBody(SUMMARISE, rowTicket(seed, planned).text, planned);
}

/** It as a line of a batch file, under the number of its ticket. */
export function batchRow(seed: number, planned: PlannedRequest): string {
  const custom_id = ticketNumber(planned.index);
  return JSON.stringify({ custom_id, method: 'POST', url: ROW_PATH, body: rowBody(seed, planned) });
}

export function interactiveBody(seed: number, planned: PlannedRequest): ChatBody {
  const ticket = supportTicket(seed, CHAT_TICKETS_FROM + planned.index, ticketChars(planned));
  const question = QUESTIONS[planned.index % QUESTIONS.length] ?? '';
  const body = chatBody(HELP, `${ticket.text}\n\n${question}`, planned);
  return { ...body, stream: true, stream_options: { include_usage: true } };
}

/** The text that a simulated model server must answer with: byte for byte, whoever computes it and however often. */
export function expectedText(body: ChatBody): string {
  const parsed = parseInferenceRequest('chat', body, SIMULATED);
  if (!parsed.ok) throw new Error(`the demo made a request that no model server takes: ${parsed.error.message}`);
  const [seed = 0] = planCall(parsed.value, { blockSizeTokens: 16, prefixCaching: false, medianOutputTokens: 1 }).seeds;
  return fillerText(seed, 0, body.max_tokens);
}

const SIMULATED = {
  baseModels: [MODEL],
  maxModelTokens: 32_768,
  embeddingDimensions: 1,
  hasAdapter: () => false,
};

function ticketChars({ promptTokens }: PlannedRequest): number {
  return Math.max(1, promptTokens * TEXT_UNITS_PER_TOKEN - FRAME_CHARS);
}

function chatBody(instructions: string, text: string, { outputTokens }: PlannedRequest): ChatBody {
  return {
    model: MODEL,
    messages: [
      { role: 'system', content: instructions },
      { role: 'user', content: text },
    ],
    max_tokens: outputTokens,
    ignore_eos: true,
  };
}
