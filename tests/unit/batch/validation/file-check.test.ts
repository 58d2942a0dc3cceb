import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FileRules } from '../../../../src/batch/policy/validation/file-check.ts';
import { checkFile, row } from '../support/batch-file.ts';

const codes = (file: string, rules: Partial<FileRules> = {}): string[] =>
  checkFile(file, rules).errors.map(({ code, line, param }) => `${line ?? '-'} ${code} ${param ?? '-'}`);

describe('a batch file that is right', () => {
  it('gives a plan of its rows, in groups', () => {
    const file = [row('a'), row('b', {}, { model: 'n' }), row('c', { pilotlight: { max_attempts: 3 } })].join('\n');
    const { entries, ...found } = checkFile(file);
    expect(found).toMatchObject({ valid: true, rows: 3, runnable: 3, errors: [] });
    expect(entries.map(({ line, group, maxAttempts }) => [line, group, maxAttempts])).toEqual([
      [0, 0, null],
      [2, 0, 3],
      [1, 1, null],
    ]);
    for (const { line, offsetBytes, lengthBytes } of entries) {
      expect(Buffer.from(file).toString('utf8', offsetBytes, offsetBytes + lengthBytes)).toBe(file.split('\n')[line]);
    }
  });

  it.each([
    ['a byte order mark', `\u{feff}${row('a')}\n`],
    ['line breaks of Windows', `${row('a')}\r\n${row('b')}\r\n`],
    ['no last line break', row('a')],
    ['empty lines at its end', `${row('a')}\n\n \n`],
    ['keys nobody knows', row('a', { note: 'x', pilotlight: { colour: 'red' } }, { extra: 1 })],
    ['stream false', row('a', {}, { stream: false })],
  ])('may have %s', (_name, file) => {
    expect(checkFile(file)).toMatchObject({ valid: true, errors: [] });
  });

  it('asks once for each pair of model and objective', () => {
    const wish = { pilotlight: { objective: 'night' } };
    const file = [row('a'), row('b', wish), row('c'), row('d', wish)].join('\n');
    expect(checkFile(file).routes).toEqual([
      { model: 'm', objective: null },
      { model: 'm', objective: 'night' },
    ]);
  });
});

describe('a row that is wrong', () => {
  it.each<[string, string, string]>([
    ['without custom_id', row('a', { custom_id: undefined }), 'missing_required_parameter custom_id'],
    ['with a number as custom_id', row('a', { custom_id: 7 }), 'invalid_type custom_id'],
    ['with an empty custom_id', row(''), 'invalid_value custom_id'],
    ['with a long custom_id', row('é'.repeat(33)), 'invalid_value custom_id'],
    ['without method', row('a', { method: undefined }), 'missing_required_parameter method'],
    ['with GET', row('a', { method: 'GET' }), 'invalid_value method'],
    ['without url', row('a', { url: undefined }), 'missing_required_parameter url'],
    ['for another path', row('a', { url: '/v1/embeddings' }), 'url_mismatch url'],
    ['for another host', row('a', { url: 'http://169.254.169.254/v1/chat/completions' }), 'url_mismatch url'],
    ['for a path that only resolves to it', row('a', { url: '/v1/x/../chat/completions' }), 'url_mismatch url'],
    ['without body', row('a', { body: undefined }), 'missing_required_parameter body'],
    ['with a text as body', row('a', { body: 'x' }), 'invalid_type body'],
    ['without model', row('a', {}, { model: undefined }), 'missing_required_parameter body.model'],
    ['without messages', row('a', {}, { messages: undefined }), 'missing_required_parameter body.messages'],
    [
      'with a bad message',
      row('a', {}, { messages: [{ content: 'x' }] }),
      'missing_required_parameter body.messages[0].role',
    ],
    ['that streams', row('a', {}, { stream: true }), 'invalid_value body.stream'],
    ['for a model that is not there', row('a', {}, { model: 'missing' }), 'model_not_found body.model'],
    ['with wishes of the wrong type', row('a', { pilotlight: 'x' }), 'invalid_type pilotlight'],
    [
      'with an objective of the wrong type',
      row('a', { pilotlight: { objective: 1 } }),
      'invalid_type pilotlight.objective',
    ],
    ['with too many tries', row('a', { pilotlight: { max_attempts: 21 } }), 'invalid_value pilotlight.max_attempts'],
    ['that is no JSON', '{"a"', 'invalid_json_line -'],
    ['that is an array', '[]', 'invalid_json_line -'],
    ['that is empty', '', 'invalid_json_line -'],
    ['longer than the limit', row('a', {}, { user: 'x'.repeat(5_000) }), 'row_too_large -'],
  ])('%s fails the file, with its line', (_name, line, expected) => {
    const file = [row('first'), line, row('last')].join('\n');
    expect(codes(file)).toEqual([`2 ${expected}`]);
    expect(checkFile(file).valid).toBe(false);
  });

  it('with an id that was used already names the first line', () => {
    const { errors } = checkFile([row('a'), row('b'), row('a')].join('\n'));
    expect(errors).toEqual([
      {
        code: 'duplicate_custom_id',
        message: "The custom_id 'a' is used on line 1 already; it must be unique in the file.",
        param: 'custom_id',
        line: 3,
      },
    ]);
  });

  it('of one model too many is told, each time', () => {
    const file = ['m', 'n', 'm', 'n'].map((model, index) => row(`r${index}`, {}, { model })).join('\n');
    expect(codes(file, { models: 1 })).toEqual(['2 mismatched_model body.model', '4 mismatched_model body.model']);
    expect(codes(file, { models: 2 })).toEqual([]);
  });

  it('is told with up to 99 others, and how many more there are', () => {
    const { errors } = checkFile(Array.from({ length: 150 }, () => '{').join('\n'));
    expect(errors).toHaveLength(101);
    expect(errors[99]).toMatchObject({ code: 'invalid_json_line', line: 100 });
    expect(errors[100]).toMatchObject({ code: 'too_many_errors', line: null });
  });
});

describe('a file that is refused as a whole', () => {
  it.each<[string, string, Partial<FileRules>, string]>([
    ['empty', '', {}, '- empty_file -'],
    ['of empty lines alone', '\n\r\n  \n', {}, '- empty_file -'],
    ['with too many rows', [row('a'), row('b'), row('c')].join('\n'), { rows: 2 }, '- too_many_tasks -'],
    ['of one endless line', 'x'.repeat(40_000), {}, '- row_too_large -'],
    ['of empty lines without end', '\n'.repeat(20_000), { rows: 5 }, '- too_many_tasks -'],
  ])('%s', (_name, file, rules, expected) => {
    for (const onInvalidRow of ['fail', 'skip'] as const)
      expect(codes(file, { ...rules, onInvalidRow })).toEqual([expected]);
  });

  it('with more inputs to embed than allowed', () => {
    const url = '/v1/embeddings';
    const embed = (id: string, input: unknown): string => row(id, { url, body: { model: 'm', input } });
    const rules = { endpoint: url, inputs: 4 };
    const tokens = embed('c', [1, 2, 3]);
    expect(codes([embed('a', ['x', 'y']), embed('b', 'z'), tokens].join('\n'), rules)).toEqual([]);
    expect(codes([embed('a', ['x', 'y']), embed('b', [[1], [2]]), tokens].join('\n'), rules)).toEqual([
      '3 too_many_tasks -',
    ]);
  });

  it('with rows to run again that it does not have', () => {
    expect(checkFile(`${row('a')}\n`, {}, [0, 4]).errors).toMatchObject([{ code: 'input_modified' }]);
  });
});

describe('rows to run again', () => {
  it('are the only ones that are looked at', () => {
    const file = [row('a'), '{broken', row('c'), row('d')].join('\n');
    const found = checkFile(file, {}, [0, 3]);
    expect(found).toMatchObject({ valid: true, rows: 2, errors: [] });
    expect(found.entries.map(({ line }) => line)).toEqual([0, 3]);
  });
});

describe('wrong rows that are left out', () => {
  const file = [
    row('a'),
    '{',
    row('b', { method: 'PUT' }),
    row('a'),
    row('c'),
    row('d', {}, { model: 'missing' }),
  ].join('\n');

  it('have places behind the others, and their finished line', () => {
    const found = checkFile(file, { onInvalidRow: 'skip' });
    expect(found).toMatchObject({ valid: true, rows: 6, runnable: 2 });
    expect(found.entries.map(({ line }) => line)).toEqual([0, 4, 1, 2, 3, 5]);
    expect(found.wrongLines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { id: 'batch_req_b_2', custom_id: null, response: null, error: { code: 'invalid_json_line', line: 2 } },
      { custom_id: 'b', error: { code: 'invalid_value', param: 'method', line: 3 } },
      { custom_id: null, error: { code: 'duplicate_custom_id', line: 4 } },
      { custom_id: 'd', error: { code: 'model_not_found' } },
    ]);
    expect(found.errors).toHaveLength(4);
  });

  it('take their id with them: no other row may have it', () => {
    const found = checkFile([row('a', { method: 'PUT' }), row('a'), row('b')].join('\n'), { onInvalidRow: 'skip' });
    expect(found.runnable).toBe(1);
    expect(found.errors.map(({ code }) => code)).toEqual(['invalid_value', 'duplicate_custom_id']);
  });

  it('fail the file when no other row is left', () => {
    expect(checkFile('{\n{', { onInvalidRow: 'skip' })).toMatchObject({ valid: false, runnable: 0 });
  });
});

describe('any file', () => {
  const line = fc.oneof(
    fc.constantFrom('', ' ', '{', row('a'), row('b'), row('c', { method: 'PUT' }), row('d', {}, { model: 'missing' })),
    fc.string({ maxLength: 30 }),
  );

  it('gives the same however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 20 }),
        fc.integer({ min: 1, max: 200 }),
        fc.constantFrom('fail', 'skip'),
        (lines, step, onInvalidRow) => {
          const bytes = new TextEncoder().encode(lines.join('\n'));
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.subarray(at, at + step));
          expect(checkFile(chunks, { onInvalidRow })).toEqual(checkFile([bytes], { onInvalidRow }));
        },
      ),
    );
  });

  it('of random bytes is refused with an error, never with a crash', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 5 }), (chunks) => {
        const found = checkFile(chunks);
        expect(found.valid).toBe(false);
        expect(found.errors.length).toBeGreaterThan(0);
      }),
    );
  });

  it('has each line that is not empty in its plan or its errors', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
        const found = checkFile(lines.join('\n'), { onInvalidRow: 'skip' });
        const filled = lines
          .join('\n')
          .split('\n')
          .filter((text) => text.replaceAll(/[ \t\r]/g, '') !== '').length;
        expect(found.entries).toHaveLength(filled);
        expect(found.wrongLines).toHaveLength(filled - found.runnable);
      }),
    );
  });
});
