/** Distance beyond which a suggestion would only confuse: one slip in short words, about a third of longer ones. */
function mostSlips(word: string): number {
  return Math.max(1, Math.floor(word.length / 3));
}

/** The candidate that `word` was most likely meant to be, or undefined when none is close. Case does not count. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestSlips = mostSlips(word) + 1;
  for (const candidate of candidates) {
    const slips = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (slips < bestSlips) {
      best = candidate;
      bestSlips = slips;
    }
  }
  return best;
}

/** `; did you mean "port"?`, or the list of what is allowed when nothing is close. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const guess = closest(word, candidates);
  if (guess !== undefined) return `did you mean "${guess}"?`;
  if (candidates.length === 0) return 'remove it';
  return `allowed here: ${[...candidates].sort().join(', ')}`;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). O(n·m). */
function editDistance(a: string, b: string): number {
  let twoAbove: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let slips = Math.min(at(above, column) + 1, at(current, column - 1) + 1, at(above, column - 1) + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        slips = Math.min(slips, at(twoAbove, column - 2) + 1);
      }
      current.push(slips);
    }
    twoAbove = above;
    above = current;
  }
  return at(above, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
