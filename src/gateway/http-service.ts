import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import type { System } from '../../actors/system.ts';
import { asyncApiDocument } from '../operations/asyncapi.ts';
import { openApiDocument } from '../operations/openapi.ts';

export interface ServiceRoutesOptions {
  readonly system: Pick<System, 'readiness'>;
  readonly register: Registry;
  readonly version: string;
}

/** What runs beside the operations, without credentials: it says nothing about any session. */
export const addServiceRoutes = (app: FastifyInstance, { system, register, version }: ServiceRoutesOptions): void => {
  app.get('/healthz', (_, reply) => reply.send({ status: 'ok' }));
  app.get('/readyz', (_, reply) => {
    const readiness = system.readiness();
    if (readiness.ready) return reply.send({ status: 'ready' });
    return reply.code(503).header('retry-after', '1').send({ status: readiness.state, detail: readiness.detail });
  });
  app.get('/metrics', async (_, reply) => reply.type(register.contentType).send(await register.metrics()));
  serveDocument(app, '/openapi.json', () => openApiDocument(version));
  serveDocument(app, '/asyncapi.json', () => asyncApiDocument(version));
};

/** Made when somebody first asks: a start after a crash is not to wait for it. */
const serveDocument = (app: FastifyInstance, path: string, make: () => object): void => {
  let document: string | undefined;
  app.get(path, (_, reply) => {
    document ??= JSON.stringify(make());
    return reply.type('application/json; charset=utf-8').send(document);
  });
};
