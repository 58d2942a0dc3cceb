import { describe, expect, test } from 'vitest';
import { parseDueTime } from '../../../../src/cli/batch/due-time.ts';

/** Local time, whatever the zone of the machine. */
const now = new Date(2026, 10, 22, 22, 30);

function due(text: string): Date | string {
  const parsed = parseDueTime(text, now);
  return parsed.ok ? new Date(parsed.value) : parsed.problem;
}

describe('parseDueTime', () => {
  test.each([
    ['a time that is still to come today', '23:15', new Date(2026, 10, 22, 23, 15)],
    ['a time that is over today means tomorrow', '06:00', new Date(2026, 10, 23, 6, 0)],
    ['the present minute means tomorrow', '22:30', new Date(2026, 10, 23, 22, 30)],
    ['an hour of one digit', '6:05', new Date(2026, 10, 23, 6, 5)],
    ['a duration counts from now', '1h30m', new Date(2026, 10, 23, 0, 0)],
    ['a date without a zone is local', '2026-12-01T06:00', new Date(2026, 11, 1, 6, 0)],
    ['a date with a zone is what it says', '2026-12-01T06:00:00Z', new Date(Date.UTC(2026, 11, 1, 6))],
  ])('%s', (_, text, expected) => {
    expect(due(text)).toEqual(expected);
  });

  test.each(['', '24:00', '6', 'soon', '06:60', '2026-13-01T00:00', '2026-12-01'])(
    'refuses "%s" and says what to write',
    (text) => {
      expect(due(text)).toContain('"06:00"');
    },
  );

  test('refuses a date that is over', () => {
    expect(due('2020-01-01T00:00')).toContain('is over');
  });
});
