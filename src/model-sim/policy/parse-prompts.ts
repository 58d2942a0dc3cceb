import { badRequest, type Checked } from './api-error.ts';
import { isJsonObject, type JsonObject } from './parse-fields.ts';
import { type ChatTurn, type Prompt, renderChat } from './prompt.ts';

/** Prompts in one call. vLLM has no limit of its own; here each becomes a sequence. */
const MAX_PROMPTS = 2_048;

/** The one prompt of a chat call. */
export function chatPrompts(body: JsonObject): Checked<Prompt[]> {
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0) {
    return { ok: false, error: badRequest('messages must be a non-empty array.', 'messages') };
  }
  const turns: ChatTurn[] = [];
  for (const [index, message] of messages.entries()) {
    const turn = chatTurn(message);
    if (turn === null) {
      return {
        ok: false,
        error: badRequest(`messages[${index}] needs a role and a content of text or parts.`, 'messages'),
      };
    }
    turns.push(turn);
  }
  return { ok: true, value: [renderChat(turns)] };
}

/** The one prompt of a response: its instructions, then its input, which is a text or a list of items. */
export function responsePrompts(body: JsonObject): Checked<Prompt[]> {
  const { instructions, input } = body;
  const items: readonly unknown[] = typeof input === 'string' ? [{ role: 'user', content: input }] : listOf(input);
  if (items.length === 0) {
    return { ok: false, error: badRequest('input must be a string or a non-empty array of items.', 'input') };
  }
  const turns: ChatTurn[] = typeof instructions === 'string' ? [{ role: 'system', text: instructions }] : [];
  for (const [index, item] of items.entries()) {
    const turn = responseTurn(item);
    if (turn === null) return { ok: false, error: badRequest(`input[${index}] is not an item.`, 'input') };
    turns.push(turn);
  }
  return { ok: true, value: [renderChat(turns)] };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** An item that is no message, such as the output of a tool, counts with all it has. */
function responseTurn(item: unknown): ChatTurn | null {
  if (!isJsonObject(item)) return null;
  return item.role === undefined ? { role: String(item.type), text: JSON.stringify(item) } : chatTurn(item);
}

/** A string, a list of token ids, or a list of either: `prompt` of a completion, `input` of an embedding. */
export function listedPrompts(body: JsonObject, field: 'prompt' | 'input'): Checked<Prompt[]> {
  const value = body[field];
  const single = onePrompt(value);
  if (single !== null) return { ok: true, value: [single] };
  const prompts = Array.isArray(value) ? value.map(onePrompt) : [];
  if (prompts.length === 0 || prompts.length > MAX_PROMPTS || prompts.includes(null)) {
    const expected = `a non-empty string, a list of token ids, or a list of at most ${MAX_PROMPTS} of either`;
    return { ok: false, error: badRequest(`${field} must be ${expected}.`, field) };
  }
  return { ok: true, value: prompts.filter((prompt) => prompt !== null) };
}

function onePrompt(value: unknown): Prompt | null {
  if (typeof value === 'string' && value !== '') return { kind: 'text', text: value };
  return isTokenIds(value) ? { kind: 'ids', ids: value } : null;
}

function isTokenIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id) && id >= 0);
}

function chatTurn(message: unknown): ChatTurn | null {
  if (!isJsonObject(message) || typeof message.role !== 'string') return null;
  const { role, content } = message;
  if (typeof content === 'string') return { role, text: content };
  if (Array.isArray(content)) return { role, text: content.map(partText).join('') };
  // A turn of the assistant that only calls tools has no content.
  return content === null || content === undefined ? { role, text: JSON.stringify(message.tool_calls ?? '') } : null;
}

/** Text as it is; of any other part, such as an image, its type stands in. */
function partText(part: unknown): string {
  if (!isJsonObject(part)) return '';
  return typeof part.text === 'string' ? part.text : `<${String(part.type)}>`;
}
