import { createColors } from 'picocolors';
import type { Finding } from '../doctor/facts.ts';
import type { Section } from '../doctor/judge.ts';
import type { Colors } from './table.ts';

/** Findings by what they are about; what is well only with `all`. Ends with a newline. */
export function renderFindings(
  sections: readonly Section[],
  { useColors, all }: { readonly useColors: boolean; readonly all: boolean },
): string {
  const colors = createColors(useColors);
  const parts = sections.map(({ about, findings }) => {
    const looked = findings.filter(({ level }) => level !== 'skip');
    const well = looked.filter(({ level }) => level === 'ok').length;
    const shown = findings.filter(({ level }) => all || looked.length === 0 || level === 'fail' || level === 'warn');
    const result = looked.length === 0 ? 'not looked at' : `${well} of ${looked.length} checks are well`;
    const head = `${colors.bold(about)}: ${result}`;
    return [head, ...shown.flatMap((finding) => lines(finding, colors))].join('\n');
  });
  return `${parts.join('\n\n')}\n\n${total(sections)}\n`;
}

function lines({ level, check, found, change }: Finding, colors: Colors): readonly string[] {
  const paint = { ok: colors.green, warn: colors.yellow, fail: colors.red, skip: colors.dim }[level];
  const line = `  ${paint(level.padEnd(4))}  ${check}: ${found}`;
  return change === null ? [line] : [line, `        → ${change}`];
}

function total(sections: readonly Section[]): string {
  const all = sections.flatMap(({ findings }) => findings);
  const count = (level: Finding['level']): number => all.filter((finding) => finding.level === level).length;
  const skipped = count('skip') === 0 ? '' : `, ${count('skip')} not looked at`;
  return `${count('fail')} failed, ${count('warn')} to look at, ${count('ok')} well${skipped}`;
}
