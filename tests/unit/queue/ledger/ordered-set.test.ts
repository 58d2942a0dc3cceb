import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OrderedSet } from '../../../../src/queue/policy/ledger/ordered-set.ts';

test('an ordered set is a map from id to score, listed by score and then by id', () => {
  const change = fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    score: fc.constantFrom(1, 2, 3, Infinity),
    add: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change), fc.constantFrom(0, 1, 2, 3), (changes, bound) => {
      const set = new OrderedSet();
      const model = new Map<string, number>();
      for (const { id, score, add } of changes) {
        if (add) {
          set.add(id, score);
          model.set(id, score);
        } else expect(set.delete(id)).toBe(model.delete(id));
      }
      const sorted = [...model].sort(([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x - y)).map(([id]) => id);
      expect(set.ids()).toEqual(sorted);
      expect(set.size).toBe(model.size);
      expect(set.countBelow(bound)).toBe([...model.values()].filter((score) => score < bound).length);
      expect(set.upTo(bound, 2)).toEqual(sorted.filter((id) => model.get(id)! <= bound).slice(0, 2));
      expect(set.at(0)?.id).toBe(sorted[0]);
      for (const id of ['a', 'b', 'c', 'd', 'e']) {
        expect(set.rank(id)).toBe(model.has(id) ? sorted.indexOf(id) : undefined);
      }
      const above = sorted.filter((id) => model.get(id)! > bound);
      const last = model.get(above[1] ?? '') ?? Infinity;
      expect(set.after(bound, 2)).toEqual(above.filter((id) => model.get(id)! <= last));
    }),
  );
});
