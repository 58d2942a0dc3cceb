import type { Redis } from 'ioredis';
import { isReplyError } from '../../../platform/redis/connection.ts';
import { type LuaScript, loadLua, runLua } from '../../../platform/redis/script.ts';

const FILES = [
  ...[
    'turn',
    'slots',
    'rules',
    'flows',
    'places',
    'moves',
    'shares',
    'reserved',
    'waiting',
    'tickets',
    'pick',
    'assign',
    'set-rules',
    'recovery',
    'outcome-of',
  ],
  ...['expiry', 'tenant-usage', 'budget', 'displace', 'control', 'listing'],
  ...[
    'new-ticket',
    'admit',
    'take',
    'release',
    'due',
    'demand',
    'outbox',
    'outcomes',
    'bulk',
    'quarantine',
    'endpoints',
    'sweep',
    'heartbeat',
  ],
  ...['membership', 'reassert', 'idle', 'snapshot', 'execute'],
];
const SOURCE = joined(FILES);
const SCRIPT = joined([...FILES, 'as-script']);
/** With its hash: two releases that share a Redis each have their own. */
const NAME = `pilotlight_ledger_${SOURCE.sha.slice(0, 12)}`;
/** `allow-oom`: what makes a full Redis emptier are settled tickets; what fills it are admissions, which have limits. */
const LIBRARY = `#!lua name=${NAME}
${SOURCE.text}
redis.register_function({ function_name = '${NAME}', callback = function(keys, args) return L.turn(keys, args) end,
  flags = { 'allow-oom' } })`;

/**
 * The ledger's Lua, as a function library of Redis: it is read once and stays, where a script defines its hundred
 * functions anew for each call and leaves them to the garbage collector, which is two thirds of a small turn. Servers
 * that have no functions (before 7.0) or do not allow them run it as a script. Other releases' libraries are left alone.
 */
export class LedgerLibrary {
  #useFunctions: boolean;

  constructor(useFunctions: boolean) {
    this.#useFunctions = useFunctions;
  }

  /** One round trip when the server knows the library. Rejects as any command does. */
  async run(client: Redis, key: string, args: readonly (string | number)[]): Promise<string> {
    if (this.#useFunctions) {
      try {
        return String(await callFunction(client, key, args));
      } catch (error) {
        if (!isReplyError(error) || !/unknown command|NOPERM/i.test(error.message)) throw error;
        this.#useFunctions = false;
      }
    }
    return String(await runLua(client, SCRIPT, [key], args));
  }
}

/** A server that does not know the library has run nothing, so that loading it and calling again is safe. */
async function callFunction(client: Redis, key: string, args: readonly (string | number)[]): Promise<unknown> {
  try {
    return await client.fcall(NAME, 1, key, ...args);
  } catch (error) {
    if (!isReplyError(error) || !error.message.includes('Function not found')) throw error;
  }
  try {
    await client.function('LOAD', LIBRARY);
  } catch (error) {
    if (!isReplyError(error) || !error.message.includes('already exists')) throw error;
  }
  return await client.fcall(NAME, 1, key, ...args);
}

function joined(files: readonly string[]): LuaScript {
  return loadLua(...files.map((name) => new URL(`../lua/${name}.lua`, import.meta.url)));
}
