import { topicProblem } from './topic-rules.ts';
import { readFields } from './wire-fields.ts';
import type { Frame, Violation } from './wire-frames.ts';

const USER_NAME = 128;
const PASSWORD = 64;
const WILL_RETAIN = 32;
const WILL_QOS = 24;
const WILL = 4;
const CLEAN = 2;
const RESERVED = 1;

/** MQTT 3.1 named itself so; its clients still exist and differ in nothing that matters here but the identifier. */
const OLD_NAME = 'MQIsdp';
const OLD_LONGEST_ID = 23;

const flagsProblem = (flags: number): string | null => {
  if (flags & RESERVED) return 'reserved CONNECT flag [MQTT-3.1.2-3]';
  if ((flags & WILL_QOS) === WILL_QOS) return 'will QoS 3 [MQTT-3.1.2-14]';
  if (!(flags & WILL) && flags & WILL_QOS) return 'will QoS without a will [MQTT-3.1.2-13]';
  if (!(flags & WILL) && flags & WILL_RETAIN) return 'will retain without a will [MQTT-3.1.2-15]';
  if (flags & PASSWORD && !(flags & USER_NAME)) return 'a password without a user name [MQTT-3.1.2-22]';
  return null;
};

/** What is wrong with a CONNECT packet (MQTT 3.1.1, 3.1); null where nothing is [MQTT-3.1.4-1]. */
export const connectProblem = (frame: Frame): Violation | null => {
  const fields = readFields(frame.buffer, frame.body, frame.end);
  const name = fields.text();
  if (fields.broken !== null) return { reason: fields.broken };
  if (name !== 'MQTT' && name !== OLD_NAME) return { reason: 'unknown protocol name [MQTT-3.1.2-1]' };
  const level = fields.byte();
  if (fields.broken !== null) return { reason: fields.broken };
  if (level !== (name === 'MQTT' ? 4 : 3)) return { reason: `protocol level ${level} [MQTT-3.1.2-2]`, connack: 1 };

  const flags = fields.byte();
  const problem = flagsProblem(flags);
  if (problem !== null) return { reason: problem };
  fields.number();
  const clientId = fields.text();
  if (flags & WILL) {
    const topic = fields.text();
    if (fields.broken !== null) return { reason: fields.broken };
    const bad = topicProblem(topic);
    if (bad !== null) return { reason: `the will's topic ${bad}` };
    fields.bytes();
  }
  if (flags & USER_NAME) fields.text();
  if (flags & PASSWORD) fields.bytes();
  if (fields.broken !== null) return { reason: fields.broken };
  if (!fields.atEnd()) return { reason: 'CONNECT has more fields than its flags say [MQTT-3.1.2-18]' };

  if (name === OLD_NAME && (clientId.length === 0 || clientId.length > OLD_LONGEST_ID))
    return { reason: 'client identifier of MQTT 3.1 not of 1 to 23 characters', connack: 2 };
  if (clientId.length === 0 && !(flags & CLEAN))
    return { reason: 'no client identifier for a session to keep [MQTT-3.1.3-8]', connack: 2 };
  return null;
};
