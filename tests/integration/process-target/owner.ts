// Run by orphans.test.ts: starts replicas and waits to be killed.
//   node owner.ts DATA_DIR COUNT COMMAND...
import { LocalProcesses } from '../../../src/autoscaler/adapters/process-target/process-target.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { poolSpec, scaleTarget } from '../../unit/autoscaler/support/builders.ts';

const [dataDir = '', count = '1', ...command] = process.argv.slice(2);
const pool = poolSpec();
const target = new LocalProcesses({
  clock: systemClock,
  log: silentLogger,
  dataDir,
  self: [],
  environment: process.env,
  graceMs: 1_000,
});
await target.start({
  pool,
  target: scaleTarget({ process: { command, env: {}, readinessPath: '/health', readinessEveryMs: 100 } }),
  count: Number(count),
});
setInterval(() => undefined, 60_000);
