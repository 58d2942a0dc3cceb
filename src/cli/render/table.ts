import Table from 'cli-table3';
import type { createColors } from 'picocolors';
import type { PoolStatus } from '../../core/replicas.ts';

export type Colors = ReturnType<typeof createColors>;

export const PHASE_COLORS: Readonly<Record<PoolStatus['phase'], keyof Colors>> = {
  Asleep: 'dim',
  Waking: 'yellow',
  Ready: 'green',
  Draining: 'yellow',
  Stalled: 'red',
  Paused: 'magenta',
};

export function paint(colors: Colors, color: keyof Colors, text: string): string {
  const apply = colors[color];
  return typeof apply === 'function' ? apply(text) : text;
}

/** No frames: the text can be cut and compared with ordinary tools. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = new Table({
    head: [...head],
    chars: BORDERLESS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
  });
  lines.push(...rows.map((row) => [...row]));
  const text = lines.toString().split('\n');
  return ['', ...text.map((line) => line.trimEnd())].join('\n');
}

const BORDERLESS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};
