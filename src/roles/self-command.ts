import { fileURLToPath } from 'node:url';

/** Program and arguments that run this Pilotlight again: what "pilotlight" stands for in a target's command. */
export function selfCommand(): readonly string[] {
  const main = import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js';
  return [process.execPath, fileURLToPath(new URL(main, import.meta.url))];
}
