import type { CommandHost } from '../context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { addSettingOptions, configInputs, type SettingOptions } from '../setting-options.ts';
import { version } from '../version.ts';

const HELP = `
Starts the API, the queue, the autoscaler and the picker in this process and stays until Ctrl-C or SIGTERM.
With kubernetes.enabled, objects and pods come from the API server; --role gateway and --role controller split the parts.
The first signal drains: no new calls, running ones finish (timeouts.drain), stored jobs stay stored. A second ends it.

Examples:
  pilotlight serve -f examples/local.yaml
  pilotlight serve -f pool.yaml -f tenants.yaml --port 8000
  PILOTLIGHT_REDIS_URL=redis://10.0.0.5:6379 pilotlight serve -f /etc/pilotlight --host 0.0.0.0
  pilotlight serve --set kubernetes.enabled=true --set 'kubernetes.namespaces=["inference"]' --role all

Objects in the files are read again when they change; settings are not.
Check them first with: pilotlight config validate -f <file>

${EXIT_CODES_HELP}`;

export function addServeCommand({ program, context, finish }: CommandHost): void {
  const command = program.command('serve').summary('run Pilotlight until it is told to stop');
  addSettingOptions(command.description('Run Pilotlight on this machine until it is told to stop.'))
    .addHelpText('after', HELP)
    .action(async (options: SettingOptions) => {
      const { openSources } = await import('../../config/open-files.ts');
      const { formatProblems } = await import('../../config/problem.ts');
      const opened = openSources(await configInputs(options, context.environment));
      if (opened.problems.length > 0) context.stderr(`${formatProblems(opened.problems)}\n`);
      if (!opened.ok) {
        finish(EXIT.USAGE);
        return;
      }
      const { config, files } = opened;
      if (files === null && !config.kubernetes.enabled) {
        throw new CliError(EXIT.USAGE, 'serve needs objects; add -f, for example: serve -f examples/local.yaml');
      }
      const { runServe } = await import('../../roles/serve.ts');
      finish(await runServe({ config, files, signal: context.interruption(), version: version() }));
    });
}
