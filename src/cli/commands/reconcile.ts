import { expectJson } from '../client.ts';
import type { CommandHost } from '../context.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { type AdminFlags, addAdminOptions, adminClientOf } from '../target-options.ts';

/** A store of millions of records takes a while to read. */
const WITHIN_MS = 3_600_000;

const HELP = `
Redis holds an index of what was accepted; the store (a folder or a bucket) holds the truth. Each gateway compares the two by
itself when it starts and after Redis was lost or failed over, batches also every hour. This command does it now, beside live
traffic: jobs and batches that Redis forgot come back, results that it does not know are told to it. Needed when somebody
removed entries of the backlog by hand. Repeating it does no harm.

Example:
  pilotlight reconcile --admin-url http://127.0.0.1:9090

${EXIT_CODES_HELP}`;

interface Summary {
  readonly jobs: { readonly settled: number; readonly restored: number; readonly unserved: number };
  readonly batches: { readonly batches: number; readonly repaired: number; readonly failed: number } | null;
}

export function addReconcileCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('reconcile')
    .summary('compare the store with Redis, and repair Redis')
    .description('Compare what the store holds with what Redis knows of it, and repair Redis.');
  addAdminOptions(command)
    .addHelpText('after', HELP)
    .action(async (flags: AdminFlags) => {
      const request = {
        method: 'POST',
        path: '/reconcile',
        body: '{}',
        signal: context.interruption(),
        timeoutMs: WITHIN_MS,
      } as const;
      const { jobs, batches } = expectJson(await adminClientOf(flags, context).send(request)) as Summary;
      context.stdout(
        `jobs: ${jobs.restored} without an outcome are in the backlog, ${jobs.settled} results were told again\n`,
      );
      if (jobs.unserved > 0) context.stdout(`jobs of pools that are not served here: ${jobs.unserved}\n`);
      if (batches) context.stdout(`batches: ${batches.batches} in the store, ${batches.repaired} repaired\n`);
      if (batches && batches.failed > 0) {
        context.stderr(`${batches.failed} batches could not be read; the log of the gateway says why\n`);
        finish(EXIT.FAILED);
      }
    });
}
