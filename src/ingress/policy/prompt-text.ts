import type { ApiPath } from '../../core/call.ts';
import { isJsonObject, type JsonObject } from './json-body.ts';

/**
 * The prompt of a validated body as one text in which an equal start means an equal start of the engine's prompt:
 * tools first, as chat templates have them, then each message. For prefix locality only.
 */
export function promptText(path: ApiPath, body: JsonObject): string {
  if (path === '/v1/completions') return plainText(body.prompt);
  if (path === '/v1/embeddings' && body.input !== undefined) return plainText(body.input);
  if (path === '/v1/responses') return responsePrompt(body);
  const tools = Array.isArray(body.tools) ? `${JSON.stringify(body.tools)}\n` : '';
  const messages: readonly unknown[] = Array.isArray(body.messages) ? body.messages : [];
  return tools + messages.map(messageText).join('');
}

function responsePrompt(body: JsonObject): string {
  const tools = Array.isArray(body.tools) ? `${JSON.stringify(body.tools)}\n` : '';
  const instructions = typeof body.instructions === 'string' ? `system\n${body.instructions}\n` : '';
  const items: readonly unknown[] = Array.isArray(body.input) ? body.input : [{ role: 'user', content: body.input }];
  return tools + instructions + items.map(itemText).join('');
}

/** Items that are no messages, such as the output of a tool, count with all they have. */
function itemText(item: unknown): string {
  return isJsonObject(item) && item.role === undefined ? `${JSON.stringify(item)}\n` : messageText(item);
}

function messageText(message: unknown): string {
  if (!isJsonObject(message)) return '';
  return `${String(message.role)}\n${contentText(message.content)}\n`;
}

function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? content.map(partText).join('\n') : '';
}

function partText(part: unknown): string {
  if (typeof part === 'string') return part;
  if (!isJsonObject(part)) return '';
  if (typeof part.text === 'string') return part.text;
  const image = part.image_url;
  return isJsonObject(image) && typeof image.url === 'string' ? image.url : String(part.type);
}

function plainText(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.map(String).join('\n') : '';
}
