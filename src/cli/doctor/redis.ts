import { asError } from '../../core/errors.ts';
import type { StatusReport } from '../../core/status.ts';
import { lookAtRedis } from '../../roles/operator/redis-findings.ts';
import { type Client, expectJson } from '../client.ts';
import { type Finding, fail, ok, skip, warn } from './facts.ts';

const CHECK = 'Redis';

/** What the Redis at `url` says about its persistence. */
export async function checkRedisAt(url: string, signal: AbortSignal): Promise<readonly Finding[]> {
  try {
    const { name, findings } = await lookAtRedis(url, signal);
    if (findings.length === 0) return [ok(CHECK, `${name} keeps an append-only file and never evicts`)];
    return findings.map(({ severity, text }) => {
      const [found = text, change = 'see docs/install-kubernetes.md'] = text.replace(/\.$/, '').split(/; (?=[^;]*$)/);
      return (severity === 'refuse' ? fail : warn)(CHECK, found, change);
    });
  } catch (thrown) {
    signal.throwIfAborted();
    return [fail(CHECK, `the Redis of --redis-url: ${asError(thrown).message}`, 'correct --redis-url, or start it')];
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
  return [skip(CHECK, 'not looked at; name it with --redis-url, or a running Pilotlight with --admin-url')];
}
