import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isReplyError, type RedisClient } from './connection.ts';

/** Lua that Redis runs as one step, under the name that EVALSHA knows it by. */
export interface LuaScript {
  readonly text: string;
  readonly sha: string;
}

export type ScriptArgument = string | number | Buffer;

/** Reads the files in order and joins them: shared functions first, the script last. Throws if one is missing. */
export function loadLua(...files: readonly URL[]): LuaScript {
  const text = files.map((file) => readFileSync(file, 'utf8').trimEnd()).join('\n');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/**
 * Runs the script by its hash; a server that does not know it yet is sent the text. That is safe to repeat because
 * NOSCRIPT means that nothing ran. One round trip when known, two when not. Rejects as any command does.
 */
export async function runLua(
  client: RedisClient,
  script: LuaScript,
  keys: readonly string[],
  args: readonly ScriptArgument[],
): Promise<unknown> {
  try {
    return await client.evalsha(script.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!isUnknownScript(error)) throw error;
    return client.eval(script.text, keys.length, ...keys, ...args);
  }
}

export interface ScriptDefinition<Key extends string, Arg extends string, Reply> {
  files: readonly URL[];
  /** Names of KEYS and ARGV, in the order in which the Lua reads them: the only place that knows positions. */
  keys: readonly Key[];
  args: readonly Arg[];
  parse: (reply: unknown) => Reply;
}

export interface ScriptCall<Key extends string, Arg extends string> {
  keys: Readonly<Record<Key, string>>;
  args: Readonly<Record<Arg, ScriptArgument>>;
  /** Follows the named arguments, for scripts that take a list. */
  rest?: readonly ScriptArgument[];
}

export type Script<Key extends string, Arg extends string, Reply> = (
  client: RedisClient,
  call: ScriptCall<Key, Arg>,
) => Promise<Reply>;

/** A function that calls the script with names instead of positions and returns its reply parsed. */
export function defineScript<Key extends string, Arg extends string, Reply>(
  definition: ScriptDefinition<Key, Arg, Reply>,
): Script<Key, Arg, Reply> {
  const script = loadLua(...definition.files);
  return async (client, { keys, args, rest = [] }) => {
    const keyValues = definition.keys.map((name) => keys[name]);
    const argValues = [...definition.args.map((name) => args[name]), ...rest];
    return definition.parse(await runLua(client, script, keyValues, argValues));
  };
}

function isUnknownScript(error: unknown): boolean {
  return isReplyError(error) && error.message.startsWith('NOSCRIPT');
}
