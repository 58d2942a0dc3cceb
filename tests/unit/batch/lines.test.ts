import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  answeredLine,
  CANCELLED,
  EXPIRED,
  failedLine,
  jsonOnOneLine,
  lineOfRowId,
  rowId,
  wrongRowLine,
} from '../../../src/batch/policy/lines.ts';

const utf8 = new TextEncoder();
const text = (line: Uint8Array): string => new TextDecoder().decode(line);
const HEAD = { id: 'batch_req_1', customId: 'ticket-1' };

function answered(body: string | Uint8Array, statusCode = 200): string {
  const bytes = typeof body === 'string' ? utf8.encode(body) : body;
  return text(answeredLine(HEAD, { statusCode, requestId: 'req_a', body: bytes }));
}

describe('a line of an output or error file', () => {
  it('has the answer of the model server as it was sent', () => {
    expect(answered('{"id":"chatcmpl-1","n":12345678901234567890}')).toBe(
      '{"id":"batch_req_1","custom_id":"ticket-1","response":{"status_code":200,"request_id":"req_a","body":' +
        '{"id":"chatcmpl-1","n":12345678901234567890}},"error":null}',
    );
  });

  it('has the refusal of the model server as its response, and no error', () => {
    const line: unknown = JSON.parse(answered('{"error":{"message":"too long"}}', 400));
    expect(line).toMatchObject({
      response: { status_code: 400, body: { error: { message: 'too long' } } },
      error: null,
    });
  });

  it.each([
    ['expired', EXPIRED, 'batch_expired'],
    ['cancelled', CANCELLED, 'batch_cancelled'],
  ])('has no response when its row %s', (_name, error, code) => {
    const line: unknown = JSON.parse(text(failedLine(HEAD, error)));
    expect(line).toEqual({
      id: 'batch_req_1',
      custom_id: 'ticket-1',
      response: null,
      error: { code, message: error.message },
    });
  });

  it('has the parameter and the line of a wrong row', () => {
    const error = { code: 'invalid_value', message: 'm', param: 'method', line: 3 };
    expect(JSON.parse(text(wrongRowLine({ id: 'x', customId: null }, error)))).toEqual({
      id: 'x',
      custom_id: null,
      response: null,
      error,
    });
  });

  it('has tries, wait and last error where they were asked for', () => {
    const meta = { attempts: 2, waitedMs: 10, lastError: 'upstream_timeout' };
    for (const line of [
      failedLine(HEAD, EXPIRED, meta),
      answeredLine(HEAD, { statusCode: 200, requestId: 'r', body: utf8.encode('{}') }, meta),
    ]) {
      const { pilotlight } = JSON.parse(text(line)) as { pilotlight: unknown };
      expect(pilotlight).toEqual({ attempts: 2, waited_ms: 10, last_error: 'upstream_timeout' });
    }
  });

  it.each<[string, string | Uint8Array, string]>([
    [
      'a page of HTML',
      '<html>\nBad gateway</html>',
      'answered 502 with a body that is not JSON: \\"<html>\\nBad gateway</html>\\"',
    ],
    ['nothing', '', 'not JSON: nothing.'],
    ['bytes that are no UTF-8', Uint8Array.of(0xff, 0x22), 'not JSON'],
  ])('has an error envelope in place of %s', (_name, body, message) => {
    const line = answered(body, 502);
    expect(line).toContain(message);
    expect(JSON.parse(line)).toMatchObject({
      response: { status_code: 502, body: { error: { code: 'upstream_error' } } },
    });
  });

  it('is one line for every reader, and says the same as the body it was made of', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 3 }),
        fc.constantFrom('', '\n', '\r\n', '\t'),
        fc.constantFrom('a', '\u2028', '\u0085', '"'),
        (json, space, sign) => {
          const value: unknown = [JSON.parse(json), sign];
          const body = JSON.stringify(value, null, space === '' ? undefined : 2).replaceAll('\n', space || '\n');
          const line = jsonOnOneLine(utf8.encode(body)) ?? '';
          expect(line).not.toMatch(/[\r\n\u0085\u2028\u2029]/);
          expect(JSON.parse(line)).toEqual(value);
        },
      ),
    );
  });
});

describe('the id of a row', () => {
  it('is the same each time, and tells its line', () => {
    expect(rowId('batch_abc', 0)).toBe('batch_req_abc_1');
    fc.assert(
      fc.property(
        fc.stringMatching(/^batch_[0-9a-z_]{1,20}$/),
        fc.nat(),
        (batchId, line) => lineOfRowId(rowId(batchId, line)) === line,
      ),
    );
    expect(lineOfRowId('batch_req_x')).toBeUndefined();
  });
});
