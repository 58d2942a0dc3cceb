import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import type { CommandHost } from '../context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { addSettingOptions, configInputs, type SettingOptions } from '../setting-options.ts';

const HELP = `
Examples:
  pilotlight config validate -f examples/local.yaml
  pilotlight config print -f examples/local.yaml --set timeouts.maxHold=5m
  pilotlight config print -o json | jq '.sources'
  pilotlight config schema ScalePolicy > scale-policy.schema.json

${EXIT_CODES_HELP}`;

export function addConfigCommand(host: CommandHost): void {
  const config = host.program
    .command('config')
    .summary('print, check and describe settings and objects')
    .description('Print, check and describe settings and objects.')
    .addHelpText('after', HELP);
  addPrint(config, host);
  addValidate(config, host);
  addSchema(config, host);
  addTables(config, host);
  addCrds(config, host);
}

function addPrint(config: Command, { context, finish }: CommandHost): void {
  const print = config
    .command('print')
    .description(
      'Print every setting as it holds, with the file, variable or flag it comes from. Passwords are masked.',
    )
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['yaml', 'json']).default('yaml'));
  addSettingOptions(print).action(async (options: SettingOptions & { output: 'yaml' | 'json' }) => {
    const { loadConfig } = await import('../../config/load-config.ts');
    const { formatProblems } = await import('../../config/problem.ts');
    const loaded = loadConfig(await configInputs(options, context.environment));
    if (loaded.problems.length > 0) context.stderr(`${formatProblems(loaded.problems)}\n`);
    if (!loaded.ok) {
      finish(EXIT.USAGE);
      return;
    }
    const { effectiveSettings } = await import('../../config/effective-settings.ts');
    const { printJson, printYaml } = await import('../../config/print-config.ts');
    context.stdout((options.output === 'json' ? printJson : printYaml)(effectiveSettings(loaded.written)));
  });
}

function addValidate(config: Command, { context, finish }: CommandHost): void {
  const validate = config
    .command('validate')
    .description('Check settings and objects, alone and against each other. Lists every problem; starts nothing.');
  addSettingOptions(validate).action(async (options: SettingOptions) => {
    const { openFiles } = await import('../../config/open-files.ts');
    const { countProblems, formatProblems } = await import('../../config/problem.ts');
    if ((options.file ?? []).length === 0) {
      throw new CliError(EXIT.USAGE, 'nothing to check; add -f, for example: config validate -f examples/local.yaml');
    }
    const opened = openFiles(await configInputs(options, context.environment));
    if (opened.problems.length > 0) context.stdout(`${formatProblems(opened.problems)}\n`);
    const { documentCount } = opened;
    const documents = documentCount === 1 ? '1 document' : `${documentCount} documents`;
    context.stdout(`${documents}, ${countProblems(opened.problems)}\n`);
    finish(opened.ok ? EXIT.OK : EXIT.USAGE);
  });
}

function addSchema(config: Command, { context }: CommandHost): void {
  config
    .command('schema')
    .description('Print the JSON schema of the files, for editors and CI.')
    .addArgument(new Argument('[kind]', 'one kind only, like ScalePolicy'))
    .action(async (kind: string | undefined, _options: object, command: Command) => {
      const { DOCUMENT_KINDS, documentSchema } = await import('../../config/document-schema.ts');
      if (kind !== undefined && !DOCUMENT_KINDS.includes(kind)) {
        command.error(`error: no kind is called "${kind}"; there are ${DOCUMENT_KINDS.join(', ')}`);
      }
      context.stdout(`${JSON.stringify(documentSchema(kind), null, 2)}\n`);
    });
}

/** Hidden: writes the generated tables of docs/ in place; a test fails when they are not up to date. */
function addTables(config: Command, { context }: CommandHost): void {
  config
    .command('write-tables <files...>', { hidden: true })
    .description('Fill in the generated tables of documentation files.')
    .action(async (files: readonly string[]) => {
      const { withTables } = await import('../../config/reference-table.ts');
      for (const file of files) {
        const text = readFileSync(file, 'utf8');
        const filled = withTables(text);
        if (filled === text) continue;
        writeFileSync(file, filled);
        context.stderr(`wrote ${file}\n`);
      }
    });
}

function addCrds(config: Command, { context }: CommandHost): void {
  config
    .command('write-crds <folder>', { hidden: true })
    .description('Write the CustomResourceDefinitions of ScalePolicy and ObjectivePolicy.')
    .action(async (folder: string) => {
      const { crdFiles } = await import('../../config/crds/crds.ts');
      for (const [name, text] of Object.entries(crdFiles())) {
        writeFileSync(join(folder, name), text);
        context.stderr(`wrote ${join(folder, name)}\n`);
      }
    });
}
