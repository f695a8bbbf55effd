import autocannon from 'autocannon';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { IN_FLIGHT, print } from '../summary.ts';

/** The bound of HTTP: a bare Fastify route that checks the same body with zod and answers, without anything behind it. */
const app = Fastify().withTypeProvider<ZodTypeProvider>();
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);
app.post(
  '/v1/sessions/:session/commands',
  {
    schema: {
      body: z.strictObject({
        command: z.string(),
        args: z.record(z.string(), z.unknown()),
        idempotency_key: z.string().optional(),
        timeout: z.number().optional(),
        priority: z.int().optional(),
      }),
    },
  },
  ({ body }) => ({ execution_id: 'exe_0', status: 'completed', mode: 'sync', result: { command: body.command } }),
);
const address = await app.listen({ port: 0, host: '127.0.0.1' });
const { requests } = await autocannon({
  url: `${address}/v1/sessions/ses_0/commands`,
  method: 'POST',
  headers: { 'content-type': 'application/json', authorization: 'Bearer none' },
  body: JSON.stringify({ command: 'noop', args: {} }),
  connections: IN_FLIGHT,
  duration: 3,
  workers: 1,
});
print({ 'bare route, 256 in flight /s': requests.average });
await app.close();
process.exit(0);
