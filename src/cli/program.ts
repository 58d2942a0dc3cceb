import { Command, CommanderError } from 'commander';
import { asError, PilotlightError } from '../core/errors.ts';
import { addBatchCommand } from './commands/batch.ts';
import { addConfigCommand } from './commands/config.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addFilesCommand } from './commands/files.ts';
import { addInitCommand } from './commands/init.ts';
import { addJobsCommand } from './commands/jobs.ts';
import { addOrderCommands } from './commands/orders.ts';
import { addExplainCommand, addPoolsCommand } from './commands/pools.ts';
import { addQueueCommand } from './commands/queue.ts';
import { addReconcileCommand } from './commands/reconcile.ts';
import { addModelSimCommand } from './commands/model-sim.ts';
import { addServeCommand } from './commands/serve.ts';
import { addStatusCommand } from './commands/status.ts';
import { addSubmitCommand } from './commands/submit.ts';
import type { CliContext } from './context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import { version } from './version.ts';

const OVERVIEW = `
Try, in this order:
  pilotlight demo                                       the whole main job on this machine, in about a minute
  pilotlight serve -f examples/local.yaml               stays up: the OpenAI API on http://127.0.0.1:8080
  pilotlight submit --model tickets --prompt "Hello"    one job, from another terminal
  pilotlight batch submit rows.jsonl --by 06:00 --wait  a file of requests, each row exactly once
  pilotlight status --watch                             pools, replicas, queues

In a cluster:
  pilotlight init --from deployment/llama -n models     the YAML that lets Pilotlight have that workload
  pilotlight doctor -n models                           what is not right yet, and how to change it
  pilotlight explain llama -n models                    why it has the replicas it has

Settings come from files (-f), then PILOTLIGHT_* variables, then flags: docs/configuration.md.

${EXIT_CODES_HELP}`;

/** Runs the command that `argv` (without program and script) names and resolves with its exit code. Never rejects. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  let exitCode: number = EXIT.OK;
  const finish = (code: number) => {
    exitCode = code;
  };
  try {
    await createProgram(context, finish).parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (thrown) {
    return reportFailure(thrown, context);
  }
}

function createProgram(context: CliContext, finish: (exitCode: number) => void): Command {
  const program = new Command('pilotlight')
    .description(
      'A durable priority queue for LLM inference: holds requests while GPUs are off, wakes what the work deserves,\n' +
        'feeds it, and turns everything off again.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help; `pilotlight <command> --help` shows more')
    .configureOutput({ writeOut: (text) => context.stdout(text), writeErr: (text) => context.stderr(text) })
    .configureHelp({ helpWidth: 110 })
    .showHelpAfterError('(--help shows what is possible)')
    .showSuggestionAfterError()
    .helpCommand(false)
    .exitOverride()
    .addHelpText('after', OVERVIEW);
  const host = { program, context, finish };
  program.commandsGroup('Run:');
  addServeCommand(host);
  addDemoCommand(host);
  addModelSimCommand(host);
  program.commandsGroup('Use:');
  addSubmitCommand(host);
  addJobsCommand(host);
  addBatchCommand(host);
  addFilesCommand(host);
  program.commandsGroup('Look and steer (one machine or a cluster):');
  addStatusCommand(host);
  addPoolsCommand(host);
  addQueueCommand(host);
  addExplainCommand(host);
  addOrderCommands(host);
  addReconcileCommand(host);
  program.commandsGroup('Set up:');
  addInitCommand(host);
  addDoctorCommand(host);
  addConfigCommand(host);
  return program;
}

function reportFailure(thrown: unknown, context: CliContext): number {
  const interruption = interruptionBehind(thrown);
  if (interruption) {
    context.stderr(`pilotlight: ${interruption.message}\n`);
    return interruption.exitCode;
  }
  // Commander has said what is wrong already.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  const debug = Boolean(context.environment['PILOTLIGHT_DEBUG']);
  const error = asError(thrown);
  if (debug) context.stderr(`${error.stack ?? ''}\n`);
  if (error instanceof CliError || error instanceof PilotlightError) {
    context.stderr(`pilotlight: ${error.message}\n`);
    if (error instanceof CliError) return error.exitCode;
    return error.code === 'config_invalid' ? EXIT.USAGE : EXIT.FAILED;
  }
  context.stderr(`pilotlight: unexpected error: ${error.message}${debug ? '' : ' (PILOTLIGHT_DEBUG=1 shows where)'}\n`);
  return EXIT.FAILED;
}

/** A wait that a signal ended is rejected with an AbortError whose cause is the signal's reason. */
function interruptionBehind(thrown: unknown): CliError | undefined {
  const { cause } = asError(thrown);
  const reason = asError(thrown).name === 'AbortError' ? cause : thrown;
  return reason instanceof CliError && reason.exitCode === EXIT.INTERRUPTED ? reason : undefined;
}
