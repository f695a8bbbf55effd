import { exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';

/** An issuer of JWTs with a key pair of each kind, and the key set that it publishes. */
export const ISSUER = 'https://login.example';
export const AUDIENCE = 'arbor';

export const es = await generateKeyPair('ES256', { extractable: true });
export const ed = await generateKeyPair('EdDSA', { extractable: true });
export const rs = await generateKeyPair('RS256', { extractable: true });
/** For an algorithm that is none of those that are taken unless the configuration says so. */
export const rs512 = await generateKeyPair('RS512', { extractable: true });
/** Of nobody whose keys are published. */
export const other = await generateKeyPair('ES256', { extractable: true });
const published = async (key: CryptoKey, kid: string, alg: string): Promise<JWK> => ({
  ...(await exportJWK(key)),
  kid,
  alg,
  use: 'sig',
});
export const SET = {
  keys: [
    await published(es.publicKey, 'es', 'ES256'),
    await published(ed.publicKey, 'ed', 'EdDSA'),
    await published(rs.publicKey, 'rs', 'RS256'),
    await published(rs512.publicKey, 'rs512', 'RS512'),
  ],
};
