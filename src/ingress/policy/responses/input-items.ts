import { isJsonObject, type JsonObject } from '../json-body.ts';

export interface ItemPage {
  readonly limit: number;
  readonly after: string | null;
  readonly order: 'asc' | 'desc';
}

/** GET /v1/responses/{id}/input_items: what was asked, item by item; ids are made from the places. */
export function inputItems(request: Uint8Array, id: string, { limit, after, order }: ItemPage): JsonObject {
  const body: unknown = JSON.parse(new TextDecoder().decode(request));
  const input = isJsonObject(body) ? body.input : undefined;
  const listed: readonly unknown[] = Array.isArray(input) ? input : [{ role: 'user', content: input }];
  const items = listed.map((item, index) => asItem(item, `${id.replace(/^resp_/, 'msg_')}_${index}`));
  if (order === 'desc') items.reverse();
  const from = after === null ? 0 : items.findIndex((item) => item['id'] === after) + 1;
  const data = items.slice(from, from + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.['id'] ?? null,
    last_id: data.at(-1)?.['id'] ?? null,
    has_more: from + data.length < items.length,
  };
}

function asItem(item: unknown, id: string): JsonObject {
  const fields = isJsonObject(item) ? item : {};
  if (fields.role === undefined) return { id, ...fields };
  const { content } = fields;
  const type = fields.role === 'assistant' ? 'output_text' : 'input_text';
  const parts = typeof content === 'string' ? [{ type, text: content }] : content;
  return { id, type: 'message', status: 'completed', ...fields, content: parts };
}
