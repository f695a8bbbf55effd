import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import type { System } from '../../actors/system.ts';
import { openApiDocument } from '../operations/openapi.ts';

export interface ServiceRoutesOptions {
  readonly system: Pick<System, 'readiness'>;
  readonly register: Registry;
  readonly version: string;
}

/** What runs beside the operations, without credentials: it says nothing about any session. */
export const addServiceRoutes = (app: FastifyInstance, { system, register, version }: ServiceRoutesOptions): void => {
  const document = JSON.stringify(openApiDocument(version));
  app.get('/healthz', (_, reply) => reply.send({ status: 'ok' }));
  app.get('/readyz', (_, reply) => {
    const readiness = system.readiness();
    if (readiness.ready) return reply.send({ status: 'ready' });
    return reply.code(503).header('retry-after', '1').send({ status: readiness.state, detail: readiness.detail });
  });
  app.get('/metrics', async (_, reply) => reply.type(register.contentType).send(await register.metrics()));
  app.get('/openapi.json', (_, reply) => reply.type('application/json; charset=utf-8').send(document));
};
