import { type StoredProcessOptions, startStoredProcess } from './stored-process.ts';

/** Runs as a process of its own: takes jobs until it is killed, or in order until SIGTERM. */
const options = JSON.parse(process.argv[2] ?? '{}') as StoredProcessOptions & { window: number };
const running = await startStoredProcess(options);
running.ledger.setWindows({ nightly: options.window });
process.stdout.write('ready\n');
process.once('SIGTERM', () => {
  void running.stop();
});
