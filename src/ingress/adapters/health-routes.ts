import type { Express } from 'express';
import type { ReadinessSource } from '../ports.ts';

/** GET /healthz says that the process answers; GET /readyz whether it should get new work, and if not, why. */
export function addHealthRoutes(app: Express, source: ReadinessSource): void {
  app.get('/healthz', (_req, res) => {
    res.json({ status: 'ok' });
  });
  app.get('/readyz', (_req, res) => {
    const readiness = source.readiness();
    if (readiness.kind === 'ready') res.json({ status: 'ready' });
    else res.status(503).json({ status: readiness.kind, reason: readiness.reason });
  });
}
