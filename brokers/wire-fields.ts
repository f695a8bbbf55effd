import { isUtf8 } from 'node:buffer';

/** Reads the fields of one packet's body in order. Once something did not fit, `broken` says what. */
export interface FieldReader {
  readonly broken: string | null;
  /** Whether the body is used up. */
  atEnd(): boolean;
  byte(): number;
  /** Two bytes, most significant first (1.5.2). */
  number(): number;
  /** A UTF-8 encoded string (1.5.3). */
  text(): string;
  /** Two bytes of length and as many bytes. */
  bytes(): number;
}

export const readFields = (buffer: Buffer, from: number, end: number): FieldReader => {
  let at = from;
  let broken: string | null = null;
  const fail = (reason: string): 0 => {
    broken ??= reason;
    return 0;
  };
  const byte = (): number => (at < end ? (buffer[at++] as number) : fail('the packet ends inside a field'));
  const number = (): number => {
    if (at + 2 > end) return fail('the packet ends inside a field');
    at += 2;
    return buffer.readUInt16BE(at - 2);
  };
  const bytes = (): number => {
    const length = number();
    if (at + length > end) return fail('the packet ends inside a field');
    at += length;
    return length;
  };
  return {
    get broken() {
      return broken;
    },
    atEnd: () => at >= end,
    byte,
    number,
    bytes,
    text: () => {
      const length = bytes();
      if (broken !== null) return '';
      const encoded = buffer.subarray(at - length, at);
      if (!isUtf8(encoded)) fail('a string is not well-formed UTF-8 [MQTT-1.5.3-1]');
      else if (encoded.includes(0)) fail('a string contains U+0000 [MQTT-1.5.3-2]');
      return encoded.toString('utf8');
    },
  };
};
