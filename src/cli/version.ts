import { readFileSync } from 'node:fs';

/** From package.json, which is two folders up in a checkout and in an installed package alike. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
