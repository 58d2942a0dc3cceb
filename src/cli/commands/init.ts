import { type CommandHost, interruptible } from '../context.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';
import { addClusterOptions, type ClusterFlags, openClusterOf } from '../target-options.ts';

interface InitFlags extends ClusterFlags {
  readonly from: string;
  readonly models?: readonly string[];
  readonly maxReplicas?: number;
}

const HELP = `
Reads a workload that runs model servers, and what is around it, and prints the objects that let Pilotlight have it, with
comments that say what was read and what was assumed. It changes nothing. The policy begins in mode Observe.

Examples:
  pilotlight init --from deployment/llama -n models > llama.yaml
  pilotlight init --from deployment/llama -n models --models llama,gpt-4o-mini --max-replicas 4
  pilotlight init --from statefulset/mixtral | kubectl apply -f -

Afterwards:
  pilotlight config validate -f llama.yaml
  kubectl apply -f llama.yaml
  pilotlight doctor llama -n models
  pilotlight explain llama -n models

${EXIT_CODES_HELP}`;

export function addInitCommand({ program, context }: CommandHost): void {
  const command = program
    .command('init')
    .summary('the YAML that lets Pilotlight have a workload')
    .description('Print the YAML that lets Pilotlight have a Deployment or StatefulSet.')
    .requiredOption('--from <kind/name>', 'deployment/NAME or statefulset/NAME')
    .option('--models <names>', 'names that callers use, with commas (default: as the model server is told)', names)
    .option('--max-replicas <number>', 'most replicas (default: as many as it has now)', wholeNumber(1, 10_000));
  addClusterOptions(command)
    .addHelpText('after', HELP)
    .action(async (flags: InitFlags) => {
      const cluster = await openClusterOf(flags, context);
      try {
        const { adoptionYaml } = await import('../adopt/adoption.ts');
        const { readAdoption } = await import('../adopt/read-adoption.ts');
        const { from, models = null, maxReplicas = null } = flags;
        const signal = context.interruption();
        const facts = await interruptible(signal, readAdoption(cluster, { from, models, maxReplicas }, signal));
        context.stdout(adoptionYaml(facts));
        const open = facts.findings.filter(({ level }) => level === 'fail' || level === 'warn').length;
        if (open > 0)
          context.stderr(`${open} ${open === 1 ? 'thing' : 'things'} to change first; see the top of the file\n`);
      } finally {
        await cluster.close();
      }
    });
}

function names(text: string): readonly string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
