import { type Parsed, parseDuration } from '../../core/units.ts';

const CLOCK_TIME = /^([01]?\d|2[0-3]):([0-5]\d)$/;

/**
 * When work should be done: "06:00" = the next time that the clock here shows it, "8h" = from now, or a date with time
 * like "2026-12-01T06:00" (here) or "2026-12-01T06:00:00Z". Unix milliseconds, always after `now`.
 */
export function parseDueTime(text: string, now: Date): Parsed<number> {
  const dueEpochMs = clockTime(text, now) ?? fromNow(text, now) ?? dateTime(text);
  if (dueEpochMs === null) {
    const forms = 'a time like "06:00", a duration like "8h", or a date like "2026-12-01T06:00"';
    return { ok: false, problem: `"${text}" is not a time; write ${forms}` };
  }
  if (dueEpochMs > now.getTime()) return { ok: true, value: dueEpochMs };
  return { ok: false, problem: `"${text}" is over; write a time that comes` };
}

function clockTime(text: string, now: Date): number | null {
  const match = CLOCK_TIME.exec(text);
  if (!match) return null;
  const due = new Date(now);
  due.setHours(Number(match[1]), Number(match[2]), 0, 0);
  // By the calendar, not by 24 hours: a change of the clock may lie between.
  if (due.getTime() <= now.getTime()) due.setDate(due.getDate() + 1);
  return due.getTime();
}

function fromNow(text: string, now: Date): number | null {
  const parsed = parseDuration(text);
  return parsed.ok ? now.getTime() + parsed.value : null;
}

function dateTime(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(text)) return null;
  const epochMs = Date.parse(text);
  return Number.isNaN(epochMs) ? null : epochMs;
}
