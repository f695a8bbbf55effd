/**
 * A configuration that cannot be used. Its message is one line that begins with the flag, variable or field at fault
 * (contract, section 11).
 */
export class ConfigError extends Error {
  /** `--http`, `ARBOR_HTTP`, or `limits.streams` of a file. */
  readonly field: string;
  constructor(field: string, expected: string, options: { file?: string | undefined; cause?: unknown } = {}) {
    const where = options.file === undefined ? field : `${field} in ${options.file}`;
    super(
      `${where}: ${expected}`.replaceAll(/\s*\n\s*/g, ' '),
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.name = 'ConfigError';
    this.field = field;
  }
}
