import { type ConfigInputs, loadConfig } from '../../config/load-config.ts';
import { asError } from '../../core/errors.ts';
import type { StatusReport } from '../../core/status.ts';
import { lookAtRedis } from '../../roles/operator/redis-findings.ts';
import { type Client, expectJson } from '../client.ts';
import { type Finding, fail, ok, skip, warn } from './facts.ts';

const CHECK = 'Redis';

/** What the Redis of the settings says about itself; no finding when they name none. Files and flags as `serve` has them. */
export async function checkRedisAt(inputs: ConfigInputs, signal: AbortSignal): Promise<readonly Finding[]> {
  const loaded = loadConfig(inputs);
  const wrong = loaded.problems.filter(({ severity, path }) => severity === 'error' && path.startsWith('redis'));
  if (wrong.length > 0) {
    return wrong.map(({ path, message }) => fail(CHECK, `${path} ${message}`, `correct ${path}, see docs/redis.md`));
  }
  if (!loaded.ok) return [fail(CHECK, 'the settings are not valid', 'look with pilotlight config print')];
  try {
    const look = await lookAtRedis(loaded.config.redis, signal);
    if (look === null) return [];
    if (look.findings.length === 0) return [ok(CHECK, `${look.name}: keeps an append-only file and never evicts`)];
    return look.findings.map(({ severity, text }) => {
      const [found = text, change = 'see docs/redis.md'] = text.replace(/\.$/, '').split(/; (?=[^;]*$)/);
      return (severity === 'refuse' ? fail : warn)(CHECK, found, change);
    });
  } catch (thrown) {
    signal.throwIfAborted();
    const change = 'correct --redis-url or the settings of redis, or start it';
    return [fail(CHECK, `the Redis of the settings: ${asError(thrown).message}`, change)];
  }
}

/** What a running Pilotlight says of its Redis, and of what it lacks itself. */
export async function checkRedisOf(client: Client, signal: AbortSignal): Promise<readonly Finding[]> {
  const report = expectJson(await client.send({ path: '/status', signal })) as StatusReport;
  const { source, version, reachable } = report.redis;
  const redis = reachable
    ? ok(CHECK, `Pilotlight reaches ${source} (${version}); --redis-url looks at its persistence`)
    : fail(
        CHECK,
        `Pilotlight does not reach ${source}`,
        'check Redis and the way to it; nothing is dispatched meanwhile',
      );
  const problems = report.problems.map((problem) => warn('Pilotlight', problem, 'see docs/objects.md'));
  return [redis, ...problems];
}

export function redisNotAsked(): readonly Finding[] {
  return [
    skip(
      CHECK,
      'not looked at; name it with --redis-url or the settings of redis, or a running Pilotlight with --admin-url',
    ),
  ];
}
