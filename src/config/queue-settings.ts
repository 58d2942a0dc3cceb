import type { Config } from './config.ts';
import type { Report } from './identities.ts';
import type { ParsedSettings } from './schema/configuration.ts';

/** Rules that join the settings of queues with others. */
export function checkQueues(
  { sqs, jobs }: Partial<ParsedSettings>,
  { auth, tenants }: Pick<Config, 'auth' | 'tenants'>,
  report: Report,
): void {
  const queues = sqs?.queues ?? [];
  if (queues.length > 0 && jobs?.enabled === false) {
    report(
      ['sqs', 'queues'],
      'needs stored jobs, which are turned off; set jobs.enabled: true, or take the queues out',
    );
  }
  const known = new Set([...tenants.map(({ identity }) => identity.tenant), auth.anonymous?.tenant]);
  for (const [index, { name, url, tenant, resultsUrl, replyTo, deadLetterUrl }] of queues.entries()) {
    const at = ['sqs', 'queues', index];
    const first = queues.findIndex((other) => other.name === name);
    if (first < index) report([...at, 'name'], `"${name}" is already sqs.queues[${first}]; give each its own name`);
    const same = queues.findIndex((other) => other.url === url);
    if (same < index) report([...at, 'url'], `is the queue of sqs.queues[${same}] too; take requests from it once`);
    if (!known.has(tenant)) {
      report([...at, 'tenant'], `"${tenant}" is no tenant; add it to tenants, or name the one of auth.anonymous`);
    }
    const outgoing = { resultsUrl, deadLetterUrl };
    for (const [setting, target] of Object.entries(outgoing)) {
      if (target === url) report([...at, setting], 'is the queue that requests are taken from; name another');
    }
    if (replyTo.includes(url)) report([...at, 'replyTo'], 'holds the queue that requests are taken from; take it out');
  }
}
