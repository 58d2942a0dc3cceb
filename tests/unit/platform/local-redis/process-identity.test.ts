import { expect, test } from 'vitest';
import { identityFromProc } from '../../../../src/platform/local-redis/process-identity.ts';

/** A line of /proc/PID/stat with the state and the start time (field 22) given. */
function stat(command: string, state: string, startTicks: number): string {
  const fields4To21 = Array.from({ length: 18 }, (_, index) => String(index));
  return `4711 (${command}) ${state} ${fields4To21.join(' ')} ${startTicks} 0 0`;
}

test('the identity is the boot and the start time', () => {
  expect(identityFromProc(stat('redis-server', 'S', 98765), 'boot-1\n')).toBe('boot-1/98765');
});

test('a command with spaces and parentheses does not shift the fields', () => {
  expect(identityFromProc(stat('a) S (b', 'S', 98765), 'boot-1')).toBe('boot-1/98765');
});

test.each(['Z', 'X'])('a process in state %s has ended', (state) => {
  expect(identityFromProc(stat('redis-server', state, 98765), 'boot-1')).toBeUndefined();
});
