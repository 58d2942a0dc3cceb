/**
 * What many would write in an afternoon: a streaming reverse proxy of express 5 and undici, without a queue, limits,
 * retries or checks. Pilotlight's throughput is told as a share of this one's, measured in the same run.
 */
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import express, { type Request, type Response } from 'express';
import { Pool } from 'undici';
import { answerQuestions, ownCpu } from './child.ts';

export type ProxyQuestion = { readonly kind: 'listen'; readonly upstreamUrl: string } | { readonly kind: 'cpu' };

/** As many as Pilotlight opens to one model server. */
const CONNECTIONS = 264;
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'host', 'expect']);

function endToEnd(headers: Record<string, string | string[] | undefined>): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) kept[name] = value;
  }
  return kept;
}

function listen(upstreamUrl: string): Promise<string> {
  const upstream = new Pool(upstreamUrl, {
    connections: CONNECTIONS,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const relay = async (req: Request, res: Response): Promise<void> => {
    const answer = await upstream.request({
      method: 'POST',
      path: req.path,
      headers: endToEnd(req.headers),
      body: req,
    });
    res.writeHead(answer.statusCode, endToEnd(answer.headers));
    await pipeline(answer.body, res);
  };
  const app = express();
  app.disable('x-powered-by');
  app.post('/v1/chat/completions', relay);
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
    server.keepAliveTimeout = 65_000;
  });
}

answerQuestions((question: ProxyQuestion) => (question.kind === 'cpu' ? ownCpu() : listen(question.upstreamUrl)));
