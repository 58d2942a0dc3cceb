import type { Config } from '../../../config/config.ts';
import { asError } from '../../../core/errors.ts';
import { keyPrefix } from '../objects-yaml.ts';
import { awaitNoLeftovers, killLeftovers } from './leftovers.ts';
import { removeKeys } from './redis-keys.ts';
import type { ServeProcess } from './serve-process.ts';

/** After the serving process is gone: its replicas were told to end before it, or are ended by their shims. */
const GONE_WITHIN_MS = 15_000;

export interface TearDown {
  readonly server: ServeProcess;
  readonly redisFolder: string;
  readonly runId: string;
  readonly config: Pick<Config, 'redis'>;
  readonly say: (line: string) => void;
}

/**
 * Ends everything that the run started and removes what it wrote into a Redis of the user's. Resolves with a sentence for
 * each process that had to be killed; empty as a rule. Never rejects.
 */
export async function tearDown({ server, redisFolder, runId, config, say }: TearDown): Promise<readonly string[]> {
  if (server.pid !== null) say('Stopping Pilotlight, its model servers and its Redis …');
  const inOrder = await server.stop();
  const { url, keyPrefix: prefix } = config.redis;
  if (url !== null && prefix === keyPrefix(runId)) {
    await removeKeys(url, prefix).catch((thrown: unknown) => {
      say(`The keys ${prefix}:* in Redis could not be removed: ${asError(thrown).message}`);
    });
  }
  const left = await awaitNoLeftovers(runId, redisFolder, GONE_WITHIN_MS);
  killLeftovers(left);
  const broken = [
    ...(inOrder ? [] : ['the serving process did not end in time and was killed']),
    ...left.map(({ pid, what }) => `process ${pid} was left behind and was killed: ${what}`),
  ];
  for (const sentence of broken) say(`  ${sentence}`);
  if (broken.length === 0) say('Stopped: nothing of it runs any more.');
  return broken;
}
