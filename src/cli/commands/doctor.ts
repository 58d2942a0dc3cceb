import { type CliContext, type CommandHost, coloursOutput, interruptible } from '../context.ts';
import type { Section } from '../doctor/judge.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { findPool } from '../pools/find-pool.ts';
import { configInputs, settingOptions } from '../setting-options.ts';
import { addClusterOptions, adminClientOf, type ClusterFlags, openClusterOf } from '../target-options.ts';
import { addOutputOption } from './pools.ts';

interface DoctorFlags extends ClusterFlags {
  readonly output: 'table' | 'json';
  readonly all?: true;
  readonly installNamespace?: string;
  readonly adminUrl?: string;
  readonly tokenFile?: string;
  readonly redisUrl?: string;
  readonly file?: readonly string[];
  readonly set?: readonly string[];
}

const HELP = `
Looks at the ScalePolicies of a namespace and at everything they depend on, changes nothing, and says what to change:
CRDs · rights of the gateway's and the controller's ServiceAccounts · targets and /scale · selector and ports of the pool ·
other autoscalers, GitOps tools, two policies on one workload · startup and readiness probes against boot.timeout ·
--shutdown-timeout, preStop and grace against drain.timeout · surge and progress deadline · node autoscalers and budgets ·
the gateway's grace and proxy time-outs against timeouts.maxHold · Redis: persistence, eviction, rights, role of each server (with
--redis-url, the settings of redis, or their variables PILOTLIGHT_REDIS_…).

Examples:
  pilotlight doctor -n models
  pilotlight doctor llama -n models --all
  pilotlight doctor -n models --install-namespace pilotlight --redis-url redis://127.0.0.1:6379
  pilotlight doctor -n models --set 'redis.sentinel.nodes=["10.0.0.7:26379"]' --set redis.sentinel.masterName=queue
  pilotlight doctor -n models -o json | jq '.sections[].findings[] | select(.level == "fail")'

It ends with 1 when a check failed; with warnings only it ends with 0.

${EXIT_CODES_HELP}`;

export function addDoctorCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('doctor [pool]')
    .summary('what is not right in a cluster, and how to change it')
    .description('Check everything that scale to zero depends on in a cluster, and say what to change.')
    .option('--all', 'show what is well, too')
    .option('--install-namespace <name>', 'where Pilotlight itself is (default: "pilotlight", else that of the pools)')
    .option('--admin-url <url>', 'also ask a running Pilotlight')
    .option('--token-file <file>', 'token for the admin listener (or PILOTLIGHT_ADMIN_TOKEN; default none)')
    .option('--redis-url <url>', 'also look at this Redis (or PILOTLIGHT_REDIS_URL)')
    .addOption(settingOptions.file())
    .addOption(settingOptions.set());
  addOutputOption(addClusterOptions(command))
    .addHelpText('after', HELP)
    .action(async (name: string | undefined, flags: DoctorFlags) => {
      const sections = await interruptible(context.interruption(), examine(name, flags, context));
      if (flags.output === 'json') context.stdout(`${JSON.stringify({ sections }, null, 2)}\n`);
      else {
        const { renderFindings } = await import('../render/doctor-report.ts');
        context.stdout(renderFindings(sections, { useColors: coloursOutput(context), all: flags.all ?? false }));
      }
      const hasFailed = sections.some(({ findings }) => findings.some(({ level }) => level === 'fail'));
      finish(hasFailed ? EXIT.FAILED : EXIT.OK);
    });
}

async function examine(name: string | undefined, flags: DoctorFlags, context: CliContext): Promise<readonly Section[]> {
  const { gather } = await import('../doctor/gather.ts');
  const { judge } = await import('../doctor/judge.ts');
  const signal = context.interruption();
  // "namespace/name" says where to look as -n does.
  const [first = '', rest] = name?.split('/') ?? [];
  const inNamespace = rest === undefined ? {} : { namespace: first };
  const cluster = await openClusterOf({ ...flags, ...inNamespace }, context);
  try {
    const { namespace } = cluster;
    const installNamespace = flags.installNamespace ?? (await defaultHome(cluster, signal));
    const facts = await gather({ cluster, namespace, installNamespace, signal });
    const only = name === undefined ? null : [policyNamed(name, facts.policies, namespace)];
    return [...judge(facts, only), { about: 'Redis', findings: await redisFindings(flags, context, signal) }];
  } finally {
    await cluster.close();
  }
}

async function defaultHome(cluster: Awaited<ReturnType<typeof openClusterOf>>, signal: AbortSignal): Promise<string> {
  const namespaces = { group: '', version: 'v1', plural: 'namespaces' };
  const { kubePath } = await import('../../core/kubernetes.ts');
  const { isThere } = await import('../doctor/discovery.ts');
  const { fromCluster } = await import('../pools/cluster-errors.ts');
  const found = await fromCluster(isThere(cluster.api, kubePath(namespaces, null, 'pilotlight'), signal));
  return found === true ? 'pilotlight' : cluster.namespace;
}

function policyNamed(
  name: string,
  policies: readonly { readonly policy: string; readonly poolRef: string | null }[],
  namespace: string,
): string {
  const known = policies.map(({ policy, poolRef }) => {
    const own = policy.slice(policy.indexOf('/') + 1);
    return { pool: `${namespace}/${poolRef ?? own}`, policy: own };
  });
  const where = `namespace ${namespace}`;
  return `${namespace}/${findPool(name, known, { where, namespace }).policy}`;
}

async function redisFindings(
  flags: DoctorFlags,
  context: CliContext,
  signal: AbortSignal,
): Promise<Section['findings']> {
  const { checkRedisAt, checkRedisOf, redisNotAsked } = await import('../doctor/redis.ts');
  // Only of Redis: what else is set is for the gateway and may be wrong here.
  const ofRedis = Object.entries(context.environment).filter(([name]) => name.startsWith('PILOTLIGHT_REDIS_'));
  const { file, set, redisUrl } = flags;
  const given = { ...(file && { file }), ...(set && { set }), ...(redisUrl !== undefined && { redisUrl }) };
  const told = await checkRedisAt(await configInputs(given, Object.fromEntries(ofRedis)), signal);
  const running = flags.adminUrl === undefined ? [] : await checkRedisOf(adminClientOf(flags, context), signal);
  const all = [...told, ...running];
  return all.length === 0 ? redisNotAsked() : all;
}
