import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

export type CommandLine =
  | { readonly kind: 'found'; readonly program: string; readonly args: readonly string[] }
  | { readonly kind: 'missing'; readonly why: string };

export interface CommandContext {
  readonly host: string;
  readonly port: number;
  readonly workingDir: string | undefined;
  /** The PATH the child will have. */
  readonly searchPath: string;
  /** How to run this same program: what the first word "pilotlight" stands for. */
  readonly self: readonly string[];
}

/** Replaces "{host}" and "{port}". */
export function fillIn(text: string, { host, port }: Pick<CommandContext, 'host' | 'port'>): string {
  return text.replaceAll('{port}', `${port}`).replaceAll('{host}', host);
}

/** The command with "{host}" and "{port}" filled in and its program as a path that can be executed. */
export function commandLine(command: readonly string[], context: CommandContext): CommandLine {
  const words = command.map((word) => fillIn(word, context));
  const [name, ...args] = words[0] === 'pilotlight' ? [...context.self, ...words.slice(1)] : words;
  if (name === undefined || name === '') return { kind: 'missing', why: 'the command is empty' };
  if (context.workingDir !== undefined && !isDirectory(context.workingDir)) {
    return { kind: 'missing', why: `the working directory ${context.workingDir} does not exist` };
  }
  const program = findProgram(name, context);
  if (program !== null) return { kind: 'found', program, args };
  const where = name.includes('/') ? 'is not an executable file' : 'is not on the PATH';
  return { kind: 'missing', why: `command not found: "${name}" ${where}` };
}

function findProgram(name: string, context: CommandContext): string | null {
  const base = context.workingDir ?? '.';
  if (name.includes('/')) {
    const path = isAbsolute(name) ? name : resolve(base, name);
    return isExecutable(path) ? path : null;
  }
  const folders = context.searchPath.split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(resolve(base, folder), name)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
