import Table from 'cli-table3';
import type { Line } from './http-summary.ts';
import { type Spread, showSpread } from './statistics.ts';

const HEAD = [
  'scenario',
  'target',
  'calls/s',
  'of proxy',
  'p50 µs',
  'p99 µs',
  'added p50',
  'added p99',
  'CPU µs a call',
  'others',
];

/** For people: median (lowest–highest round). */
export function table(lines: readonly Line[]): string {
  const rows = new Table({ head: HEAD, style: { head: [], border: [] } });
  for (const line of lines) {
    const events = line.eventsPerSecond.median > 0 ? `\n${line.eventsPerSecond.median} events/s` : '';
    rows.push([
      line.scenario,
      line.target,
      `${showSpread(line.perSecond)}${events}`,
      orDash(line.ofProxy),
      showSpread(line.p50Us),
      showSpread(line.p99Us),
      orDash(line.addedP50Us),
      orDash(line.addedP99Us),
      cpu(line),
      `${Math.round(line.foreignRatio.median * 100)} %`,
    ]);
  }
  return rows.toString();
}

function orDash(spread: Spread | null): string {
  return spread === null ? '–' : showSpread(spread);
}

function cpu({ target, cpuUs }: Line): string {
  const parts = [`model server ${cpuUs.modelServer.median}`, `load ${cpuUs.load.median}`];
  if (target === 'proxy') parts.unshift(`proxy ${cpuUs.proxy.median}`);
  if (target === 'pilotlight' || target === 'other')
    parts.unshift(`Pilotlight ${cpuUs.pilotlight.median}`, `Redis ${cpuUs.redis.median}`);
  return parts.join('\n');
}
