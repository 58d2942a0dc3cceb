/** `npm run chaos [-- --seed N --minutes M --only "KIND,KIND"]`: the chaos suite for minutes; docs/chaos.md. */
import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare, refuse, root } from './setup.mjs';

const MOST_MINUTES = 24 * 60;
const options = readOptions();
const node = prepare();
const child = spawn(
  join(root, 'node_modules', '.bin', 'vitest'),
  ['run', '--project=chaos', 'tests/chaos/chaos.test.ts'],
  {
    cwd: root,
    env: {
      ...process.env,
      ...options,
      PATH: [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('exit', (code) => process.exit(code ?? 1));

/** As environment variables of the test. */
function readOptions() {
  let values;
  try {
    const text = { type: 'string' };
    ({ values } = parseArgs({ options: { seed: text, minutes: { ...text, default: '5' }, only: text } }));
  } catch (error) {
    refuse(`${error.message} There are --seed NUMBER, --minutes NUMBER and --only "KIND,KIND".`);
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0 && minutes <= MOST_MINUTES))
    refuse(`--minutes is "${values.minutes}"; it is a number above 0, at most ${MOST_MINUTES}.`);
  if (values.seed !== undefined && !/^\d{1,10}$/.test(values.seed))
    refuse(`--seed is "${values.seed}"; it is a whole number of at most ten digits.`);
  return {
    CHAOS_MINUTES: values.minutes,
    ...(values.seed !== undefined && { CHAOS_SEED: values.seed }),
    ...(values.only !== undefined && { CHAOS_ONLY: values.only }),
  };
}
