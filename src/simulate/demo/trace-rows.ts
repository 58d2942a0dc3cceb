import { asError, PilotlightError } from '../../core/errors.ts';
import { seededRandom } from '../../core/random.ts';
import type { TraceRequest } from '../trace.ts';
import { generateTrace } from '../trace-generator.ts';
import { readTrace } from '../trace-reader.ts';

/** `count` requests from the file, or from the generator when there is none. A file that is too short is begun again. */
export async function traceRows(path: string | null, count: number, seed: number): Promise<readonly TraceRequest[]> {
  if (path === null) return [...generateTrace({ requests: count }, seededRandom(seed))];
  const rows = await firstRows(path, count);
  if (rows.length === 0 && count > 0) throw unusable(path, 'it has a header and no request');
  return repeated(rows, count);
}

async function firstRows(path: string, count: number): Promise<TraceRequest[]> {
  const rows: TraceRequest[] = [];
  try {
    for await (const request of readTrace(path)) {
      if (rows.length >= count) break;
      rows.push(request);
    }
  } catch (thrown) {
    throw unusable(path, asError(thrown).message);
  }
  return rows;
}

function repeated(rows: readonly TraceRequest[], count: number): TraceRequest[] {
  const lengthMs = rows.at(-1)?.arrivalMs ?? 0;
  return Array.from({ length: count }, (_row, index) => {
    const round = Math.floor(index / rows.length);
    const request = rows[index % rows.length] ?? { arrivalMs: 0, contextTokens: 1, generatedTokens: 1 };
    return { ...request, arrivalMs: request.arrivalMs + round * lengthMs };
  });
}

function unusable(path: string, why: string): PilotlightError {
  return new PilotlightError('config_invalid', `--trace: ${path} cannot be used: ${why}`, { param: '--trace' });
}
