import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range from which Linux draws ports for outgoing connections (32768 and up), so that none takes ours. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
const TRIES = 100;

/** A port of `host` that nothing listens on now, added to `taken`. Throws when 100 draws found none. */
export async function takeFreePort(host: string, taken: Set<number>): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (taken.has(port)) continue;
    taken.add(port);
    if (await isFree(host, port)) return port;
    taken.delete(port);
  }
  throw new Error(`no free port on ${host} between ${FIRST_PORT} and ${LAST_PORT} after ${TRIES} tries`);
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
