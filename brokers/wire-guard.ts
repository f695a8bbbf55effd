import { Duplex } from 'node:stream';
import { connectProblem } from './wire-connect.ts';
import { createFramer, type Frame, PACKET, type Violation } from './wire-frames.ts';
import { packetProblem } from './wire-packets.ts';
import { createSubackCompleter } from './wire-suback.ts';

export interface WireGuardOptions {
  readonly maxPacketBytes: number;
  readonly maxLoginBytes: number;
  /** A rule of the protocol or a bound was broken; the connection is being closed. */
  readonly onViolation: (reason: string) => void;
  /** Whether CONNACK is to say that a session was resumed [MQTT-3.2.2-2]. */
  readonly sessionPresent: () => boolean;
  /** The client has finished with one of the server's packet identifiers: PUBACK or PUBCOMP. */
  readonly onAcknowledged: (id: number) => void;
}

/** A connection as the broker's parser gets it: only whole and valid packets arrive. */
export interface GuardedWire {
  readonly stream: Duplex;
  /** Lets through what follows CONNECT; called when CONNACK has been written. */
  admit(): void;
  /** A PUBLISH of QoS 1 has been taken by the broker. */
  published(): void;
  /** Bytes written that the network has not taken yet. */
  backlogBytes(): number;
  /** Bytes that the network has taken since the beginning: what shows a frozen peer. */
  takenBytes(): number;
  /** Ends the connection at once, without waiting for what is still to be written. */
  cut(): void;
}

/** How long a closed connection may take to read what was written to it before. */
const LINGER_MS = 1_000;
/** Up to this much is written in one piece; more than that is not worth a copy. */
const JOIN_BYTES = 64 * 1024;

/** On Node 26 `read()` gives one chunk instead of all; Aedes reads once and would wait for ever. */
const readsEverything = (stream: Duplex): void => {
  const read = stream.read.bind(stream) as (size?: number) => Buffer | null;
  stream.read = (size?: number): Buffer | null => {
    const parts: Buffer[] = [];
    for (let part = read(size); part !== null; part = read(size)) parts.push(part);
    if (parts.length === 0) return null;
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  };
};

/**
 * A guard on the wire, in front of the broker's parser: closes the connection wherever MQTT 3.1.1 requires it, and
 * before a packet beyond the bounds is gathered. Nothing after CONNECT passes until the login is decided
 * [MQTT-3.1.4-5], so a rejected client is not heard at all.
 */
export const guardWire = (socket: Duplex, options: WireGuardOptions): GuardedWire => {
  let state: 'connect' | 'held' | 'open' | 'closed' = 'connect';
  const framer = createFramer(
    () => (state === 'open' ? options.maxPacketBytes : options.maxLoginBytes),
    () => (state === 'connect' ? PACKET.connect : null),
  );
  const suback = createSubackCompleter();

  const refuse = (violation: Violation): void => {
    state = 'closed';
    // The header alone says no session is present [MQTT-3.2.2-4].
    if (violation.connack !== undefined) socket.write(Buffer.from([0x20, 2, 0, violation.connack]));
    options.onViolation(violation.reason);
    stream.destroy();
  };

  const problemOf = (frame: Frame): Violation | null => {
    if (state === 'connect') return connectProblem(frame);
    const reason = packetProblem(frame);
    return reason === null ? null : { reason };
  };

  /**
   * Aedes publishes QoS 1 a turn of the loop later than QoS 0 and 2. So that a client's publications keep their order,
   * one of another QoS waits until those of QoS 1 before it have been published.
   */
  let unpublished = 0;
  let waiting: Frame | null = null;
  const mustWait = (frame: Frame): boolean =>
    unpublished > 0 && frame.type === PACKET.publish && (frame.flags & 6) !== 2;

  const note = (frame: Frame): void => {
    if (state === 'connect') state = 'held';
    else if (frame.type === PACKET.publish) unpublished += (frame.flags & 6) === 2 ? 1 : 0;
    else if (frame.type === PACKET.subscribe) suback.asked(frame);
    else if (frame.type === PACKET.puback || frame.type === PACKET.pubcomp)
      options.onAcknowledged(frame.buffer.readUInt16BE(frame.body));
  };

  const listening = (): boolean => state === 'connect' || state === 'open';

  /** Passes on every whole packet there is; packets that lie side by side go as one chunk. */
  const pump = (): void => {
    let run: { readonly buffer: Buffer; readonly start: number; end: number } | null = null;
    let room = true;
    const flush = (): void => {
      if (run !== null && !stream.push(run.buffer.subarray(run.start, run.end))) room = false;
      run = null;
    };
    while (listening()) {
      const next = waiting ?? framer.next();
      if (next === null) break;
      const problem = 'reason' in next ? next : problemOf(next);
      if (problem !== null) {
        flush();
        refuse(problem);
        return;
      }
      const frame = next as Frame;
      waiting = mustWait(frame) ? frame : null;
      if (waiting !== null) break;
      note(frame);
      if (run !== null && run.buffer === frame.buffer) run.end = frame.end;
      else {
        flush();
        run = { buffer: frame.buffer, start: frame.start, end: frame.end };
      }
    }
    flush();
    if (!room || held()) socket.pause();
  };
  const held = (): boolean => state !== 'closed' && (state === 'held' || waiting !== null);
  /** Goes on after a wait. */
  const proceed = (): void => {
    pump();
    if (ending) onEnd();
    else if (!held() && stream.readableLength < stream.readableHighWaterMark) socket.resume();
  };

  const onData = (chunk: Buffer): void => {
    framer.push(chunk);
    pump();
  };
  let ending = false;
  let ended = false;
  const onEnd = (): void => {
    ending = true;
    if (ended || held()) return;
    ended = true;
    stream.push(null);
  };
  /** What had arrived before the end is still taken, for a while. */
  const onClose = (): void => {
    onEnd();
    const timer = setTimeout(() => stream.destroy(), LINGER_MS);
    stream.once('close', () => clearTimeout(timer));
  };
  const onError = (error: Error): void => void stream.destroy(error);

  let greeted = false;
  /** The first packet of a server is CONNACK [MQTT-3.2.0-1]. Aedes knows a session only by its subscriptions. */
  const greet = (connack: Buffer): Buffer => {
    greeted = true;
    if (connack[0] !== 0x20 || connack[3] !== 0 || !options.sessionPresent()) return connack;
    return Buffer.concat([Buffer.from([0x20, 2, 1, 0]), connack.subarray(4)]);
  };

  let sent = 0;
  /** What the stream still counts although the socket has it. */
  let passed = 0;
  const send = (bytes: readonly Buffer[], done: () => void): void => {
    let total = 0;
    for (const part of bytes) total += part.length;
    if (!greeted) {
      send([greet(Buffer.concat(bytes, total))], done);
      return;
    }
    sent += total;
    if (suback.pending()) socket.write(suback.complete(Buffer.concat(bytes, total)));
    else if (bytes.length === 1) socket.write(bytes[0]);
    else if (total <= JOIN_BYTES) socket.write(Buffer.concat(bytes, total));
    else {
      socket.cork();
      for (const part of bytes) socket.write(part);
      socket.uncork();
    }
    if (!socket.writableNeedDrain) {
      done();
      return;
    }
    passed = total;
    socket.once('drain', () => {
      passed = 0;
      done();
    });
  };

  const stream = new Duplex({
    // The socket has its own buffer; this one only says early that it is full.
    writableHighWaterMark: JOIN_BYTES,
    read: () => {
      if (!held()) socket.resume();
    },
    write: (chunk: Buffer, _encoding, done) => send([chunk], done),
    writev: (chunks, done) =>
      send(
        chunks.map(({ chunk }) => chunk as Buffer),
        done,
      ),
    destroy: (error, done) => {
      state = 'closed';
      socket.off('data', onData).off('end', onEnd).off('close', onClose);
      if (!socket.destroyed) {
        // What was written goes out; what still comes in is read away, or a reset would take back the answer.
        socket.end();
        socket.resume();
        const timer = setTimeout(() => socket.destroy(), LINGER_MS);
        socket.once('close', () => clearTimeout(timer));
        socket.once('end', () => socket.writableFinished && socket.destroy());
        socket.once('finish', () => socket.readableEnded && socket.destroy());
      }
      done(error);
    },
  });
  readsEverything(stream);
  socket.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onError);

  return {
    stream,
    admit: () => {
      if (state !== 'held') return;
      state = 'open';
      proceed();
    },
    published: () => {
      unpublished--;
      if (unpublished === 0 && waiting !== null) proceed();
    },
    backlogBytes: () => stream.writableLength - passed + socket.writableLength,
    takenBytes: () => sent - socket.writableLength,
    cut: () => {
      state = 'closed';
      socket.destroy();
      stream.destroy();
    },
  };
};
