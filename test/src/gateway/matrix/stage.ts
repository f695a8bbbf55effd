import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createEmbeddedBroker } from '../../../../brokers/embedded.ts';
import { createMqttAccess } from '../../../../src/gateway/mqtt-access.ts';
import type { JwtIssuer } from '../../../../src/gateway/jwt.ts';
import { startGateway, type Json, type TestGateway } from '../../../support/gateway.ts';

/** A gateway with its broker, and what it takes to call it as anybody. */
export interface Stage extends AsyncDisposable {
  readonly on: TestGateway;
  readonly mqttPort: number;
  /** A word that no other call has been given. */
  unique(word: string): string;
  /** A JWT that holds for so many seconds from now. */
  jwt(subject: string, seconds?: number): Promise<string>;
  /** Makes a call that has to be answered; answers its body. */
  must(method: string, path: string, token: string | null, body?: object): Promise<Json>;
  /** Ends it: whatever it has still counted is told. Idempotent. */
  close(): Promise<void>;
}

const ALGORITHM = 'ES256';
const { publicKey, privateKey } = await generateKeyPair(ALGORITHM);
const ISSUER: JwtIssuer = {
  issuer: 'https://login.example',
  audience: ['arbor'],
  algorithms: [ALGORITHM],
  keys: { set: { keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: ALGORITHM, use: 'sig' }] } },
  clockTolerance: 0,
  maxAge: null,
};

/** Nobody is locked out by failures, and nobody is gone for having been silent. */
const LIMITS = { failedLogins: 1_000_000, graceMs: 1_000_000_000 };

export const openStage = async (): Promise<Stage> => {
  const access = createMqttAccess();
  const broker = await createEmbeddedBroker({ policy: access.policy });
  const on = await startGateway(
    { mqtt: { access, server: broker, host: '127.0.0.1', port: 0 }, auth: ISSUER, limits: LIMITS },
    broker,
  );
  let words = 0;
  let closed: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    await on.close();
    await broker.close();
    // What was told last is taken after this turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve));
  };
  const close = (): Promise<void> => (closed ??= end());
  return {
    on,
    mqttPort: on.mqtt?.port ?? 0,
    unique: (word) => `${word}-${(words += 1)}`,
    jwt: (subject, seconds = 600) => {
      const now = Math.floor(on.system.now() / 1_000);
      return new SignJWT({ sub: subject })
        .setProtectedHeader({ alg: ALGORITHM, kid: 'one' })
        .setIssuer(ISSUER.issuer)
        .setAudience('arbor')
        .setIssuedAt(now)
        .setExpirationTime(now + seconds)
        .sign(privateKey);
    },
    must: async (method, path, token, body) => {
      const answer = await on.call(method, path, { token, body });
      if (answer.status >= 300) throw new Error(`${method} ${path} was refused: ${answer.text}`);
      return answer.body;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
};
