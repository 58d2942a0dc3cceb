import { expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { createLogger, type LogLevel } from '../../../src/platform/logger.ts';

function logger(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { log: createLogger({ level, fields: { role: 'all' }, destination }), lines };
}

test('a line has level, time, event and fields, those of its parents included', () => {
  const { log, lines } = logger('info');
  log.child({ pool: 'default/chat' }).info({ slots: 4 }, 'endpoint.opened');
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      role: 'all',
      pool: 'default/chat',
      slots: 4,
      event: 'endpoint.opened',
    },
  ]);
});

test('lines below the level are not written', () => {
  const { log, lines } = logger('warn');
  log.debug({}, 'a.b');
  log.info({}, 'a.b');
  log.warn({}, 'a.warned');
  log.error({}, 'a.failed');
  expect(lines.map((line) => line.event)).toEqual(['a.warned', 'a.failed']);
});

test('an error is written with its code and stack', () => {
  const { log, lines } = logger('info');
  log.error({ err: new PilotlightError('internal_error', 'broke') }, 'call.crashed');
  expect(lines[0]).toMatchObject({
    err: { message: 'broke', code: 'internal_error', stack: expect.any(String) as string },
  });
});

test('secrets and prompts that someone logs by mistake are not written', () => {
  const { log, lines } = logger('info');
  log.info(
    {
      authorization: 'S',
      headers: { authorization: 'S', cookie: 'S' },
      call: { req: { apiKey: 'S' } },
      messages: ['S'],
    },
    'a.b',
  );
  expect(JSON.stringify(lines)).not.toContain('"S"');
});
