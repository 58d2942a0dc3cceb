import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { run, withFiles } from '../support.ts';

const ROW = '{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}\n';

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A server that stores one file and one batch. Each look at the batch is answered with the next of `states`. */
function batchServer(states: readonly Record<string, unknown>[], contents: Readonly<Record<string, string>> = {}) {
  const sent: Sent[] = [];
  let looks = 0;
  const batch = (state: Record<string, unknown> = {}) => ({
    id: 'batch_1',
    status: 'validating',
    model: 'm',
    created_at: 1,
    expires_at: 2,
    output_file_id: null,
    error_file_id: null,
    errors: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
    ...state,
  });
  const fetch = (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const { pathname } = new URL(String(input));
    const method = init.method ?? 'GET';
    const body = typeof init.body === 'string' ? (JSON.parse(init.body) as unknown) : init.body;
    sent.push({ method, path: pathname, headers: new Headers(init.headers), body });
    const content = contents[pathname];
    if (content !== undefined) return Promise.resolve(new Response(content));
    if (method === 'POST' && pathname === '/v1/files') return Promise.resolve(Response.json({ id: 'file-1' }));
    if (method === 'POST' && pathname === '/v1/batches') return Promise.resolve(Response.json(batch()));
    if (pathname === '/v1/batches/batch_1') {
      const state = states[Math.min(looks, states.length - 1)];
      looks += 1;
      return Promise.resolve(Response.json(batch(state)));
    }
    return Promise.resolve(Response.json({ error: { message: 'Unknown.', code: 'route_not_found' } }, { status: 404 }));
  };
  return { fetch: fetch as typeof globalThis.fetch, sent };
}

const DONE = { status: 'completed', request_counts: { total: 1, completed: 1, failed: 0 }, output_file_id: 'file-out' };

describe('pilotlight batch submit', () => {
  test('uploads the file, creates a batch for the url of its rows, and prints the id', async () => {
    const file = withFiles({ 'rows.jsonl': ROW })('rows.jsonl');
    const { fetch, sent } = batchServer([]);
    const { exitCode, stdout } = await run(['batch', 'submit', file, '--objective', 'nightly', '--by', '8h'], {
      fetch,
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'batch_1\n' });
    const form = sent[0]?.body as FormData;
    expect([form.get('purpose'), await (form.get('file') as File).text()]).toEqual(['batch', ROW]);
    expect(sent[1]?.body).toMatchObject({
      input_file_id: 'file-1',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      pilotlight: { objective: 'nightly' },
    });
    expect(sent[1]?.headers.get('idempotency-key')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('with --wait, waits for the end and downloads the results', async () => {
    const file = withFiles({ 'rows.jsonl': ROW })('rows.jsonl');
    const { fetch } = batchServer([{ status: 'validating' }, DONE], { '/v1/files/file-out/content': '{"a":1}\n' });
    const { exitCode, stderr } = await run(['batch', 'submit', file, '--wait'], { fetch });
    expect(exitCode).toBe(0);
    expect(readFileSync(`${file}.results.jsonl`, 'utf8')).toBe('{"a":1}\n');
    expect(stderr).toContain('1 of 1 rows completed');
  });

  test('run again, it neither uploads nor creates: it goes on with the batch it knows', async () => {
    const file = withFiles({ 'rows.jsonl': ROW })('rows.jsonl');
    const { fetch, sent } = batchServer([DONE], { '/v1/files/file-out/content': '' });
    await run(['batch', 'submit', file, '--by', '8h'], { fetch });
    await run(['batch', 'submit', file, '--by', '8h', '--wait'], { fetch });
    expect(sent.filter(({ method }) => method === 'POST')).toHaveLength(2);
  });

  test('a file that changed since then is another submission, and the note says so', async () => {
    const file = withFiles({ 'rows.jsonl': ROW })('rows.jsonl');
    const { fetch } = batchServer([DONE]);
    await run(['batch', 'submit', file], { fetch });
    writeFileSync(file, ROW + ROW);
    const { exitCode, stderr } = await run(['batch', 'submit', file], { fetch });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('batch batch_1');
  });

  test('a batch whose file did not validate ends with its lines and what is wrong with them', async () => {
    const file = withFiles({ 'rows.jsonl': ROW })('rows.jsonl');
    const data = [{ code: 'duplicate_custom_id', message: "The custom_id '1' is used twice.", param: null, line: 2 }];
    const { fetch } = batchServer([{ status: 'failed', errors: { data } }]);
    const { exitCode, stderr } = await run(['batch', 'submit', file, '--wait'], { fetch });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("line 2: The custom_id '1' is used twice. (duplicate_custom_id)");
  });

  test.each([
    ['a file that is not there', 'missing.jsonl', [], 'cannot be read'],
    ['a first line that is no batch row', 'chat.jsonl', [], 'not a batch row'],
    ['a time that is none', 'rows.jsonl', ['--by', 'soon'], '"soon" is not a time'],
    ['metadata without "="', 'rows.jsonl', ['--metadata', 'job'], 'Write key=value.'],
  ])('refuses %s before it sends anything', async (_, name, flags, message) => {
    const at = withFiles({ 'rows.jsonl': ROW, 'chat.jsonl': '{"model":"m"}\n' });
    const { fetch, sent } = batchServer([]);
    const { exitCode, stderr } = await run(['batch', 'submit', at(name), ...flags], { fetch });
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain(message);
    expect(sent).toEqual([]);
  });
});
