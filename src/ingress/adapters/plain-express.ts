import express, { type Express } from 'express';

/** Express without what an API does not need: no ETags, no query parser, no banner. */
export function plainExpress(): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false);
  return app;
}
