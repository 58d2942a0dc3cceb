import type { ApiPath } from '../../core/call.ts';
import { isJsonObject, type JsonObject } from './json-body.ts';

/**
 * The prompt of a validated body as one text in which an equal start means an equal start of the engine's prompt:
 * tools first, as chat templates have them, then each message. For prefix locality only.
 */
export function promptText(path: ApiPath, body: JsonObject): string {
  if (path === '/v1/completions') return plainText(body.prompt);
  if (path === '/v1/embeddings' && body.input !== undefined) return plainText(body.input);
  const tools = Array.isArray(body.tools) ? `${JSON.stringify(body.tools)}\n` : '';
  const messages: readonly unknown[] = Array.isArray(body.messages) ? body.messages : [];
  return tools + messages.map(messageText).join('');
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
