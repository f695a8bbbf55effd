import { MASK, SENSITIVE_NAMES } from '../../machines/mask.ts';
import { pino, type DestinationStream, type Logger } from 'pino';

export type Log = Logger;

export interface LogOptions {
  /** Default `info`. */
  readonly level?: string;
  /** Default standard output. */
  readonly destination?: DestinationStream;
}

/** Besides the sensitive names: what is kept of secrets. */
const SECRET_FIELDS = [...SENSITIVE_NAMES, 'client_token', 'token_hash', 'hash'];

/**
 * What looks like an API key, the token of a client or a share, or a webhook's secret: masked by shape, also within
 * messages. Whatever stands before it: in JSON a line that begins with a token has the `n` of `\n` there.
 */
const SECRETS = /((?:ark|cli|shr)_[0-9A-Za-z]{1,40}\.|whsec_)[A-Za-z0-9_+/=-]{20,}/g;

/** What looks like a JWT (a JSON object begins with `eyJ` in base64url). */
const JWTS = /eyJ[\w-]{10,}\.[\w-]+\.[\w-]*/g;

/** A log of JSON lines from which secrets are kept out by name of field and by shape. */
export const createLog = ({ level = 'info', destination }: LogOptions = {}): Log => {
  const options = {
    level,
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: MASK,
    },
    hooks: { streamWrite: (line: string) => line.replace(SECRETS, `$1${MASK}`).replace(JWTS, MASK) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
};
