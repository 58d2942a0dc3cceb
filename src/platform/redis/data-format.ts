import { PilotlightError } from '../../core/errors.ts';
import type { RedisClient } from './connection.ts';
import { defineScript } from './script.ts';

/**
 * Formats of what an installation keeps in Redis. Fields are added and never change their meaning, so releases share a Redis
 * during an upgrade. Where that cannot be, the release that first can read a new format raises `known`; the one after it
 * raises `written`, when the last release that cannot read it is two behind.
 */
export const DATA_FORMAT = { known: 1, written: 1 } as const;

const keepFormat = defineScript({
  files: [new URL('./lua/keep-format.lua', import.meta.url)],
  keys: ['format'],
  args: ['known', 'written'],
  parse: Number,
});

/**
 * Notes in Redis what a reader has to know, under "<prefix>:{<installation>}:format". Throws `config_invalid` when a newer
 * release has written what this one cannot read: it would take it for something else.
 */
export async function keepDataFormat(
  client: RedisClient,
  place: { readonly keyPrefix: string; readonly installation: string },
  format: { readonly known: number; readonly written: number } = DATA_FORMAT,
): Promise<void> {
  const key = `${place.keyPrefix}:{${place.installation}}:format`;
  const needed = await keepFormat(client, { keys: { format: key }, args: format });
  if (needed <= format.known) return;
  throw new PilotlightError(
    'config_invalid',
    `Redis holds data of format ${needed} for installation "${place.installation}", and this release reads up to ${format.known}: start the newer release again, or choose another installation or redis.keyPrefix.`,
    { param: 'installation' },
  );
}
