import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type HttpServer, startServer } from '../../../src/platform/http/server.ts';
import { until } from './rig.ts';

let server: HttpServer | undefined;
afterEach(async () => {
  await server?.close(0);
  server = undefined;
});

const options = { host: '127.0.0.1', port: 0, portSetting: 'server.port' };

async function said(bytes: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    connect(port, '127.0.0.1')
      .on('data', (chunk) => (text += chunk.toString()))
      .on('close', () => resolve(text))
      .on('error', reject)
      .end(bytes);
  });
}

describe('startServer', () => {
  test('on a taken port says which setting to change', async () => {
    server = await startServer((_req, res) => res.end(), options);
    await expect(startServer((_req, res) => res.end(), { ...options, port: server.port })).rejects.toMatchObject({
      code: 'config_invalid',
      param: 'server.port',
      message: expect.stringContaining(`another program listens on 127.0.0.1:${server.port}`) as string,
    });
  });

  test("on an address that is not this machine's says so", async () => {
    await expect(startServer((_req, res) => res.end(), { ...options, host: '192.0.2.1' })).rejects.toMatchObject({
      message: expect.stringContaining('not an address of this machine') as string,
    });
  });

  test('answers broken HTTP with the error envelope', async () => {
    server = await startServer((_req, res) => res.end(), options);
    const answer = await said('NONSENSE\r\n\r\n', server.port);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain('"type":"invalid_request_error"');
  });

  test('answers oversized headers with 431', async () => {
    server = await startServer((_req, res) => res.end(), options);
    const answer = await said(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, server.port);
    expect(answer).toMatch(/^HTTP\/1.1 431 /);
  });

  test('times out headers that do not come', async () => {
    server = await startServer((_req, res) => res.end(), { ...options, headersTimeoutMs: 300, requestTimeoutMs: 300 });
    const socket = connect(server.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.write('GET / HTTP/1.1\r\n');
    await until(() => heard.includes('request_timeout'), 'the time-out');
    socket.destroy();
  });

  test('at its end lets a running request finish, though its connection would be kept', async () => {
    let finish: (() => void) | undefined;
    server = await startServer((_req, res) => {
      finish = () => res.end('done');
    }, options);
    const answer = fetch(server.url).then((response) => response.text());
    await until(() => finish !== undefined, 'the request');
    const closed = server.close(60_000);
    finish?.();
    expect(await answer).toBe('done');
    await closed;
    await expect(fetch(server.url)).rejects.toThrow();
  });

  test('at its end cuts what takes longer than the grace', async () => {
    let arrived = false;
    server = await startServer(() => {
      arrived = true;
    }, options);
    const answer = fetch(server.url);
    answer.catch(() => undefined);
    await until(() => arrived, 'the request');
    await server.close(50);
    await expect(answer).rejects.toThrow();
  });
});
