import type { Express, Request, Response } from 'express';
import type { BatchApi, BatchApiDeps } from '../../batch-api.ts';
import type { Exchange } from '../../exchange.ts';
import { sendContent } from '../../files/file-content.ts';
import { createFile, deleteFile, listFiles, showFile } from '../../files/file-handler.ts';
import { addUploadPart, cancelUpload, completeUpload, createUpload, showUpload } from '../../files/upload-handler.ts';
import { queryOf } from '../../policy/query.ts';
import { type ExchangeDeps, withBody, withCaller, withSender } from '../http-exchange.ts';
import { formReader } from './form-reader.ts';

type Deps = ExchangeDeps & { readonly api: BatchApi };
type ById = Request<{ id: string }>;

export const FILE_METHODS: Readonly<Record<string, string>> = {
  '/v1/files': 'GET, HEAD, POST',
  '/v1/files/:id': 'GET, HEAD, DELETE',
  '/v1/files/:id/content': 'GET, HEAD',
  '/v1/uploads': 'POST',
  '/v1/uploads/:id': 'GET, HEAD',
  '/v1/uploads/:id/parts': 'POST',
  '/v1/uploads/:id/complete': 'POST',
  '/v1/uploads/:id/cancel': 'POST',
};

/** Files and uploads as the OpenAI API has them. */
export function addFileRoutes(app: Express, deps: Deps): void {
  type ShowById = (handlerDeps: BatchApiDeps, exchange: Exchange, id: string) => Promise<void>;
  const byId = (route: string, handle: ShowById) => (req: ById, res: Response) =>
    withCaller(deps, { route, req, res }, (exchange) => handle(deps, exchange, req.params.id));
  app.post('/v1/files', (req, res) =>
    withSender(deps, { route: '/v1/files', req, res }, (exchange) => createFile(deps, exchange, formOf(deps, req))),
  );
  app.get('/v1/files', (req, res) =>
    withCaller(deps, { route: '/v1/files', req, res }, (exchange) => listFiles(deps, exchange, queryOf(req.url))),
  );
  app.get('/v1/files/:id', byId('/v1/files/{id}', showFile));
  app.delete('/v1/files/:id', byId('/v1/files/{id}', deleteFile));
  app.get('/v1/files/:id/content', (req, res) =>
    withCaller(deps, { route: '/v1/files/{id}/content', req, res }, (exchange) =>
      sendContent(deps, exchange, req.params.id, req.method === 'HEAD'),
    ),
  );
  addUploadRoutes(app, deps, byId);
}

function addUploadRoutes(
  app: Express,
  deps: Deps,
  byId: (
    route: string,
    handle: (handlerDeps: BatchApiDeps, exchange: Exchange, id: string) => Promise<void>,
  ) => (req: ById, res: Response) => Promise<void>,
): void {
  app.post('/v1/uploads', (req, res) =>
    withBody(deps, { route: '/v1/uploads', req, res }, (exchange, body) => createUpload(deps, exchange, body)),
  );
  app.get('/v1/uploads/:id', byId('/v1/uploads/{id}', showUpload));
  app.post('/v1/uploads/:id/parts', (req, res) =>
    withSender(deps, { route: '/v1/uploads/{id}/parts', req, res }, (exchange) =>
      addUploadPart(deps, exchange, req.params.id, formOf(deps, req)),
    ),
  );
  app.post('/v1/uploads/:id/complete', (req, res) =>
    withBody(deps, { route: '/v1/uploads/{id}/complete', req, res }, (exchange, body) =>
      completeUpload(deps, exchange, req.params.id, body),
    ),
  );
  app.post('/v1/uploads/:id/cancel', byId('/v1/uploads/{id}/cancel', cancelUpload));
}

function formOf({ clock, settings }: Deps, req: Request) {
  return formReader(req, { clock, stallTimeoutMs: settings.clientStallTimeoutMs });
}
