import type { Frame } from './wire-frames.ts';
import { subscribedFilters } from './wire-packets.ts';

/**
 * SUBACK must have a return code for each filter asked for [MQTT-3.8.4-5], also where one was asked for twice in a
 * packet; Aedes answers once for each different filter. This gives back the missing codes.
 */
export interface SubackCompleter {
  /** Looks at a SUBSCRIBE on its way in. */
  asked(frame: Frame): void;
  /** Whether any SUBACK is awaited that lacks codes. */
  pending(): boolean;
  /** Completes the SUBACKs in a run of whole outgoing packets. */
  complete(bytes: Buffer): Buffer;
}

const SUBACK = 9;

const headerOf = (bytes: Buffer, start: number): { readonly body: number; readonly end: number } => {
  let remaining = 0;
  let at = start + 1;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++] ?? 0;
    remaining += (byte & 127) * scale;
    if (byte < 128) return { body: at, end: at + remaining };
  }
};

const encodeLength = (length: number): number[] => {
  const bytes: number[] = [];
  let left = length;
  do {
    const low = left % 128;
    left = Math.floor(left / 128);
    bytes.push(left > 0 ? low + 128 : low);
  } while (left > 0);
  return bytes;
};

export const createSubackCompleter = (): SubackCompleter => {
  /** For each packet identifier: which of the different filters each asked one is. */
  const places = new Map<number, readonly number[]>();
  return {
    asked: (frame) => {
      const { id, filters } = subscribedFilters(frame);
      const different = [...new Set(filters)];
      if (different.length < filters.length)
        places.set(
          id,
          filters.map((filter) => different.indexOf(filter)),
        );
    },
    pending: () => places.size > 0,
    complete: (bytes) => {
      const out: Buffer[] = [];
      for (let start = 0; start < bytes.length; ) {
        const { body, end } = headerOf(bytes, start);
        const id = (bytes[start] as number) >> 4 === SUBACK ? bytes.readUInt16BE(body) : 0;
        const place = places.get(id);
        if (place === undefined) out.push(bytes.subarray(start, end));
        else {
          places.delete(id);
          const codes = place.map((index) => bytes[body + 2 + index] ?? 128);
          const length = encodeLength(2 + codes.length);
          out.push(Buffer.from([SUBACK << 4, ...length, id >> 8, id & 255, ...codes]));
        }
        start = end;
      }
      return Buffer.concat(out);
    },
  };
};
