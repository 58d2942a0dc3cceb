/**
 * A batch file alone, without HTTP, Redis or model servers: validation, and assembling the output.
 *
 *   npm run bench -- batch-files [--rows 200000] [--row-bytes 3200] [--answer-bytes 1500] [--rounds 3] [--save NAME]
 *
 * Each round runs four processes in turn, on a file that was just read (so that the page cache is warm for all):
 *
 * - bare: reads the file in chunks of 64 KiB, cuts it at line breaks and parses each line; nothing else
 * - validate: the file in a folder store, through the thread, plan written and synced
 * - copy: reads the records' segments and writes them, synced, as one file; nothing else
 * - finalise: the output file out of the same records, in input order, each record checked; rows end in random order
 *   within windows of 2,000, over 4 segments as of 4 gateways
 *
 * `delay` is the longest hold-up of the main thread's event loop (a timer of 1 ms), which also has what others take from the
 * machine. Peak memory is the resident set of the process, Node and thread with it.
 */
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { writeBatchFile } from './support/batch-file.ts';
import { circumstances, saveResult } from './support/results.ts';
import { showSpread, type Spread, spreadOf } from './support/statistics.ts';
import type { FileReport } from './support/batch-file-parts.ts';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '200000' },
    'row-bytes': { type: 'string', default: '3200' },
    'answer-bytes': { type: 'string', default: '1500' },
    rounds: { type: 'string', default: '3' },
    save: { type: 'string' },
  },
});
const PARTS = ['bare', 'validate', 'copy', 'finalise'] as const;
type Part = (typeof PARTS)[number] | 'prepare';
const SCRIPT = fileURLToPath(new URL('./support/batch-file-parts.ts', import.meta.url));
const rows = Number(flags.rows);

async function runPart(part: Part, folder: string): Promise<FileReport> {
  const args = [SCRIPT, part, folder, flags.rows, flags['answer-bytes']];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as FileReport;
}

function spread(reports: readonly FileReport[], figure: (report: FileReport) => number, digits = 0): Spread {
  return spreadOf(reports.map(figure), digits);
}

const folder = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
try {
  const started = circumstances('none');
  const file = join(folder, 'rows.jsonl');
  const { bytes } = await writeBatchFile(file, rows, Number(flags['row-bytes']), 'bench-model');
  await runPart('prepare', folder);
  const reports: Record<(typeof PARTS)[number], FileReport[]> = { bare: [], validate: [], copy: [], finalise: [] };
  for (let round = 0; round < Number(flags.rounds); round += 1) {
    for await (const _chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) continue;
    const order = round % 2 === 0 ? PARTS : PARTS.toReversed();
    for (const part of order) reports[part].push(await runPart(part, folder));
  }
  const table = PARTS.map((part) => ({
    part,
    seconds: showSpread(spread(reports[part], ({ seconds }) => seconds, 2)),
    'MB/s': showSpread(spread(reports[part], (report) => report.bytes / 1e6 / report.seconds)),
    'rows/s': showSpread(spread(reports[part], ({ seconds }) => rows / seconds)),
    'cpu us/row': showSpread(spread(reports[part], ({ cpuUs }) => cpuUs / rows, 1)),
    'peak MB': showSpread(spread(reports[part], ({ peakBytes }) => peakBytes / 1e6)),
    'delay ms': showSpread(spread(reports[part], ({ delayMs }) => delayMs)),
  }));
  const ratio = (of: Part & keyof typeof reports, to: Part & keyof typeof reports): Spread =>
    spreadOf(
      reports[of].map(({ seconds }, round) => (reports[to][round]?.seconds ?? Number.NaN) / seconds),
      2,
    );
  const ratios = { validateToBare: ratio('validate', 'bare'), finaliseToCopy: ratio('finalise', 'copy') };
  console.log(`${rows} rows, ${(bytes / 1e6).toFixed(0)} MB`);
  console.table(table);
  console.log(`validation runs at ${showSpread(ratios.validateToBare)} of a bare read and parse,`);
  console.log(`finalising at ${showSpread(ratios.finaliseToCopy)} of a bare copy of the records.`);
  if (flags.save) console.log(saveResult(flags.save, { circumstances: started, flags, bytes, ratios, reports }));
} finally {
  await rm(folder, { recursive: true, force: true });
}
