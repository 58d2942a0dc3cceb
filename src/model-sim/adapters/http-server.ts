import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { asError } from '../../core/errors.ts';
import { notFound, serverError, unavailable } from '../policy/api-error.ts';
import { healthStatus } from '../policy/phases.ts';
import type { SimState } from '../sim-state.ts';
import { AdminHandler } from './admin-handler.ts';
import { InferenceHandler } from './inference-handler.ts';
import { BodyReader } from './read-body.ts';
import { sendError } from './reply.ts';

/** On every answer, so that nobody takes it for a model's. */
const SIMULATOR_HEADER = ['x-pilotlight-model-sim', 'simulated'] as const;
/** As long as uvicorn, vLLM's server, keeps an idle connection. */
const KEEP_ALIVE_MS = 5_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** The HTTP server of one simulator, not listening yet. */
export function simServer(sim: SimState): Server {
  const routes = routeTable(sim);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    response.setHeader(...SIMULATOR_HEADER);
    if (sim.faults.hang === 'all' && !isAdmin(request)) {
      sim.calls.hang(response);
      return;
    }
    void answer(sim, routes, request, response);
  });
  return server;
}

async function answer(
  sim: SimState,
  routes: ReadonlyMap<string, Handler>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const path = request.url?.split('?', 1)[0] ?? '';
    const handler = routes.get(`${request.method ?? ''} ${path}`);
    if (handler === undefined) sendError(response, notFound(`There is no ${request.method ?? ''} ${path} here.`));
    else if (isAdmin(request) && !isLoopback(request)) {
      sendError(response, serverError('The routes under /sim answer on loopback only.', 403));
    } else if (sim.phase === 'loading' && !isAdmin(request)) {
      sendError(response, unavailable('The simulated model is still loading.'));
    } else await handler(request, response);
  } catch (thrown) {
    sendError(response, serverError(`The simulator itself failed: ${asError(thrown).message}`));
  }
}

function routeTable(sim: SimState): ReadonlyMap<string, Handler> {
  const bodies = new BodyReader(sim.options.maxBodyBytes, sim.options.maxReadingBytes);
  const inference = new InferenceHandler(sim, bodies);
  const admin = new AdminHandler(sim, bodies);
  return new Map<string, Handler>([
    ['POST /v1/chat/completions', (request, response) => inference.handle('chat', request, response)],
    ['POST /v1/completions', (request, response) => inference.handle('completion', request, response)],
    ['POST /v1/responses', (request, response) => inference.handle('response', request, response)],
    ['POST /v1/embeddings', (request, response) => inference.handle('embedding', request, response)],
    ['GET /v1/models', (_request, response) => admin.listModels(response)],
    ['GET /health', (_request, response) => sendEmpty(response, healthStatus(sim.phase, sim.faults.healthStatus))],
    ['GET /metrics', (_request, response) => sendMetrics(response, sim.metrics.render(sim.clock.epochMs()))],
    ['POST /v1/load_lora_adapter', (request, response) => admin.loadAdapter(request, response)],
    ['POST /v1/unload_lora_adapter', (request, response) => admin.unloadAdapter(request, response)],
    ['GET /sim/state', (_request, response) => admin.showState(response)],
    ['POST /sim/faults', (request, response) => admin.changeFaults(request, response)],
    ['DELETE /sim/faults', (_request, response) => admin.clearFaults(response)],
  ]);
}

function isAdmin(request: IncomingMessage): boolean {
  return request.url?.startsWith('/sim/') ?? false;
}

function isLoopback({ socket }: IncomingMessage): boolean {
  const address = socket.remoteAddress ?? '';
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function sendEmpty(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-length': 0 });
  response.end();
}

function sendMetrics(response: ServerResponse, text: string): void {
  response.writeHead(200, {
    'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
