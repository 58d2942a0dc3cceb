import type { ServeAddress } from './adapters/serve-process.ts';
import { MODEL, OBJECTIVES } from './names.ts';

/** Each works as it is printed, in the folder of a checkout. */
export const NEXT_COMMANDS = [
  ['npm start -- --keep', 'the same, and it stays up for requests of your own'],
  ['npm start -- --kill-server-after 20s', 'the same, and the serving process is killed in mid-run'],
  ['npx pilotlight serve -f examples/local.yaml', 'a pool for as long as you like; read the file first'],
] as const;

/** What can be tried while the demo stays up. */
export function whileItStays({ apiUrl, adminUrl }: ServeAddress, input: string): string {
  return `
It stays up. In another terminal:
  npx pilotlight status --watch --admin-url ${adminUrl}
  npx pilotlight batch submit ${input} --url ${apiUrl} --objective ${OBJECTIVES.nightly.name} --wait
  npx pilotlight submit --url ${apiUrl} --model ${MODEL} --objective ${OBJECTIVES.nightly.name} --prompt "Hello" --wait
  curl -N ${apiUrl}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"${MODEL}","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
Ctrl-C ends it.
`;
}
