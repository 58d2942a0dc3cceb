import fc from 'fast-check';
import { expect, test } from 'vitest';
import { supportTicket } from '../../../../src/simulate/demo/ticket.ts';

test('the same seed and index make the same ticket, others make others', () => {
  expect(supportTicket(1, 7, 900)).toEqual(supportTicket(1, 7, 900));
  expect(supportTicket(2, 7, 900).text).not.toBe(supportTicket(1, 7, 900).text);
});

test('tickets of one run differ, even when they are as short as can be', () => {
  const texts = Array.from({ length: 3_000 }, (_ticket, index) => supportTicket(1, index, 1).text);
  expect(new Set(texts).size).toBe(texts.length);
});

test('a ticket names its number and subject, and no slot stays open', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(1_000_000), fc.integer({ min: 1, max: 6_000 }), (seed, index, chars) => {
      const { number, subject, text } = supportTicket(seed, index, chars);
      expect(text.startsWith(`Ticket ${number}: ${subject}`)).toBe(true);
      expect(text).not.toMatch(/[{}]|undefined/);
    }),
  );
});

test('a ticket is about as long as asked: at most one message more', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 200, max: 6_000 }), (seed, chars) => {
      const { length } = supportTicket(seed, 3, chars).text;
      expect(length).toBeGreaterThan(chars - 5);
      expect(length).toBeLessThan(chars + 200);
    }),
  );
});
