/** Control packets by their number in the fixed header (MQTT 3.1.1, 2.2.1). */
export const PACKET = {
  connect: 1,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
} as const;

/** One whole packet: the bytes from `start` to `end` of `buffer`; its body begins at `body`. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

/** A broken rule: why, and the CONNACK code to answer before closing where the specification has one. */
export interface Violation {
  readonly reason: string;
  readonly connack?: 1 | 2;
}

/** The flags that a packet's fixed header must have [MQTT-2.2.2-1]; PUBLISH has its own. */
const FLAGS: Readonly<Record<number, number>> = {
  [PACKET.connect]: 0,
  [PACKET.puback]: 0,
  [PACKET.pubrec]: 0,
  [PACKET.pubrel]: 2,
  [PACKET.pubcomp]: 0,
  [PACKET.subscribe]: 2,
  [PACKET.unsubscribe]: 2,
  [PACKET.pingreq]: 0,
  [PACKET.disconnect]: 0,
};

/** The remaining length of packets that have only one. */
const LENGTHS: Readonly<Record<number, number>> = {
  [PACKET.puback]: 2,
  [PACKET.pubrec]: 2,
  [PACKET.pubrel]: 2,
  [PACKET.pubcomp]: 2,
  [PACKET.pingreq]: 0,
  [PACKET.disconnect]: 0,
};

const flagsProblem = (type: number, flags: number): string | null => {
  if (type === PACKET.publish) {
    if ((flags & 6) === 6) return 'PUBLISH with QoS 3 [MQTT-3.3.1-4]';
    return (flags & 14) === 8 ? 'PUBLISH with DUP and QoS 0 [MQTT-3.3.1-2]' : null;
  }
  const wanted = FLAGS[type];
  if (wanted === undefined) return `packet type ${type} is not for a server [MQTT-4.8.0-1]`;
  return flags === wanted ? null : `reserved flags of packet type ${type} [MQTT-2.2.2-2]`;
};

/** Cuts a byte stream into packets. Holds at most one packet of the allowed size and the chunk it came with. */
export interface Framer {
  push(chunk: Buffer): void;
  /** The next whole packet, a violation, or null until more bytes come. After a violation it stays one. */
  next(): Frame | Violation | null;
}

/**
 * `maxBytes` is asked for each packet as soon as its fixed header is there, and `expected` for the type it must have,
 * so that nothing is gathered for a packet that will be refused.
 */
export const createFramer = (maxBytes: () => number, expected: () => number | null): Framer => {
  let parts: Buffer[] = [];
  let have = 0;
  let need = 1;
  let violation: Violation | null = null;

  const refuse = (reason: string): Violation => {
    violation = { reason };
    parts = [];
    return violation;
  };

  /** Gathers what is there as one buffer, once enough is there. */
  const gathered = (): Buffer | null => {
    if (have < need || have === 0) return null;
    const whole = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, have);
    parts = [whole];
    return whole;
  };

  const wait = (buffer: Buffer, start: number, bytes: number): null => {
    parts = [buffer.subarray(start)];
    need = bytes;
    return null;
  };

  return {
    push: (chunk) => {
      if (chunk.length === 0) return;
      parts.push(chunk);
      have += chunk.length;
    },
    next: () => {
      if (violation !== null) return violation;
      const buffer = gathered();
      if (buffer === null) return null;
      const start = buffer.length - have;
      const first = buffer[start] as number;
      const type = first >> 4;
      const flags = first & 15;
      const wanted = expected();
      if (wanted !== null && type !== wanted) return refuse('the first packet is not CONNECT [MQTT-3.1.0-1]');
      const problem = flagsProblem(type, flags);
      if (problem !== null) return refuse(problem);

      let remaining = 0;
      let at = start + 1;
      for (let scale = 1; ; scale *= 128) {
        if (at - start > 4) return refuse('remaining length of more than four bytes (2.2.3)');
        const byte = buffer[at++];
        if (byte === undefined) return wait(buffer, start, have + 1);
        remaining += (byte & 127) * scale;
        if (byte < 128) break;
      }
      const exact = LENGTHS[type];
      if (exact !== undefined && remaining !== exact)
        return refuse(`remaining length ${remaining} of packet type ${type}`);
      const end = at + remaining;
      if (end - start > maxBytes()) return refuse(`packet of ${end - start} bytes`);
      if (end > buffer.length) return wait(buffer, start, end - start);
      have -= end - start;
      need = 1;
      if (have === 0) parts = [];
      return { type, flags, buffer, start, body: at, end };
    },
  };
};
