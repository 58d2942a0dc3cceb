import { createServer, connect, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { TcpProxy } from '../../chaos/support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

test('what goes through the proxy arrives in order, however its delay changes while the event loop is late', async () => {
  let arrived = '';
  const server = createServer((socket) => {
    socket.setEncoding('latin1').on('data', (text: string) => {
      arrived += text;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const proxy = await TcpProxy.open({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  onTestFinished(() => proxy.close());
  const client = connect(proxy.address.port, '127.0.0.1').setNoDelay(true);
  onTestFinished(() => void client.destroy());

  let sent = '';
  for (let turn = 0; turn < 300; turn += 1) {
    proxy.delayMs = [3, 0, 1, 0][turn % 4] ?? 0;
    const text = `${turn};`;
    sent += text;
    client.write(text);
    const endMs = performance.now() + (turn % 5);
    await new Promise((resolve) => setImmediate(resolve));
    while (performance.now() < endMs);
  }
  await until(() => arrived.length === sent.length, 'all has arrived');
  expect(arrived).toBe(sent);
});
