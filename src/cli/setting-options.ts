import { type Command, Option } from 'commander';
import type { Environment } from '../config/environment.ts';
import type { FlagSetting } from '../config/flags.ts';
import type { ConfigInputs } from '../config/load-config.ts';

/** Flags that are short for a setting of their own. */
const SHORTHANDS = [
  ['--host <address>', 'server.host', 'address of the API (default 127.0.0.1)'],
  ['--port <number>', 'server.port', 'port of the API (default 8080; 0 = any free one)'],
  ['--admin-port <number>', 'admin.port', 'port of /status and /metrics (default 9090; 0 = any free one)'],
  ['--redis-url <url>', 'redis.url', 'Redis to use (default: one on this machine is found or started)'],
  ['--data-dir <folder>', 'data.dir', 'accept records, bodies and results (default .pilotlight)'],
  ['--role <role>', 'role', 'all, gateway or controller (default all)'],
  ['--namespace <name>', 'namespace', 'namespace of objects that name none (default "default")'],
  ['--log-level <level>', 'log.level', 'debug, info, warn, error or silent (default info)'],
] as const;

export interface SettingOptions {
  readonly file?: readonly string[];
  readonly set?: readonly string[];
  readonly [shorthand: string]: unknown;
}

/** The general ones, for commands that have them among others. */
export const settingOptions = {
  file: () =>
    new Option('-f, --file <path...>', 'file or folder with settings and objects; may be given again').argParser(
      append,
    ),
  set: () =>
    new Option('--set <setting=value...>', 'one setting, like --set timeouts.maxHold=5m; may be given again').argParser(
      append,
    ),
} as const;

/** -f, --set and the shorthands, in a help group of their own. */
export function addSettingOptions(command: Command): Command {
  command.optionsGroup('Settings:');
  command.addOption(settingOptions.file());
  command.addOption(settingOptions.set());
  for (const [flag, , help] of SHORTHANDS) command.option(flag, help);
  command.optionsGroup('Options:');
  return command;
}

/** Where the settings of this run come from. */
export async function configInputs(options: SettingOptions, environment: Environment): Promise<ConfigInputs> {
  return { files: options.file ?? [], environment, flags: await flagSettings(options) };
}

/** The flags among `options` that set something; shorthands after --set, so that the more specific one wins. */
export async function flagSettings(options: SettingOptions): Promise<FlagSetting[]> {
  const { parseSetFlag } = await import('../config/flags.ts');
  const shorthands = SHORTHANDS.flatMap(([flag, path]): FlagSetting[] => {
    const [name = ''] = flag.split(' ');
    const text = options[camelCase(name)];
    return typeof text === 'string' ? [{ flag: name, path, text }] : [];
  });
  return [...(options.set ?? []).map(parseSetFlag), ...shorthands];
}

function append(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** "--admin-port" → "adminPort" */
function camelCase(flag: string): string {
  return flag.slice(2).replaceAll(/-(\w)/g, (_dash, letter: string) => letter.toUpperCase());
}
