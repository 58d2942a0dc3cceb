/** Run by tests as a process of its own: `node start-redis.ts <dataDir> <lifetime>` prints the server and stays. */
import { resolveRedis } from '../../../src/platform/local-redis/resolve.ts';
import type { ServerLifetime } from '../../../src/platform/local-redis/spawn-server.ts';

const [dataDir = '', lifetime = 'detached'] = process.argv.slice(2);
const server = await resolveRedis(
  { dataDir, persistence: 'aof', lifetime: lifetime as ServerLifetime },
  AbortSignal.timeout(60_000),
);
process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid })}\n`);
setInterval(() => undefined, 60_000);
